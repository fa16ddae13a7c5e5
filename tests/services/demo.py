"""The demo shop and ERP as real processes on free ports, for any test that needs two systems.

Use the fixtures `demo_shop` and `demo_erp`, or the classes as context managers.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

ROOT = Path(__file__).parents[2]
PASSWORD = "demo-shop-password-for-tests"
TOKEN = "demo-erp-token-for-tests"


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DemoServer:
    """One demo server in its own process; ended by its pid."""

    name: ClassVar[str]
    extra: ClassVar[dict[str, Any]]
    authorization: str

    def __init__(self, *arguments: str, home: Path | None = None) -> None:
        """Prepare a server; `arguments` go to `python -m demo`, `home` keeps its state over a restart."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.home = home
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None

    def at(self, url: str, authorization: str) -> Self:
        """Speak to a server that something else has started."""
        self.url, self.authorization = url, authorization
        return self

    @property
    def connection(self) -> dict[str, str]:
        """The variable with this server's connection, as a pipe of project demo needs it."""
        value = {"conn_type": self.extra["conn_type"], "host": self.url, "extra": {**self.extra["extra"], "plain_http": True}}
        return {f"AIRFLOW_CONN_DEMO__{self.name.upper()}": json.dumps(value)}

    def start(self) -> Self:
        """Start and wait until it answers, 20 s at most."""
        environ = {**os.environ, **self.connection, "PYTHONPATH": str(ROOT / "include")}
        kept = ["--home", str(self.home)] if self.home else ["--forget"]
        command = [sys.executable, "-m", "demo", self.name, *kept, *self.arguments]
        self.process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=1).close()
            except (urllib.error.URLError, OSError):
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
            else:
                return self
        self.stop()
        raise RuntimeError(f"the demo {self.name} did not start")

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the process that `start` began."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_error: object) -> None:
        """Stop."""
        self.stop()

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and JSON of one call with the right credentials."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": self.authorization, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


class DemoShop(DemoServer):
    """The shop: 2,000 orders behind Basic auth (`--orders N` for fewer)."""

    name = "shop"
    extra: ClassVar[dict[str, Any]] = {"conn_type": "integrator_basic", "extra": {"username": "integrator", "password": PASSWORD}}
    authorization = "Basic " + base64.b64encode(f"integrator:{PASSWORD}".encode()).decode()

    def touch(self, *entity_ids: str) -> None:
        """Give orders a change now."""
        self.ask("POST", "/admin/touch", {"ids": entity_ids})

    def remove(self, entity_id: str) -> None:
        """Delete an order."""
        self.ask("DELETE", f"/rest/V1/orders/{entity_id}")


class DemoErp(DemoServer):
    """The ERP: refuses 24 of the 2,000 orders until it is repaired."""

    name = "erp"
    extra: ClassVar[dict[str, Any]] = {"conn_type": "integrator_bearer", "extra": {"token": TOKEN}}
    authorization = f"Bearer {TOKEN}"

    def counts(self) -> dict[str, Any]:
        """Return what the ERP counted: orders, distinct, creates, updates, refused, duplicates."""
        return dict(self.ask("GET", "/admin/counts")[1])

    def repair(self) -> None:
        """Let it take the odd orders."""
        self.ask("POST", "/admin/repair")

    def break_(self) -> None:
        """Let it refuse the odd orders again."""
        self.ask("POST", "/admin/break")

    def reset(self) -> None:
        """Let it forget every order."""
        self.ask("POST", "/admin/reset")


@pytest.fixture
def demo_shop() -> Iterator[DemoShop]:
    """A shop with its 2,000 orders."""
    with DemoShop() as shop:
        yield shop


@pytest.fixture
def demo_erp() -> Iterator[DemoErp]:
    """An ERP that has no order yet."""
    with DemoErp() as erp:
        yield erp
