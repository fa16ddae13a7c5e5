"""Two business systems of collections, a shop and an ERP, each with a real HTTP server in a thread of its own."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import pytest
from aiohttp import web

from demo.office import Office
from integrator.model.credential import Credential
from tests.services.move_process import Process, kill
from tests.services.threaded import Threaded


class Served(Threaded):
    """An office with an address."""

    def __init__(self, office: Office, name: str) -> None:
        self.office, self.name = office, name

    def application(self) -> web.Application:
        return self.office.application()

    def start(self) -> Self:
        self.serve()
        return self

    def credential(self, name: str | None = None, project: str = "acme", **extra: Any) -> Credential:
        return Credential(project, name or self.name, "none", self.url, {"plain_http": True, **extra})


def kill_among_calls(process: Process, sides: Iterable[Served], most: int, chance: random.Random) -> bool:
    """Kill a process once it has made a random number of calls, up to `most`, and a moment more; returns False if it ended before."""
    wanted = sum(side.office.calls.total() for side in sides) + chance.randrange(1, most)
    while process.poll() is None and sum(side.office.calls.total() for side in sides) < wanted:
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.01))
    killed = process.poll() is None
    if killed:
        kill(process)
    return killed


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
