"""Many rows go in short transactions, found without a lock and without looking at any row twice."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import event, insert, select, text

from integrator.store import in_steps
from integrator.store.database import open_engine, upgrade, writing
from integrator.store.in_steps import Steps, by_key_alone
from integrator.store.tables import failures

AT = datetime(2026, 1, 1, tzinfo=UTC)
MINE = (
    (failures.c.project == "acme")
    & failures.c.state.not_in(["open"])
    & (failures.c.last_failed_at < datetime(2026, 2, 1, tzinfo=UTC))
)


def filled(url: str, count: int) -> Any:
    upgrade(url)
    engine = open_engine(url)
    row = {"pipe": "p", "flow": "f", "stage": "load", "error": "E", "attempts": 1, "first_failed_at": AT, "last_failed_at": AT, "first_run_id": "r",
           "run_id": "r", "flow_run_id": "r", "state": "gone"}  # fmt: skip
    with writing(engine) as c:
        c.execute(insert(failures), [{**row, "project": ("acme", "other")[n % 2], "entity_id": str(n)} for n in range(count)])
    return engine


def test_rows_go_in_steps_and_others_stay(url: str) -> None:
    engine, slept = filled(url, 4000), list[float]()
    steps: list[int] = []
    event.listen(
        engine,
        "after_cursor_execute",
        lambda _c, cursor, said, *_: steps.append(cursor.rowcount) if said.startswith("DELETE") else None,
    )
    made = Steps(engine, slept.append)
    assert made.walk(failures, "id", MINE) == 2000
    assert made.walk(failures, "id", MINE) == 0
    with engine.connect() as c:
        assert set(c.scalars(select(failures.c.project))) == {"other"}
        assert len(c.scalars(select(failures.c.id)).all()) == 2000
    assert sum(steps) == 2000
    assert len(steps) == len(slept) >= 2
    assert max(steps) <= in_steps.MOST


def test_a_step_that_takes_long_is_followed_by_a_smaller_one(sqlite_url: str, monkeypatch: Any) -> None:
    engine = filled(sqlite_url, 4000)
    monkeypatch.setattr(in_steps, "LONG_S", 0.0)
    made = Steps(engine, lambda _s: None)
    assert made.delete(failures, ("id",), MINE) == 2000
    assert made._rows == in_steps.LEAST


def test_sqlite_takes_the_key_and_no_index_of_names(sqlite_url: str) -> None:
    """Sorting all rows of a project for each step took hours for a million of them."""
    engine = filled(sqlite_url, 10)
    for where in (MINE, by_key_alone(failures, failures.c.id, MINE)):
        found = select(failures.c.id).where(where, failures.c.id > 3).order_by(failures.c.id).limit(5)
        said = str(found.compile(engine, compile_kwargs={"literal_binds": True}))
        with engine.connect() as c:
            plan = " ".join(str(row[3]) for row in c.execute(text(f"EXPLAIN QUERY PLAN {said}")))
            rows = list(c.execute(text(said)))
        assert ("INTEGER PRIMARY KEY" in plan) == (where is not MINE), plan
        assert [row[0] for row in rows] == [5, 7, 9]


def test_a_database_that_is_busy_is_asked_again(sqlite_url: str) -> None:
    engine, slept = filled(sqlite_url, 10), list[float]()
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if other.in_transaction:
            other.execute("COMMIT")

    event.listen(engine, "connect", lambda connection, _record: connection.execute("PRAGMA busy_timeout = 10"))
    engine.dispose()  # those that are open would wait for 30 s
    assert Steps(engine, sleep).walk(failures, "id", MINE) == 5
    assert slept[0] == 1
    other.close()
