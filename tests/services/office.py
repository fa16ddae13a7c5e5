"""Two business systems of collections, a shop and an ERP, each with a real HTTP server in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import pytest
from aiohttp import web

from demo.office import Office
from integrator.model.credential import Credential


class Served:
    """An office with an address."""

    def __init__(self, office: Office, name: str) -> None:
        self.office, self.name, self.port = office, name, 0

    def start(self) -> Self:
        ready = threading.Event()

        def serve() -> None:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)

            async def up() -> None:
                self.runner = web.AppRunner(self.office.application(), access_log=None, shutdown_timeout=0.5)
                await self.runner.setup()
                site = web.TCPSite(self.runner, "127.0.0.1", self.port)
                await site.start()
                self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
                ready.set()

            self.loop.run_until_complete(up())
            self.loop.run_forever()
            self.loop.run_until_complete(self.runner.cleanup())
            self.loop.close()

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def credential(self, name: str | None = None, project: str = "acme", **extra: Any) -> Credential:
        return Credential(project, name or self.name, "none", self.url, {"plain_http": True, **extra})


@contextmanager
def served(name: str, **how: Any) -> Iterator[Served]:
    """Run an office for a while."""
    made = Served(Office(**how), name).start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def shop() -> Iterator[Served]:
    """A shop of this test's own."""
    with served("shop") as made:
        yield made


@pytest.fixture
def erp() -> Iterator[Served]:
    """An ERP of this test's own."""
    with served("erp", unique={"customers": "email", "orders": "external_no", "stock": "key", "prices": "key"}) as made:
        yield made
