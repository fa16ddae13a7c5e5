"""Programs that tests start: each on a free loopback port, with its own folder, stopped by its own process."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest


def needed(program: str, package: str) -> str:
    """Return where a program is; a machine without it fails the test, and says what it lacks."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/bin")
    if found is None:
        pytest.fail(f"{program} is missing: as root, apt-get install {package} (scripts/test does)")
    return found


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path, within_s: float = 30) -> None:
    """Return once a port takes connections; a process that has ended fails the test with what it logged."""
    until = time.monotonic() + within_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                raise RuntimeError(log.read_text("utf-8", "replace")[-2000:]) from None
            time.sleep(0.03)
        else:
            return


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started here, and those it started, if it leads a group of its own."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
