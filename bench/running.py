"""Starts the servers and a client, and measures the client: all of its processes, from start to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.workloads import Workload

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one client cost."""

    cpu_s: float
    """User and system time of the process and of all that it waited for."""
    wall_s: float
    peak_mb: float
    """Peak memory of its largest process."""
    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the two servers of a run are."""

    source: str
    destination: str

    def stats(self) -> dict[str, Any]:
        """Return what the destination counted."""
        with urllib.request.urlopen(self.destination + "/stats", timeout=60) as answer:
            made: dict[str, Any] = json.load(answer)
        return made


@contextmanager
def servers(workload: Workload, records: int) -> Iterator[Servers]:
    """Run a source and a destination in processes of their own."""
    refuse = ["--refuse"] if workload.refuses else ["--ntlm"] if workload.ntlm_slots else []
    started = [
        _start(["source", "--records", str(records)]),
        _start(["destination", "--records", str(records), "--latency-ms", str(workload.latency_ms), *refuse]),
    ]
    try:
        ports = [int((one.stdout.readline() if one.stdout else b"") or 0) for one in started]
        yield Servers(*[f"http://127.0.0.1:{port}" for port in ports])
    finally:
        for one in started:
            if one.stdin:
                one.stdin.close()  # the end of its input ends a server
            one.wait(timeout=10)
            if one.stdout:
                one.stdout.close()


def _start(arguments: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.server", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def measure(command: Sequence[str], environ: Mapping[str, str], folder: Path) -> Cost:
    """Run a command to its end and return what it cost.

    The numbers are the kernel's own (`wait4`): processes that the command waited for are in them.
    """
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=dict(environ), stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _pid, status, used = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    peak_mb = used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    told = [(folder / name).read_text("utf-8", "replace") for name in ("out", "err")]
    return Cost(used.ru_utime + used.ru_stime, wall_s, peak_mb, process.returncode, *told)


def plain_environ() -> dict[str, str]:
    """Return an environment in which nothing of this one's settings leaks into a client."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONHASHSEED": "0"}
