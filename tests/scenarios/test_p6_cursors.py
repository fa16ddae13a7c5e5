"""P6: a cursor loses nothing and doubles nothing: inclusive, overlapping, never past what is unsettled, never back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrator.engine.edge import Edge
from integrator.engine.marks import Marker
from integrator.engine.move import Asked
from integrator.errors import ConfigError, SourceBrokenError
from integrator.mapping.stamps import checked_cursor
from integrator.model.pipe import Since
from integrator.model.run import FlowKey
from tests.services.moving import MATCH, failures, flow, move, parts, plan
from tests.services.system import System, record

KEY = FlowKey("acme", "sync", "items")


def since(destination: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return flow(
        source={"params": {"since": "{since}"}, "since": {"field": "updated_at", "precision": "1s", **more}},
        destination=destination,
    )


async def test_only_what_is_new_is_read_again_and_the_edge_is_not_sent_twice(system: System) -> None:
    system.records = [record(n) for n in range(50)]
    made, compiled = parts(system.credential()), plan(since())
    assert (await move(made, compiled)).counts.created == 50
    second = await move(made, compiled)
    assert (second.counts.read, second.counts.skipped) == (1, 1)  # the inclusive bound reads the last one again, and knows it
    system.records.append(record(49, id="late", name="same second"))  # equal timestamp, came later
    system.records.append(record(51))
    third = await move(made, compiled)
    assert (third.counts.created, third.counts.skipped) == (2, 1)
    assert system.duplicates() == []


async def test_late_records_inside_the_overlap_are_found(system: System) -> None:
    system.records = [record(n) for n in range(100)]
    made, compiled = parts(system.credential()), plan(since(overlap="30s"))
    await move(made, compiled)
    system.records.append(record(80, id="late"))
    report = await move(made, compiled)
    assert report.counts.created == 1
    assert report.counts.skipped == 31  # both ends of 30 s
    assert system.duplicates() == []


async def test_a_changed_record_is_sent_again_its_old_version_is_not(system: System) -> None:
    system.records = [record(n) for n in range(10)]
    made, compiled = parts(system.credential()), plan(since({"match": {**MATCH, "found": "update"}}, overlap="1m"))
    await move(made, compiled)
    system.records[3] = record(20, id="r3", name="changed")
    report = await move(made, compiled)
    assert (report.counts.updated, report.counts.created) == (1, 0)


async def test_the_cursor_stays_when_the_list_breaks_half_way(system: System) -> None:
    system.records = [record(n) for n in range(300)]
    made, compiled = parts(system.credential()), plan(since({"match": MATCH}))
    system.on_read = lambda request: web.json_response({"no": 1}) if request.query.get("page") == "3" else None
    with pytest.raises(SourceBrokenError):
        await move(made, compiled)
    assert made.journal.cursor(KEY) is None
    system.on_read = lambda _request: None
    report = await move(made, compiled)
    assert report.counts.read == 300
    assert len(system.stored) == 300
    assert system.duplicates() == []


async def test_the_cursor_passes_failed_records_because_their_ids_are_kept(system: System) -> None:
    system.records = [record(n) for n in range(10)]
    system.on_write = lambda one: "refuse" if one["ext"] in ("r3", "r9") else "ok"
    made, compiled = parts(system.credential()), plan(since())
    await move(made, compiled)
    cursor = made.journal.cursor(KEY)
    assert cursor is not None
    assert cursor.value == "2026-01-01T00:00:09Z"
    assert set(failures(made)) == {"r3", "r9"}
    system.on_write = lambda _one: "ok"
    assert (await move(made, compiled)).counts.skipped == 1  # r9 is read again at the edge, and only a rerun sends it again
    assert set(failures(made)) == {"r3", "r9"}


async def test_a_stamp_from_the_future_does_not_hide_what_comes_before_it(system: System) -> None:
    far = (datetime.now(UTC) + timedelta(days=400)).isoformat().replace("+00:00", "Z")
    system.records = [record(1), record(2, updated_at=far)]
    made, compiled = parts(system.credential()), plan(since())
    await move(made, compiled)
    cursor = made.journal.cursor(KEY)
    assert cursor is not None
    assert datetime.fromisoformat(cursor.value) <= datetime.now(UTC)
    system.records.append(record(3, updated_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")))
    assert (await move(made, compiled)).counts.created == 1
    assert system.duplicates() == []


async def test_a_clock_that_was_set_back_does_not_move_the_cursor_back(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    from integrator.engine import move as moving

    system.records = [record(n) for n in range(10)]
    made, compiled = parts(system.credential()), plan(since())
    await move(made, compiled)

    class Yesterday(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2020, 1, 1, tzinfo=tz)

    monkeypatch.setattr(moving, "datetime", Yesterday)
    system.records.append(record(30))
    await move(made, compiled)
    cursor = made.journal.cursor(KEY)
    assert cursor is not None
    assert cursor.value == "2026-01-01T00:00:09Z"
    monkeypatch.undo()
    assert (await move(made, compiled)).counts.created == 0  # r30 is known although the cursor stayed
    assert system.duplicates() == []


async def test_records_without_a_stamp_are_moved_once(system: System) -> None:
    system.records = [record(1), record(2, updated_at=None)]
    system.on_read = lambda _request: web.json_response({"items": system.records}) if _request.query.get("page") == "1" else None
    made, compiled = parts(system.credential()), plan(since())
    await move(made, compiled)
    assert (await move(made, compiled)).counts.created == 0
    assert system.duplicates() == []


async def test_a_stamp_of_another_form_is_a_failed_record(system: System) -> None:
    system.records = [record(1), record(2, updated_at="yesterday")]
    made = parts(system.credential())
    report = await move(made, plan({**since(), "tolerate": 1}))
    assert (report.counts.created, report.counts.failed) == (1, 1)
    assert failures(made)["r2"].code == "since_form"


async def test_full_and_from_read_again_without_moving_the_cursor_back(system: System) -> None:
    system.records = [record(n) for n in range(20)]
    made, compiled = parts(system.credential()), plan(since({"match": MATCH}))
    await move(made, compiled)
    assert (await move(made, compiled, Asked(full=True))).counts.skipped == 20
    assert (await move(made, compiled, Asked(since="2026-01-01T00:00:15Z"))).counts.skipped == 5
    cursor = made.journal.cursor(KEY)
    assert cursor is not None
    assert cursor.value == "2026-01-01T00:00:19Z"


@pytest.mark.parametrize(
    ("form", "stamp", "asked"),
    [
        ("iso", "2026-03-01T10:00:00.900Z", "2026-03-01T10:00:00Z"),
        ("%Y-%m-%d %H:%M:%S", "2026-03-01 10:00:00", "2026-03-01 10:00:00"),
        ("epoch", 1772359200, "1772359200"),
        ("epoch_ms", 1772359200123, "1772359200000"),
        ("number", 4711, "4711"),
    ],
)
async def test_each_form_of_stamp_is_asked_for_as_the_source_writes_it(system: System, form: str, stamp: Any, asked: str) -> None:
    system.records = [record(1, updated_at=stamp)]
    seen: list[str] = []
    system.on_read = lambda request: (
        seen.append(request.query.get("since", "-"))
        or web.json_response({"items": system.records if request.query.get("page") == "1" else []})
    )  # type: ignore[func-returns-value]
    made, compiled = parts(system.credential()), plan(since(format=form))
    await move(made, compiled)
    await move(made, compiled)
    assert seen[0] == "-"
    assert seen[-1] == asked
    assert len(system.stored) == 1


async def test_a_zone_is_that_of_the_source(system: System) -> None:
    system.records = [record(1, updated_at="2026-07-01 12:00:00")]
    seen: list[str] = []
    system.on_read = lambda request: (
        seen.append(request.query.get("since", "-"))
        or web.json_response({"items": system.records if request.query.get("page") == "1" else []})
    )  # type: ignore[func-returns-value]
    made, compiled = parts(system.credential()), plan(since(format="%Y-%m-%d %H:%M:%S", zone="America/New_York"))
    await move(made, compiled)
    cursor = made.journal.cursor(KEY)
    assert cursor is not None
    assert cursor.value == "2026-07-01T16:00:00Z"
    await move(made, compiled)
    assert seen[-1] == "2026-07-01 12:00:00"


def test_a_cursor_that_is_no_time_is_refused() -> None:
    with pytest.raises(ConfigError):
        checked_cursor("soon", Since(field="u"))
    assert checked_cursor("2026-01-01", Since(field="u")) == "2026-01-01T00:00:00Z"
    assert checked_cursor("12", Since(field="u", format="number")) == "12"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rounds=st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), max_size=12), min_size=1, max_size=8),
    overlap=st.integers(0, 50),
    precision=st.sampled_from([1, 5]),
)
def test_every_version_is_moved_exactly_once_as_long_as_it_is_not_later_than_the_overlap(
    rounds: list[list[tuple[int, int]]], overlap: int, precision: int
) -> None:
    """Records change at any time, in any order, several in one second; what comes late by no more than the overlap is never lost."""
    spec = Since.model_validate({"field": "u", "overlap": f"{overlap}s", "precision": f"{precision}s"})
    start, marker, cursor = datetime(2026, 1, 1, tzinfo=UTC), Marker(b"k" * 32), None
    there: dict[str, dict[str, Any]] = {}
    moved: list[tuple[str, str]] = []
    now = 0
    for changes in rounds:
        now += 20
        newest = max((datetime.fromisoformat(r["u"]) for r in there.values()), default=start)
        for number, late in changes:
            at = max(start + timedelta(seconds=now - late), newest - timedelta(seconds=overlap))
            there[f"r{number}"] = {"id": f"r{number}", "u": at.isoformat()}
        edge = Edge(spec, cursor, marker)
        bound = edge.bound()
        for one in there.values():
            if (bound is None or datetime.fromisoformat(one["u"]) >= bound) and edge.fresh(one["id"], one):  # type: ignore[operator]
                moved.append((one["id"], one["u"]))
        cursor = edge.moved(start + timedelta(seconds=now)) or cursor
        for one in there.values():
            assert moved.count((one["id"], one["u"])) == 1
