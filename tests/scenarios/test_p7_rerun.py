"""P7: a rerun takes exactly the failed records, reads them afresh, doubles nothing, and two at once share them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from aiohttp import web

from integrator.engine.move import Asked
from integrator.engine.running import run_to_end
from integrator.errors import ConfigError
from integrator.model.run import FlowKey, RunKey, Selection, Status, Trigger
from integrator.store.database import open_engine, upgrade
from integrator.store.journal import SqlJournal
from integrator.wiring import Parts
from tests.services.moving import MATCH, QUICK, failures, flow, move, parts, plan, rerun
from tests.services.system import System, record


async def failed(system: System, compiled: Any, bad: set[str]) -> Parts:
    made = parts(system.credential())
    system.on_write = lambda one: "refuse" if one["ext"] in bad else "ok"
    await move(made, compiled)
    system.on_write = lambda _one: "ok"
    assert set(failures(made)) == bad
    return made


async def test_today_s_record_and_mapping_are_used(system: System) -> None:
    system.records = [record(n) for n in range(5)]
    made = await failed(system, plan(flow()), {"r2"})
    system.records[2]["name"] = "corrected"
    await rerun(made, plan(flow(map={"ext": "id", "name": "upper(name)"})))
    assert system.stored[-1] == {"ext": "r2", "name": "CORRECTED"}


async def test_by_run_by_class_by_id_and_all(system: System) -> None:
    system.records = [record(1), record(2, amount="x"), record(3), record(4)]
    compiled = plan(flow(map={"ext": "id", "amount": "amount + 1"}))
    made = await failed(system, compiled, {"r1", "r2", "r3", "r4"} - {"r4"})
    system.records[1]["amount"] = 2
    run_id = failures(made)["r1"].run_id
    assert (await rerun(made, compiled, run_id="another")).counts.read == 0
    assert (await rerun(made, compiled, error="MappingError")).counts.created == 1
    assert (await rerun(made, compiled, entity_ids=("r3", "r4", "nobody"))).counts.created == 1  # r4 never failed
    assert (await rerun(made, compiled, run_id=run_id)).counts.created == 1
    assert failures(made) == {}
    assert system.duplicates() == []


async def test_a_failure_again_counts_an_attempt_and_keeps_the_first_time(system: System) -> None:
    system.records = [record(1)]
    compiled = plan(flow(tolerate=1))
    made = await failed(system, compiled, {"r1"})
    first = failures(made)["r1"]
    system.on_write = lambda _one: "refuse"
    assert (await rerun(made, compiled)).status is Status.PARTIAL
    again = failures(made)["r1"]
    assert (again.attempts, again.first_failed_at) == (2, first.first_failed_at)
    assert again.last_failed_at > first.last_failed_at


async def test_a_record_gone_at_the_source_is_gone_not_failed(system: System) -> None:
    system.records = [record(1), record(2)]
    compiled = plan(flow())
    made = await failed(system, compiled, {"r1", "r2"})
    del system.records[0]
    report = await rerun(made, compiled)
    assert (report.counts.read, report.counts.skipped, report.counts.created) == (2, 1, 1)
    assert set(failures(made, "gone")) == {"r1"}
    assert (await rerun(made, compiled)).counts.read == 0


async def test_a_record_that_where_no_longer_wants_is_settled(system: System) -> None:
    system.records = [record(1)]
    made = await failed(system, plan(flow()), {"r1"})
    report = await rerun(made, plan(flow(where="amount > 100")))
    assert (report.counts.skipped, failures(made)) == (1, {})


async def test_a_later_success_of_the_schedule_resolves_a_failure(system: System) -> None:
    system.records = [record(1), record(2)]
    compiled = plan(flow(destination={"match": MATCH}))
    made = await failed(system, compiled, {"r1"})
    await move(made, compiled)
    assert failures(made) == {}
    assert set(failures(made, "resolved")) == {"r1"}


async def test_an_answer_with_another_id_is_never_written(system: System) -> None:
    system.records = [record(1)]
    compiled = plan(flow(tolerate=1))
    made = await failed(system, compiled, {"r1"})
    system.on_read = lambda request: web.json_response(record(9)) if "items/" in request.path else None
    report = await rerun(made, compiled)
    assert report.counts.failed == 1
    assert failures(made)["r1"].code == "other_entity"
    assert system.stored == []


@pytest.mark.parametrize("nothing", ["{}", "[]", "null", ""])
async def test_an_empty_answer_means_gone(system: System, nothing: str) -> None:
    system.records = [record(1)]
    compiled = plan(flow())
    made = await failed(system, compiled, {"r1"})
    system.on_read = lambda request: (
        web.Response(text=nothing, content_type="application/json") if "items/" in request.path else None
    )
    assert (await rerun(made, compiled)).counts.skipped == 1
    assert set(failures(made, "gone")) == {"r1"}


async def test_several_ids_in_one_call(system: System) -> None:
    system.records = [record(n) for n in range(120)]
    by_id = {"path": "/items", "params": {"ids": "{join(entity_ids, ',')}"}, "records": "items", "up_to": 50}
    compiled = plan(flow(source={"by_id": by_id}))
    made = await failed(system, compiled, {f"r{n}" for n in range(110)})

    def read(request: web.Request) -> web.StreamResponse | None:
        wanted = set(request.query["ids"].split(",")) if "ids" in request.query else None
        return (
            None
            if wanted is None
            else web.json_response({"items": [r for r in system.records if r["id"] in wanted and r["id"] != "r5"]})
        )

    system.on_read, system.calls["GET items"] = read, 0
    report = await rerun(made, compiled)
    assert (report.counts.created, report.counts.skipped, system.calls["GET items"]) == (
        109,
        1,
        4,
    )  # three for all, and one more that asks for the missing one alone
    assert set(failures(made, "gone")) == {"r5"}


async def test_composite_and_hostile_ids_are_read_again_exactly(system: System) -> None:
    hostile = ["../../x", "' or 1 eq 1", "a b?c#d&e=f", "ü/ß", "%2e%2e", "=cmd()", "-1", "a;b", "x" * 200]
    system.records = [{**record(n), "id": value} for n, value in enumerate(hostile)]
    compiled = plan(flow())
    made = await failed(system, compiled, set(hostile))
    assert (await rerun(made, compiled)).counts.created == len(hostile)
    assert {one["ext"] for one in system.stored} == set(hostile)


async def test_a_rerun_does_not_move_the_cursor(system: System) -> None:
    system.records = [record(n) for n in range(5)]
    spec = flow(source={"params": {"since": "{since}"}, "since": {"field": "updated_at"}})
    made = await failed(system, plan(spec), {"r1"})
    before = made.journal.cursor(FlowKey("acme", "sync", "items"))
    system.records.append(record(59))
    await rerun(made, plan(spec))
    assert made.journal.cursor(FlowKey("acme", "sync", "items")) == before


async def test_without_by_id_a_rerun_says_what_to_add(system: System) -> None:
    system.records = [record(1)]
    compiled = plan(flow(source={"by_id": None}))
    made = await failed(system, compiled, {"r1"})
    with pytest.raises(ConfigError, match="by_id"):
        await rerun(made, compiled)
    assert set(failures(made, "open")) == {"r1"}  # given back


async def test_a_newer_good_sync_is_not_overwritten(system: System) -> None:
    """The rerun has claimed and read an old state; the schedule writes a newer one; the rerun leaves it."""
    system.records = [record(1, name="old")]
    compiled = plan(flow(destination={"match": {**MATCH, "found": "update"}}))
    made = await failed(system, compiled, {"r1"})
    reading, go_on = threading.Event(), threading.Event()

    def read(request: web.Request) -> web.StreamResponse | None:
        if "items/" not in request.path:
            return None
        old = dict(system.records[0])
        reading.set()

        async def later() -> web.StreamResponse:
            while not go_on.is_set():
                await asyncio.sleep(0.01)
            return web.json_response(old)

        return later()  # type: ignore[return-value]

    original = system._get

    async def get(request: web.Request) -> web.StreamResponse:
        made_up = read(request)
        return await made_up if asyncio.iscoroutine(made_up) else await original(request)

    system.on_read = lambda _request: None
    system.slow_get = get
    task = asyncio.create_task(rerun(made, compiled))
    while not reading.is_set():
        await asyncio.sleep(0.01)
    system.records[0] = record(1, name="new")
    await move(made, compiled)
    go_on.set()
    report = await task
    assert report.counts.skipped == 1
    assert [one["name"] for one in system.stored] == ["new"]


def test_two_reruns_at_once_take_each_id_once(system: System, tmp_path: Any) -> None:
    """Two processes' worth of reruns over one SQLite journal: every failure is sent by one of them only."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    upgrade(url)
    compiled = plan(flow())

    def fresh() -> Parts:
        return Parts(QUICK, SqlJournal(open_engine(url), stale_after_s=60), lambda _p, name: system.credential(name))

    system.records = [record(n) for n in range(1200)]
    system.on_write = lambda _one: "refuse"
    run_to_end(fresh().move(compiled, RunKey("11111111-1111-4111-8111-111111111111", Trigger.MANUAL), Asked()))
    system.on_write, system.latency_s = (lambda _one: "ok"), 0.002
    reports: list[Any] = []

    def one(number: int) -> None:
        run = RunKey(f"22222222-2222-4222-8222-22222222222{number}", Trigger.RERUN)
        reports.append(run_to_end(fresh().move(compiled, run, Asked(selection=Selection()))))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(reports) == 2
    assert sum(r.counts.created for r in reports) == 1200
    assert len(system.stored) == 1200
    assert system.duplicates() == []


@pytest.mark.parametrize("code", [400, 403, 500])
async def test_a_source_that_refuses_without_a_word_has_not_lost_the_record(system: System, code: int) -> None:
    system.records = [record(1)]
    compiled = plan(flow(tolerate=1))
    made = await failed(system, compiled, {"r1"})
    system.on_read = lambda _request: web.Response(status=code)
    report = await rerun(made, compiled)
    assert (report.counts.failed, report.counts.skipped) == (1, 0)
    assert failures(made)["r1"].http_status == code
