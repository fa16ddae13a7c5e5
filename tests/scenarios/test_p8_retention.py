"""P8: what a plan no longer keeps is deleted, in short steps, on both databases; an open failure is announced before it goes."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, insert, select

from integrator.errors import StopRunError
from integrator.model.console import Content, Switch
from integrator.model.project import Wants
from integrator.store.console import SqlConsole
from integrator.store.console_files import FolderObjects
from integrator.store.database import open_engine, upgrade, writing
from integrator.store.projects import SqlProjects
from integrator.store.purge import Purge
from integrator.store.tables import console_logs, failures, flow_runs, runs, selection_ids, selections

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass
class Kept:
    engine: Engine
    objects: FolderObjects

    def run(self, days: float, project: str = "acme", *, status: str = "success") -> str:
        name, at = f"{project}-{days}-{status}", NOW - timedelta(days=days)
        with writing(self.engine) as c:
            c.execute(
                insert(runs).values(id=name, project=project, pipe="sync", trigger="schedule", pipe_version="1", started_at=at)
            )
            c.execute(insert(flow_runs).values(id=name, run_id=name, project=project, pipe="sync", flow="items", ordinal=0, status=status,
                                               owner="x", heartbeat_at=at, started_at=at, ended_at=None if status == "running" else at))  # fmt: skip
        return name

    def failure(self, days: float, state: str, project: str = "acme", count: int = 1) -> None:
        at = NOW - timedelta(days=days)
        row = {"project": project, "pipe": "sync", "flow": "items", "stage": "load", "error": "RecordRefusedError", "attempts": 1, "first_failed_at": at,
               "last_failed_at": at, "first_run_id": "r", "run_id": "r", "flow_run_id": "r", "state": state}  # fmt: skip
        with writing(self.engine) as c:
            for start in range(0, count, 10_000):
                c.execute(
                    insert(failures),
                    [{**row, "entity_id": f"{state}-{days}-{n}"} for n in range(start, min(start + 10_000, count))],
                )

    def log(self, days: float, project: str = "acme") -> str:
        console = SqlConsole(self.engine, lambda: NOW - timedelta(days=days))
        console.enable(Switch(project, "sync", frozenset({Content.CALL}), NOW, 50, "x", NOW), 24)
        log = console.begin(project, "sync", f"run-{days}", "items")
        self.objects.put(log.key(0), b"x")
        return log.key(0)

    def left(self, table: Any) -> int:
        with self.engine.connect() as c:
            return int(c.scalar(select(func.count()).select_from(table)) or 0)

    def purge(self, **more: Any) -> dict[str, Any]:
        return {one.project: one for one in Purge(self.engine, self.objects, now=NOW, **more).every()}


@pytest.fixture(params=["sqlite", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    url = f"sqlite:///{tmp_path / 'journal.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    upgrade(url)
    made = Kept(open_engine(url), FolderObjects(tmp_path / "console"))
    yield made
    made.engine.dispose()


def test_each_thing_goes_by_its_plan_and_nothing_else(kept: Kept) -> None:
    for days in (1, 29, 31, 400):
        kept.run(days)
        kept.failure(days, "resolved")
        kept.failure(days, "open")
        kept.log(days / 5)
    kept.run(500, status="running")
    kept.failure(29.5, "open")
    kept.run(31, "generous")
    SqlProjects(kept.engine).set("generous", Wants(plan="enterprise"), "a test")
    with writing(kept.engine) as c:
        c.execute(
            insert(selections).values(id="s", project="acme", pipe="sync", created_at=NOW - timedelta(days=40), created_by="x")
        )
        c.execute(insert(selection_ids).values(selection_id="s", ordinal=0, entity_id="e1"))
    dry = kept.purge(dry=True)
    assert kept.left(runs) == 6
    told = kept.purge()
    assert (
        dry["acme"].deleted == told["acme"].deleted | {"runs": 0}
        or dry["acme"].deleted["flow_runs"] == told["acme"].deleted["flow_runs"]
    )
    assert told["acme"].deleted == {
        "failures_settled": 2, "failures_expired": 2, "flow_runs": 2, "runs": 2, "selected_ids": 1, "selections": 1, "console_logs": 1,
    }  # fmt: skip
    assert told["acme"].expiring == 2  # of 29 and 29.5 days
    assert told["generous"].deleted == {}
    assert (kept.left(runs), kept.left(failures), kept.left(selections), kept.left(console_logs)) == (4, 5, 0, 3)
    assert len(list(kept.objects.names(""))) == 3
    assert kept.purge()["acme"].deleted == {}  # again


def test_a_lower_plan_purges_and_a_higher_one_revives_nothing(kept: Kept) -> None:
    for days in (1, 10, 60):
        kept.run(days)
    projects = SqlProjects(kept.engine)
    projects.set("acme", Wants(plan="trial"), "a test")
    assert kept.purge()["acme"].deleted == {"flow_runs": 2, "runs": 2}
    projects.set("acme", Wants(plan="enterprise"), "a test")
    assert kept.purge()["acme"].deleted == {}
    assert kept.left(runs) == 1


class Refusing(FolderObjects):
    def delete(self, prefix: str) -> int:
        raise StopRunError("the bucket refuses")


def test_a_store_that_refuses_is_told_and_tried_again(kept: Kept) -> None:
    kept.log(50)
    kept.run(50)
    mended, kept.objects = kept.objects, Refusing(Path("/nowhere"))
    told = kept.purge()["acme"]
    assert (told.fault, told.deleted) == ("the bucket refuses", {"flow_runs": 1, "runs": 1})
    kept.objects = mended
    assert kept.purge()["acme"].deleted == {"console_logs": 1}
    assert list(kept.objects.names("")) == []


def test_a_hundred_thousand_failures_go_without_a_long_lock_or_much_memory(kept: Kept) -> None:
    kept.failure(400, "open", count=100_000)
    longest, over = [0.0], threading.Event()

    def writer() -> None:
        number = 0
        while not over.is_set():
            began, number = time.monotonic(), number + 1
            kept.failure(0, f"s{number}", project="other")
            longest[0] = max(longest[0], time.monotonic() - began)
            time.sleep(0.01)

    thread = threading.Thread(target=writer)
    thread.start()
    tracemalloc.start()
    told = kept.purge()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    over.set()
    thread.join()
    assert told["acme"].deleted == {"failures_expired": 100_000}
    assert longest[0] < 1.0
    assert peak < 8 << 20
