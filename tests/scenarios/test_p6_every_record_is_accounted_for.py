"""P6: at the end of each run `read` is the sum of the outcomes, every failed ID is kept, and nothing is lost or doubled."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from aiohttp import web

from integrator.engine.move import Asked
from integrator.errors import ConfigError, SignInAgainError, TryAgainError, UnavailableError
from integrator.model.run import Status
from tests.services.moving import MATCH, failures, flow, move, parts, plan, rerun
from tests.services.system import System, record

BULK = {
    "batch": {
        "path": "/orders/bulk",
        "size": 10,
        "body": {"orders": "records"},
        "answer": {"records": "results", "by": "index", "success": 'code == "ok"', "code": "code"},
    }
}
BY_KEY = {"batch": {**BULK["batch"], "answer": {**BULK["batch"]["answer"], "by": {"key": "ext"}}}}  # type: ignore[dict-item]
WHOLE = {"batch": {"path": "/orders/bulk", "size": 16, "body": {"orders": "records"}, "answer": {"by": "all_or_nothing"}}}
JOB = {
    "batch": {
        "path": "/orders/jobs", "size": 10, "body": {"orders": "records"},
        "answer": {"records": "results", "success": 'code == "ok"', "code": "code",
                   "by": {"poll": "/orders/jobs/{answer.job.id}", "done": 'status != "open"', "every": "10ms", "within": "5s"}},
    }
}  # fmt: skip


def holds(report: Any) -> None:
    assert report.counts.adds_up()


@pytest.mark.parametrize(
    "destination",
    [{}, {"match": MATCH}, BULK, BY_KEY, WHOLE, JOB, {"idempotency": {}}],
    ids=["post", "match", "index", "key", "whole", "job", "idempotent"],
)
async def test_one_percent_refused_is_named_exactly_and_the_rest_moves(system: System, destination: dict[str, Any]) -> None:
    system.records = [record(n) for n in range(300)]
    bad = {"r7", "r150", "r299"}
    system.on_write = lambda one: "refuse" if one["ext"] in bad else "ok"
    if destination is WHOLE:
        system.on_bulk = lambda orders: "refuse" if any(one["ext"] in bad for one in orders) else "ok"
    made, compiled = parts(system.credential()), plan(flow(destination=destination, tolerate="5%"))
    report = await move(made, compiled)
    holds(report)
    assert report.status is Status.PARTIAL
    assert (report.counts.read, report.counts.created, report.counts.failed) == (300, 297, 3)
    assert set(failures(made)) == bad
    assert len(system.stored) == 297
    assert system.duplicates() == []
    row = failures(made)["r7"]
    assert (row.stage, row.error, row.attempts) == ("load", "RecordRefusedError", 1)
    assert row.code in ("BAD_ITEM", "BAD_RECORD", None)
    system.on_write, system.on_bulk = (lambda _one: "ok"), (lambda _orders: None if destination is not WHOLE else "ok")
    again = await rerun(made, compiled)
    holds(again)
    assert (again.counts.read, again.counts.created) == (3, 3)
    assert failures(made) == {}
    assert len(system.stored) == 300
    assert system.duplicates() == []


async def test_more_failures_than_tolerated_fail_the_run_and_keep_their_ids(system: System) -> None:
    system.records = [record(n) for n in range(10)]
    system.on_write = lambda one: "refuse" if one["ext"] == "r3" else "ok"
    made = parts(system.credential())
    assert (await move(made, plan(flow()))).status is Status.FAILED
    assert set(failures(made)) == {"r3"}


@pytest.mark.parametrize("how", ["drop_after", "truncate", "gateway"])
async def test_a_lost_answer_is_settled_by_match(system: System, how: str) -> None:
    system.records = [record(n) for n in range(60)]
    lost = {"r5", "r33"}
    first: set[str] = set()

    def behave(one: dict[str, Any]) -> str:
        if one["ext"] in lost and one["ext"] not in first:
            first.add(one["ext"])
            return how
        return "ok"

    system.on_write = behave
    report = await move(parts(system.credential()), plan(flow(destination={"match": MATCH})))
    holds(report)
    assert (report.counts.created, report.counts.unknown) == (60, 0)
    assert system.duplicates() == []


@pytest.mark.parametrize("how", ["drop_after", "truncate", "gateway", "drop_before"])
async def test_a_lost_answer_without_match_is_unknown_and_never_sent_again_blindly(system: System, how: str) -> None:
    system.records = [record(n) for n in range(40)]
    system.on_write = lambda one: how if one["ext"] == "r5" else "ok"
    made, compiled = parts(system.credential()), plan(flow(tolerate=1))
    report = await move(made, compiled)
    holds(report)
    assert (report.counts.created, report.counts.unknown, report.status) == (39, 1, Status.PARTIAL)
    assert failures(made)["r5"].error == "OutcomeUnknownError"
    system.on_write = lambda _one: "ok"
    stored = len(system.stored)
    assert (await rerun(made, compiled)).counts.read == 0  # "all open" leaves unknown ones alone where they could double
    assert len(system.stored) == stored
    assert (await rerun(made, compiled, error="OutcomeUnknownError")).counts.created == 1  # a person has looked and says so


@pytest.mark.parametrize(
    "destination", [{"idempotency": {}}, {"create": {"method": "PUT", "path": "/orders/by/{ext}"}}], ids=["key", "put"]
)
@pytest.mark.parametrize("how", ["drop_after", "drop_before", "gateway", "busy", "limit"])
async def test_what_is_safe_to_repeat_is_repeated(system: System, destination: dict[str, Any], how: str) -> None:
    system.records = [record(n) for n in range(40)]
    seen: set[str] = set()

    def behave(one: dict[str, Any]) -> str:
        first = one["ext"] not in seen
        seen.add(one["ext"])
        return how if first and one["ext"] in ("r1", "r20") else "ok"

    system.on_write = behave
    report = await move(parts(system.credential()), plan(flow(destination=destination)))
    holds(report)
    assert report.counts.unknown == report.counts.failed == 0
    assert len(system.stored) == 40
    assert report.counts.api_calls >= 42


@pytest.mark.parametrize("how", ["busy", "limit"])
async def test_throttling_slows_down_and_loses_nothing(system: System, how: str) -> None:
    system.records = [record(n) for n in range(200)]
    calls = itertools.count()
    system.on_write = lambda _one: how if next(calls) % 10 == 3 else "ok"
    report = await move(parts(system.credential()), plan(flow()))
    holds(report)
    assert report.counts.created == 200
    assert system.duplicates() == []
    assert report.counts.throttled_s > 0


async def test_a_200_can_be_a_refusal(system: System) -> None:
    system.records = [record(n) for n in range(5)]
    system.on_write = lambda one: "not_ok" if one["ext"] == "r2" else "ok"
    made = parts(system.credential())
    report = await move(made, plan(flow(destination={"success": "status in (200, 201) and answer.ok != False"}, tolerate=1)))
    assert report.counts.failed == 1
    assert failures(made)["r2"].code == "E-17"


async def test_html_with_200_is_no_success_where_success_looks_at_the_answer(system: System) -> None:
    system.records = [record(1)]
    system.on_write = lambda _one: "html"
    report = await move(parts(system.credential()), plan(flow(destination={"success": "answer.ok == True"}, tolerate=1)))
    assert report.counts.failed == 1


async def test_a_credential_refused_half_way_stops_the_run_and_nothing_is_lost(system: System) -> None:
    system.records = [record(n) for n in range(300)]
    system.on_write = lambda _one: "ok" if len(system.stored) < 120 else "unauthorized"
    made, compiled = parts(system.credential()), plan(flow())
    with pytest.raises(SignInAgainError):
        await move(made, compiled)
    [row] = made.journal.runs("acme", "sync", 1)
    assert row.flows["items"]["read"] == row.flows["items"]["created"] == len(system.stored) == 120
    system.on_write = lambda _one: "ok"
    report = await move(made, compiled)
    holds(report)
    assert (report.counts.read, report.counts.created + report.counts.unknown) == (300, 180)
    assert system.duplicates() == []


async def test_a_system_that_is_down_is_not_a_thousand_failed_records(system: System) -> None:
    system.records = [record(n) for n in range(100)]
    made, compiled = parts(system.credential(), system.credential("gone")), plan(flow(destination={"credential": "gone"}))
    object.__setattr__(made.get_credential("acme", "gone"), "base_url", "http://127.0.0.1:1")
    with pytest.raises(UnavailableError, match="nothing answers"):
        await move(made, compiled)
    assert failures(made) == {}
    assert made.journal.runs("acme", "sync", 1)[0].flows["items"]["read"] == 0


async def test_one_record_that_always_breaks_its_system_does_not_stop_the_others(system: System) -> None:
    system.records = [record(n) for n in range(100)]
    system.on_write = lambda one: "busy" if one["ext"] == "r50" else "ok"
    made = parts(system.credential(), attempts=2)
    report = await move(made, plan(flow(tolerate=1)))
    assert (report.counts.created, report.counts.failed) == (99, 1)
    assert failures(made)["r50"].error == "UnavailableError"


async def test_a_long_retry_after_ends_the_try_instead_of_sleeping(system: System) -> None:
    system.on_read = lambda _request: web.Response(status=429, headers={"Retry-After": "86400"})
    with pytest.raises(TryAgainError) as caught:
        await move(parts(system.credential()), plan(flow()))
    assert caught.value.after_s is not None
    assert caught.value.after_s > 80_000


async def test_an_id_that_comes_twice_is_written_once_or_told(system: System) -> None:
    system.records = [record(1), record(2), record(1), record(3), record(2, name="other")]
    made = parts(system.credential())
    report = await move(made, plan(flow(tolerate=1)))
    holds(report)
    assert (report.counts.read, report.counts.created, report.counts.skipped, report.counts.failed) == (5, 3, 1, 1)
    assert failures(made)["r2"].code == "repeated_id"
    assert system.duplicates() == []


async def test_an_entity_id_that_no_record_has_is_a_faulty_pipe(system: System) -> None:
    system.records = [record(n) for n in range(10)]
    made = parts(system.credential())
    with pytest.raises(ConfigError, match="usable entity_id"):
        await move(made, plan(flow(source={"entity_id": "idd"})))
    assert failures(made) == {}


async def test_where_skips_and_a_misfit_names_its_field(system: System) -> None:
    system.records = [record(1), record(2, amount="lots"), record(3, status="draft")]
    made = parts(system.credential())
    report = await move(made, plan(flow(where='status != "draft"', map={"ext": "id", "amount": "amount * 2"}, tolerate=1)))
    assert (report.counts.created, report.counts.skipped, report.counts.failed) == (1, 1, 1)
    assert (failures(made)["r2"].stage, failures(made)["r2"].field) == ("map", "amount")


@pytest.mark.parametrize(("found", "kind"), [("update", "updated"), ("leave", "skipped"), ("fail", "failed")])
async def test_what_is_found_is_updated_left_or_refused(system: System, found: str, kind: str) -> None:
    system.records = [record(n) for n in range(4)]
    system.stored = [{"ext": "r1", "name": "old"}]
    report = await move(parts(system.credential()), plan(flow(destination={"match": {**MATCH, "found": found}}, tolerate=1)))
    assert (report.counts.created, getattr(report.counts, kind)) == (3, 1)
    assert system.stored[0]["name"] == ("name 1" if found == "update" else "old")


async def test_what_is_the_same_is_not_written(system: System) -> None:
    system.records = [record(1), record(2)]
    system.stored = [{"ext": "r1", "name": "name 1", "amount": 1, "more": True}, {"ext": "r2", "name": "name 2", "amount": 9}]
    report = await move(
        parts(system.credential()), plan(flow(destination={"match": {**MATCH, "found": "update", "same": "skip"}}))
    )
    assert (report.counts.updated, report.counts.skipped) == (1, 1)


@pytest.mark.parametrize(("missing", "kind"), [("skip", "skipped"), ("fail", "failed")])
async def test_what_is_missing_may_be_skipped_or_refused(system: System, missing: str, kind: str) -> None:
    system.records = [record(1)]
    report = await move(parts(system.credential()), plan(flow(destination={"match": {**MATCH, "missing": missing}}, tolerate=1)))
    assert getattr(report.counts, kind) == 1
    assert system.stored == []


async def test_an_ambiguous_match_is_refused(system: System) -> None:
    system.records, system.stored = [record(1)], [{"ext": "r1"}, {"ext": "r1"}]
    made = parts(system.credential())
    await move(made, plan(flow(destination={"match": MATCH}, tolerate=1)))
    assert failures(made)["r1"].code == "match_not_unique"


@pytest.mark.parametrize(
    "answer", [[], [{"code": "ok"}], "text", {"results": [{"code": "ok"}] * 40}], ids=["none", "one", "text", "many"]
)
async def test_a_batch_answer_that_does_not_tell_is_unknown(system: System, answer: Any) -> None:
    system.records = [record(n) for n in range(10)]
    system.on_bulk = lambda _orders: web.json_response(answer if isinstance(answer, dict) else {"results": answer})
    report = await move(parts(system.credential()), plan(flow(destination=BULK, tolerate=10)))
    holds(report)
    assert report.counts.unknown == 10


async def test_some_ids_only(system: System) -> None:
    system.records = [record(n) for n in range(10)]
    made = parts(system.credential())
    report = await move(made, plan(flow()), Asked(entity_ids=("r3", "r4", "nobody")))
    assert (report.counts.read, report.counts.created, report.counts.skipped) == (3, 2, 1)
    assert sorted(one["ext"] for one in system.stored) == ["r3", "r4"]


async def test_no_more_calls_at_once_than_the_flow_allows(system: System) -> None:
    system.records, system.latency_s = [record(n) for n in range(300)], 0.01
    await move(parts(system.credential()), plan(flow(destination={"in_flight": 5})))
    assert system.most_in_flight <= 5 + 1  # and one page ahead
