"""P8: what a plan no longer keeps is deleted, in short steps, on both databases; an open failure is announced before it goes."""

from __future__ import annotations

import re
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, insert, select, update

from integrator.errors import ConfigError, StopRunError
from integrator.model.audit import Line
from integrator.model.console import Content, Switch
from integrator.model.project import Wants, plans_of
from integrator.model.retention import IDS_TOLD, Expiring
from integrator.store.audit import SqlAudit
from integrator.store.audit_purge import may_purge, purge_audit
from integrator.store.console import SqlConsole
from integrator.store.console_files import FolderObjects
from integrator.store.database import open_engine, upgrade, writing
from integrator.store.expiring import expiring_soon
from integrator.store.grants import give
from integrator.store.projects import SqlProjects
from integrator.store.purge import Purge
from integrator.store.tables import console_logs, failures, flow_runs, runs, selection_ids, selections
from tests.services.postgres import PostgresServer

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

    def failure(self, days: float, state: str, project: str = "acme", count: int = 1, announced: float | None = None) -> None:
        at = NOW - timedelta(days=days)
        told = None if announced is None else NOW - timedelta(days=announced)
        row = {"project": project, "pipe": "sync", "flow": "items", "stage": "load", "error": "RecordRefusedError", "attempts": 1, "first_failed_at": at,
               "last_failed_at": at, "first_run_id": "r", "run_id": "r", "flow_run_id": "r", "state": state,
               "announced_at": told}  # fmt: skip
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
        more = {"now": NOW, **more}
        return {one.project: one for one in Purge(self.engine, self.objects, plans_of(more.pop("plans", "")), **more).every()}


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
        kept.failure(days, "open", announced=min(days, 3))
        kept.log(days / 5)
    kept.run(500, status="running")
    kept.failure(26.5, "waiting")
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
    assert dry["acme"].deleted == told["acme"].deleted
    assert told["acme"].deleted == {
        "failures_settled": 2, "failures_expired": 2, "flow_runs": 2, "runs": 2, "selected_ids": 1, "selections": 1, "console_logs": 1,
    }  # fmt: skip
    assert told["acme"].expiring == 1  # of 29 days
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


def test_many_failures_go_without_a_long_lock_or_much_memory(kept: Kept) -> None:
    kept.failure(400, "open", count=30_000, announced=3)
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
    assert told["acme"].deleted == {"failures_expired": 30_000}
    assert longest[0] < 1.0
    assert peak < 8 << 20  # bench/README.md says what a million take


def test_an_open_failure_is_announced_once_at_least_48_hours_before_it_goes(kept: Kept) -> None:
    kept.failure(27.5, "open", count=25)
    kept.failure(20, "open")
    kept.failure(400, "ignored")
    heard: list[Expiring] = []
    for hours in range(0, 24 * 6, 24):
        at = NOW + timedelta(hours=hours)
        dry, heard_now = kept.purge(now=at, dry=True)["acme"].announced, Heard(kept, at)
        assert dry == heard_now.told
        heard += heard_now.said
        left = kept.left(failures)
        assert left == (26 if hours < 72 else 1), hours
    [one] = heard
    assert (one.project, one.pipe, one.flow, one.count, len(one.entity_ids)) == ("acme", "sync", "items", 25, IDS_TOLD)
    assert one.goes_at == NOW + timedelta(days=2.5)


class Heard:
    """A purge with the failures that it announces, as they are told and as the report has them."""

    def __init__(self, kept: Kept, at: datetime) -> None:
        self.said: list[Expiring] = []
        self.told = kept.purge(now=at, tell=self.said.append)["acme"].announced
        assert self.told == self.said


def test_a_failure_that_fails_again_or_is_kept_longer_is_announced_for_its_new_end(kept: Kept) -> None:
    kept.failure(29, "open")
    assert Heard(kept, NOW).said
    SqlProjects(kept.engine).set("acme", Wants(plan="business"), "a test")
    assert not Heard(kept, NOW + timedelta(days=10)).said
    at = NOW + timedelta(days=59)
    assert [one.count for one in Heard(kept, at).said] == [1]
    with writing(kept.engine) as c:
        c.execute(update(failures).values(last_failed_at=at, state="retrying"))
    assert not Heard(kept, at + timedelta(days=80)).said
    assert Heard(kept, at + timedelta(days=88)).said
    assert kept.left(failures) == 1


