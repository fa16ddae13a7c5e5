"""P6: ways in which a careful look at the engine once lost, doubled or mislabelled records; each stays closed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from integrator.engine.edge import Edge
from integrator.engine.marks import Marker
from integrator.engine.move import Asked
from integrator.errors import RecordError, SignInAgainError, TryAgainError, UnavailableError
from integrator.mapping.stamps import read_stamp, written
from integrator.model.pipe import Since
from integrator.model.run import Cursor, FlowKey, RunKey, Trigger
from tests.scenarios.test_p6_every_record_is_accounted_for import BULK, BY_KEY
from tests.services.moving import MATCH, checked, failures, flow, move, parts, plan, rerun
from tests.services.system import System, record

KEY = FlowKey("acme", "sync", "items")
RUN = RunKey("11111111-1111-4111-8111-111111111111", Trigger.SCHEDULE, "acme.sync", "run-1")


def since(**more: Any) -> dict[str, Any]:
    return flow(source={"params": {"since": "{since}"}, "since": {"field": "updated_at", **more}})


@pytest.mark.parametrize("how", ["busy", "unauthorized", "cancel"])
async def test_records_that_were_never_sent_are_not_in_doubt(system: System, how: str) -> None:
    """A run that ends in order, in a flow that cannot repeat, takes back what it had announced and not sent."""
    system.records = [record(n) for n in range(300)]
    made, compiled = parts(system.credential(), attempts=1), plan(flow(destination={"in_flight": 4}))
    if how == "cancel":
        system.latency_s = 0.02
        task = asyncio.create_task(move(made, compiled))
        while len(system.stored) < 20:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        system.latency_s = 0
    else:
        system.on_write = lambda _one: how if len(system.stored) >= 20 else "ok"
        with pytest.raises((UnavailableError, SignInAgainError)):
            await move(made, compiled)
    system.on_write = lambda _one: "ok"
    report = await move(made, compiled)
    assert report.counts.unknown == 0
    assert len(system.stored) + len(failures(made)) == 300  # what was refused while others passed is a failure
    assert len(failures(made)) <= 4
    assert system.duplicates() == []


async def test_airflow_s_retry_after_an_outage_has_nothing_in_doubt(system: System) -> None:
    system.records = [record(n) for n in range(100)]
    system.on_write = lambda _one: "busy" if len(system.stored) >= 30 else "ok"
    made, compiled = parts(system.credential(), attempts=1), plan(flow(destination={"in_flight": 4}))
    with pytest.raises(TryAgainError):
        await move(made, compiled, Asked(last_try=False), RUN)
    system.on_write = lambda _one: "ok"
    report = await move(made, compiled, run=RUN)
    assert (report.counts.read, report.counts.unknown) == (100, 0)
    assert report.counts.created >= 96
    assert system.duplicates() == []


async def test_a_record_that_changes_between_two_attempts_is_not_lost(system: System) -> None:
    system.records = [record(n) for n in range(40)]
    system.on_write = lambda _one: "busy" if len(system.stored) >= 20 else "ok"
    slow = since()
    slow["destination"]["in_flight"] = 2
    made, compiled = parts(system.credential(), attempts=1), plan(slow)
    with pytest.raises(TryAgainError):
        await move(made, compiled, Asked(last_try=False), RUN)
    sent = system.stored[3]["ext"]
    at = next(n for n, one in enumerate(system.records) if one["id"] == sent)
    system.records[at] = record(50, id=sent, name="newer")
    system.on_write = lambda _one: "ok"
    await move(made, compiled, run=RUN)
    assert [one["name"] for one in system.stored if one["ext"] == sent][-1] == "newer"


def test_the_cursor_stays_behind_the_first_attempt_s_start() -> None:
    edge = Edge(Since(field="u"), None, Marker(b"k" * 32))
    edge.fresh("a", {"u": "2026-06-01T12:00:00Z"})
    cursor = edge.moved(datetime(2026, 6, 1, 11, tzinfo=UTC))
    assert cursor is not None
    assert cursor.value == "2026-06-01T11:00:00Z"


async def test_a_second_change_within_one_step_of_the_stamp_is_moved(system: System) -> None:
    made, compiled = parts(system.credential()), plan(since(format="%Y-%m-%d", precision="1d"))
    for name in ("first", "second", "second"):
        system.records = [record(1, updated_at="2026-03-01", name=name)]
        system.on_read = lambda request: web.json_response({"items": system.records if request.query.get("page") == "1" else []})
        await move(made, compiled)
    assert [one["name"] for one in system.stored] == ["first", "second"]


async def test_from_a_later_time_leaves_no_gap(system: System) -> None:
    system.records = [record(n) for n in range(20)]
    made, compiled = parts(system.credential()), plan(since())
    made.journal.set_cursor(KEY, "2026-01-01T00:00:05Z")
    await move(made, compiled, Asked(since="2026-01-01T00:00:15Z"))
    assert (made.journal.cursor(KEY) or Cursor("")).value == "2026-01-01T00:00:05Z"


def test_the_repeated_hour_is_read_from_its_start() -> None:
    spec = Since(field="u", format="%Y-%m-%d %H:%M:%S", zone="America/New_York")
    asked = written(read_stamp("2026-11-01T05:59:00Z", spec), spec).written()  # type: ignore[arg-type, union-attr]
    assert asked == "2026-11-01 01:00:00"
    assert written(read_stamp("2026-11-01T08:00:00Z", spec), spec).written() == "2026-11-01 03:00:00"  # type: ignore[arg-type, union-attr]


@pytest.mark.parametrize("stamp", ["1" * 31, 10**30, "1e400"])
def test_a_number_that_would_park_the_cursor_is_a_failed_record(stamp: Any) -> None:
    edge = Edge(Since(field="u", format="number"), None, Marker(b"k" * 32))
    with pytest.raises(RecordError):
        edge.fresh("a", {"u": stamp})


async def test_only_a_lone_answer_proves_that_a_record_is_gone(system: System) -> None:
    system.records = [record(n) for n in range(6)]
    by_id = {"path": "/items", "params": {"ids": "{join(entity_ids, ',')}"}, "records": "items", "up_to": 6}
    made, compiled = parts(system.credential()), plan(flow(source={"by_id": by_id}, tolerate=6))
    system.on_write = lambda _one: "refuse"
    await move(made, compiled)
    system.on_write = lambda _one: "ok"

    def capped(request: web.Request) -> web.StreamResponse:
        ids = request.query["ids"].split(",")
        return web.json_response({"items": [one for one in system.records if one["id"] in ids][:2]})

    system.on_read = lambda _request: web.json_response({"error": "busy"})
    assert (await rerun(made, compiled)).counts.failed == 6
    assert set(failures(made, "gone")) == set()
    system.on_read = capped
    assert (await rerun(made, compiled)).counts.created == 6


async def test_half_a_batch_that_is_lost_does_not_hide_the_other_half(system: System) -> None:
    system.records = [record(n) for n in range(8)]

    def bulk(orders: list[dict[str, Any]]) -> str | None:
        if len(orders) > 4:
            return "refuse"
        return "busy" if orders[0]["ext"] == "r4" else None

    system.on_bulk = bulk
    batch = {"batch": {**BULK["batch"], "size": 8}}
    made, compiled = parts(system.credential(), attempts=1), plan(flow(destination=batch, tolerate=8))
    report = await move(made, compiled)
    assert (report.counts.created, report.counts.failed) == (4, 4)
    system.on_bulk = lambda _orders: None
    await rerun(made, compiled)
    assert system.duplicates() == []
    assert len(system.stored) == 8


async def test_a_key_that_repeats_in_a_batch_s_answer_tells_nothing(system: System) -> None:
    system.records = [record(1), record(2)]
    answer = {"results": [{"ext": "r1", "code": "bad"}, {"ext": "r1", "code": "ok"}]}
    system.on_bulk = lambda _orders: web.json_response(answer)
    report = await move(parts(system.credential()), plan(flow(destination=BY_KEY, tolerate=2)))
    assert (report.counts.created, report.counts.unknown) == (0, 2)


async def test_a_typo_in_match_records_creates_nothing(system: System) -> None:
    system.records = [record(1)]
    made = parts(system.credential())
    await move(made, plan(flow(destination={"match": {**MATCH, "records": "dta"}}, tolerate=1)))
    assert failures(made)["r1"].code == "match_shape"
    assert system.stored == []


async def test_two_flows_never_have_an_idempotency_key_in_common(system: System) -> None:
    system.records = [record(1)]
    for name in ("one", "two"):
        compiled = plan(flow(destination={"idempotency": {}}))
        compiled.key = FlowKey("acme", "sync", name)
        await move(parts(system.credential()), compiled)
    keys = [h["Idempotency-Key"] for h in system.headers_seen if "Idempotency-Key" in h]
    assert len(set(keys)) == 2


@pytest.mark.parametrize("status", [520, 522, 524, 599])
async def test_a_gateway_s_own_statuses_leave_the_outcome_unknown(system: System, status: int) -> None:
    system.records = [record(1)]
    system._act = lambda *_call: web.Response(status=status)  # type: ignore[method-assign]
    report = await move(parts(system.credential()), plan(flow(tolerate=1)))
    assert report.counts.unknown == 1


async def test_a_number_of_the_record_is_not_kept_as_an_error_code(system: System) -> None:
    system.records = [record(1, amount=123456)]
    system._act = lambda *_call: web.json_response({"error": {"code": 123456}}, status=422)  # type: ignore[method-assign]
    made = parts(system.credential())
    await move(made, plan(flow(tolerate=1)))
    assert failures(made)["r1"].code is None


async def test_what_json_cannot_hold_fails_its_record_only(system: System) -> None:
    text = (
        '{"items": [{"id": "a", "name": "x", "amount": NaN}, {"id": "b", "name": "x", "amount": %s}, {"id": "c", "name": "x", "amount": 1}]}'
        % ("9" * 5000)
    )
    system.on_read = lambda request: web.Response(
        text=text if request.query.get("page") == "1" else '{"items": []}', content_type="application/json"
    )
    made = parts(system.credential())
    report = await move(made, plan(flow(tolerate=2)))
    assert (report.counts.created, report.counts.failed) == (1, 2)
    assert set(failures(made)) == {"a", "b"}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"field": "a["}, "not an expression"), ({"field": "u", "overlap": "999999999999w"}, "ten years"), ({"field": "u", "start": "banana"}, "not a time"),
        ({"field": "u", "format": "%Q"}, "strptime"), ({"field": "u", "format": "banana"}, "strptime"),
    ],
)  # fmt: skip
def test_a_since_that_could_never_work_is_a_fault(spec: dict[str, Any], said: str) -> None:
    made = checked(flow(source={"params": {"since": "{since}"}, "since": spec}))
    assert any(said in fault.message for fault in made.faults), made.faults
