"""A system that lets PHP's OAuth extension check signatures: code that shares nothing with ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.programs import free_port, needed, stop, wait_until_it_listens

SCRIPT = Path(__file__).with_name("oauth1_server.php")


@contextmanager
def running_php(consumer_key: str, consumer_secret: str, token: str = "", token_secret: str = "") -> Iterator[str]:
    """Run the system for a while; gives its URL."""
    php = needed("php", "php-cli php-oauth")
    if "OAuth" not in subprocess.run([php, "-m"], capture_output=True, text=True, check=True).stdout.split():
        pytest.fail("PHP's OAuth extension is missing: as root, apt-get install php-oauth (scripts/test does)")
    folder, port = Path(tempfile.mkdtemp(prefix="integrator-php-")), free_port()
    environ = {
        "PATH": os.environ.get("PATH", ""), "SEEN": str(folder), "CONSUMER_KEY": consumer_key, "CONSUMER_SECRET": consumer_secret,
        "TOKEN": token, "TOKEN_SECRET": token_secret,
    }  # fmt: skip
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [php, "-S", f"127.0.0.1:{port}", str(SCRIPT)],
            env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        wait_until_it_listens(port, process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)