def test_a_lowered_plan_still_gives_notice_of_open_failures(kept: Kept) -> None:
    kept.failure(20, "open")
    SqlProjects(kept.engine).set("acme", Wants(plan="trial"), "a test")
    [one] = Heard(kept, NOW).said
    assert one.goes_at == NOW + timedelta(hours=48)
    assert expiring_soon(kept.engine, plans_of(""), NOW + timedelta(hours=5)) == [one]
    assert kept.left(failures) == 1
    assert kept.purge(now=NOW + timedelta(hours=48))["acme"].deleted == {"failures_expired": 1}


def test_what_could_not_be_told_is_announced_again(kept: Kept) -> None:
    kept.failure(29, "open")

    def broken(_one: Expiring) -> None:
        raise StopRunError("the mail server refuses")

    with pytest.raises(StopRunError):
        kept.purge(tell=broken)
    assert [one.count for one in Heard(kept, NOW).said] == [1]
    assert not Heard(kept, NOW).said


def test_own_plans_are_used_and_one_that_is_gone_deletes_nothing(kept: Kept) -> None:
    for days in (5, 11):
        kept.run(days)
    SqlProjects(kept.engine).set("acme", Wants(plan="gold"), "a test")
    told = kept.purge()["acme"]
    assert told.deleted == {}
    assert "has the plan 'gold', which there is not (known: trial, standard, business, enterprise)" in str(told.fault)
    gold = "gold: run_days=10 failure_days=20, console_days=5 audit_days=60;"
    assert kept.purge(plans=gold)["acme"].deleted == {"flow_runs": 1, "runs": 1}


WRONG = {
    "gold": "it begins with its name",
    "Gold: run_days=1": "small letters",
    "trial: run_days=1": "already",
    "gold: run_days=1 failure_days=1 console_days=1": "lacks audit_days",
    "gold: run_days=ten": "'run_days=ten' is not one of",
    "gold: run=1": "'run=1' is not one of",
    "gold: run_days=0": "from 1 to",
    "gold: run_days=99999": "from 1 to 3650",
    "gold: audit_days=7": "from 30 to",
    "gold: run_days=1 run_days=2": "each once",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_plan_that_is_written_wrong_is_refused_with_why(text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(WRONG[text])):
        plans_of(text)


def test_the_audit_goes_by_its_own_days_and_the_chain_holds(kept: Kept) -> None:
    at = [NOW]
    audit = SqlAudit(kept.engine, b"key", now=lambda: at[0])
    for days in (400, 100, 50):
        at[0] = NOW - timedelta(days=days)
        for project in ("acme", "slow", "lost", ""):
            audit.add(Line("cli:x", "a.b", project))
    at[0] = NOW
    projects = SqlProjects(kept.engine)
    projects.set("slow", Wants(plan="business"), "a test")
    projects.set("lost", Wants(plan="gold"), "a test")
    more = (plans_of(""), "trial", "upkeep")
    dry = purge_audit(audit, projects, *more, dry=True, now=NOW)
    told = purge_audit(audit, projects, *more, now=NOW)
    assert told == dry
    assert {one.project: one.deleted for one in told} == {
        "acme": {"audit_lines": 2}, "slow": {"audit_lines": 1}, "lost": {}, "integrator": {"audit_lines": 3},
    }  # fmt: skip
    assert audit.verify() == []
    assert may_purge(kept.engine)


def test_our_own_role_may_not_purge_the_audit(postgres: PostgresServer, postgres_url: str) -> None:
    upgrade(postgres_url)
    role = f"r_{postgres_url.rpartition('_')[2]}"
    postgres.run(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    try:
        give(postgres_url, role)
        engine = open_engine(postgres.url(postgres_url.rpartition("/")[2], role, "x"))
        assert not may_purge(engine)
        engine.dispose()
    finally:
        for statement in (f"DROP OWNED BY {role}", f"DROP ROLE {role}"):
            postgres.run(statement, postgres_url.rpartition("/")[2])
