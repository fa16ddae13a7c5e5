"""One journal of each kind, and a clock that tests move."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from integrator.model.run import (
    Counts,
    Failure,
    FlowKey,
    Kind,
    Notes,
    OpenedFlowRun,
    RunKey,
    Trigger,
)
from integrator.store import database
from integrator.store.database import open_engine, upgrade
from integrator.store.journal import SqlJournal
from integrator.store.memory import MemoryJournal
from integrator.store.tables import metadata
from tests.services.postgres import PostgresServer

KEY = FlowKey("acme", "orders", "orders")
AnyJournal = SqlJournal | MemoryJournal


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    at: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def pass_s(self, seconds: float) -> None:
        """Move on."""
        self.at += timedelta(seconds=seconds)


@dataclass
class Desk:
    """A journal with short ways to do what the engine does."""

    journal: AnyJournal
    clock: Clock
    owners: dict[str, str] = field(default_factory=dict)

    def open(
        self, trigger: Trigger = Trigger.SCHEDULE, *, key: FlowKey = KEY, owner: str = "", **run: str | None
    ) -> OpenedFlowRun:
        """Open a flow run under a new run, or under the one that is named."""
        named: dict[str, str | None] = {"run_id": str(uuid4()), **run}
        owner = owner or f"elsewhere:1:1:{uuid4()}"
        opened = self.journal.open_flow_run(key, RunKey(trigger=trigger, **named), owner)  # type: ignore[arg-type]
        self.owners[opened.flow_run_id] = owner
        return opened

    def note(self, opened: OpenedFlowRun, notes: Notes) -> None:
        """Note as the flow run's owner."""
        self.journal.note(opened.flow_run_id, self.owners[opened.flow_run_id], notes)

    def fail(self, opened: OpenedFlowRun, *entity_ids: str, error: str = "RecordRefusedError") -> None:
        """Note these records as failed."""
        failures = [Failure(entity_id, "load", error, 422, "bad.sku", "lines[0].sku") for entity_id in entity_ids]
        counts = Counts()
        counts.count(Kind.FAILED, len(failures))
        self.note(opened, Notes(counts, failures))

    def succeed(self, opened: OpenedFlowRun, *entity_ids: str) -> None:
        """Note these records as updated."""
        counts = Counts()
        counts.count(Kind.UPDATED, len(entity_ids))
        self.note(opened, Notes(counts, succeeded=list(entity_ids)))


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is moved."""
    return Clock()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite journal's URL; there is no file yet."""
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> str:
    """The URL of a database with our tables, to be emptied by each test that uses it."""
    url = postgres.new_database()
    upgrade(url)
    return url


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def new_journal(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Callable[[], AnyJournal]]:
    """Make journals over one and the same store, each with connections of its own."""
    if request.param == "memory":
        twin = MemoryJournal(stale_after_s=60, now=clock)
        yield lambda: twin
        return
    if request.param == "sqlite":
        url = request.getfixturevalue("sqlite_url")
        upgrade(url)
    else:
        url = request.getfixturevalue("migrated_postgres")
        names = ", ".join(table.name for table in metadata.sorted_tables)
        request.getfixturevalue("postgres").run(f"TRUNCATE {names} RESTART IDENTITY", url.rpartition("/")[2])
    engines = []

    def make() -> AnyJournal:
        engines.append(open_engine(url))
        return SqlJournal(engines[-1], stale_after_s=60, now=clock)

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture
def desk(new_journal: Callable[[], AnyJournal], clock: Clock) -> Desk:
    """A desk over each kind of journal."""
    return Desk(new_journal(), clock)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of each kind."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with our tables, to be copied: making them takes longer than most tests."""
    file = tmp_path_factory.mktemp("migrated") / "journal.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture(params=["sqlite", "postgres"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of each kind with our tables, all of them empty. None may be dropped."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "migrated.db")
        return f"sqlite:///{tmp_path / 'migrated.db'}"
    url = str(request.getfixturevalue("migrated_postgres"))
    names = ", ".join(table.name for table in metadata.sorted_tables)
    request.getfixturevalue("postgres").run(f"TRUNCATE {names} RESTART IDENTITY", url.rpartition("/")[2])
    return url


@pytest.fixture(autouse=True)
def _dispose_of_engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave no connection open behind a test."""
    made: list[Engine] = []
    make = database.create_engine

    def making(*args: Any, **kwargs: Any) -> Engine:
        made.append(make(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(database, "create_engine", making)
    yield
    for engine in made:
        engine.dispose()
