"""Reruns that fail before they do anything: what was done before is still known, and nothing of it is done twice."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from integrator.engine.running import run_to_end
from integrator.model.run import Status
from integrator.wiring import Parts
from tests.scenarios.test_steps_parts import price_flow
from tests.scenarios.test_steps_then import BACK, NOTE, orders
from tests.scenarios.test_steps_then import flow as then_flow
from tests.services import move_process
from tests.services.moving import QUICK, failures, move, parts, plan, rerun
from tests.services.office import Served

UNMATCHED = {"connector": "rest", "credential": "shop", "path": "/prices", "in_flight": 1}


def status(code: int, *calls: str) -> Any:
    """Return what answers these calls with a status."""
    return lambda _request, call: web.Response(status=code) if call in calls else None


def served_well(*sides: Served) -> None:
    for side in sides:
        side.office.before = lambda _r, _c: None


@pytest.mark.parametrize("how", ["fetch", "where", "list"])
async def test_a_rerun_that_cannot_read_the_record_forgets_no_part(shop: Served, erp: Served, how: str) -> None:
    prices = [{"list_id": name, "amount": 1} for name in "abc"]
    erp.office.put("items", {"id": "s", "sku": "s", "n": 1, "prices": prices})
    calls = iter(range(100))
    shop.office.before = lambda _r, call: web.Response(status=422) if call == "POST prices" and next(calls) == 1 else None
    made = parts(shop.credential(), erp.credential())
    compiled = plan({**price_flow(tolerate=9, where="integer(n) > 0"), "destination": UNMATCHED})
    assert (await move(made, compiled)).counts.failed == 1
    left = failures(made)["s"].parts
    served_well(shop)
    if how == "fetch":
        erp.office.before = status(403, "GET items")
    else:
        erp.office.change("items", "s", **({"n": "x"} if how == "where" else {"prices": "none"}))
    assert (await rerun(made, compiled)).counts.failed == 1
    assert failures(made)["s"].parts == left
    served_well(erp)
    erp.office.change("items", "s", n=1, prices=prices)
    assert (await rerun(made, compiled)).status is Status.SUCCESS
    assert len(shop.office.by("prices", "key")) == 3


@pytest.mark.parametrize("how", ["fetch", "find", "look_up"])
async def test_a_rerun_that_fails_on_its_way_makes_no_call_twice(shop: Served, erp: Served, how: str) -> None:
    orders(shop, 3)
    erp.office.put("customers", {"id": "c"})
    shop.office.before = status(422, "PATCH orders")
    look = {"c": {"credential": "erp", "path": "/customers", "params": {"id": "{'c' if id else id}"}, "records": "data"}}
    made = parts(shop.credential(), erp.credential())
    compiled = plan(then_flow([NOTE, BACK], tolerate=10, look_up=look))
    assert (await move(made, compiled)).counts.failed == 3
    served_well(shop)
    side, call = {"fetch": (shop, "GET orders"), "find": (erp, "GET orders"), "look_up": (erp, "GET customers")}[how]
    side.office.before = status(403, call)
    assert (await rerun(made, compiled)).counts.failed == 3
    assert {(row.stage, row.field, row.http_status) for row in failures(made).values()} == {("then", "then[1]", 403)}
    served_well(shop, erp)
    assert (await rerun(made, compiled)).status is Status.SUCCESS
    assert [len(one["comments"]) for one in shop.office.all("orders")] == [1, 1, 1]
    assert all("erp_number" in one for one in shop.office.all("orders"))


async def test_a_rerun_of_parts_with_one_key_writes_none_of_them_again(shop: Served, erp: Served) -> None:
    prices = [{"list_id": name, "amount": n} for n, name in enumerate("aab")]
    erp.office.put("items", {"id": "s", "sku": "s", "prices": prices})
    made, compiled = (
        parts(shop.credential(), erp.credential()),
        plan({**price_flow(tolerate=9), "destination": UNMATCHED}),
    )
    await move(made, compiled)
    assert failures(made)["s"].code == "repeated_part"
    before = len(shop.office.all("prices"))
    for _times in range(2):
        assert (await rerun(made, compiled)).counts.failed == 1
    assert len(shop.office.all("prices")) == before


def test_a_rerun_that_dies_leaves_known_which_calls_were_made_before_it(shop: Served, erp: Served, tmp_path: Path) -> None:
    orders(shop, 4)
    second = {**NOTE, "path": "/orders/{source.id}/more"}
    shop.office.before = lambda request, _c: web.Response(status=422) if request.path.endswith("/more") else None
    flow, url = then_flow([NOTE, second], tolerate=10), f"sqlite:///{tmp_path / 'journal.db'}"
    spec = {"flow": flow, "systems": {"shop": shop.url, "erp": erp.url}, "journal": url}
    assert move_process.to_end(move_process.start(tmp_path, **spec, dag_run="r1"))["failed"] == 4
    reached = threading.Event()

    def hang(request: web.Request, _call: str) -> None:
        if request.path.endswith("/more"):
            reached.set()
            time.sleep(1)

    shop.office.before = hang
    process = move_process.start(tmp_path, **spec, rerun=True)
    assert reached.wait(20)
    move_process.kill(process)
    served_well(shop)
    journal = move_process.journal_at(url)
    sides = {side.name: side.credential() for side in (shop, erp)}
    made = Parts(QUICK, journal, lambda _project, name: sides.get(name))
    assert run_to_end(rerun(made, plan(flow))).counts.read == 0  # each call may have been made: only by name
    assert {(row.error, row.stage, row.field) for row in failures(made).values()} == {("OutcomeUnknownError", "then", "then[1]")}
    run_to_end(rerun(made, plan(flow), entity_ids=tuple(failures(made))))
    assert [len(one["comments"]) for one in shop.office.all("orders")] == [1, 1, 1, 1]


async def test_a_record_that_is_no_longer_wanted_since_it_was_written_still_has_its_calls_made(shop: Served, erp: Served) -> None:
    orders(shop, 3)
    shop.office.before = status(422, "POST orders")
    one = then_flow([NOTE], tolerate=10, where='status == "new"')
    del one["source"]["params"]
    made, compiled = parts(shop.credential(), erp.credential()), plan(one)
    assert (await move(made, compiled)).counts.failed == 3
    served_well(shop)
    for n in range(3):
        shop.office.change("orders", f"o{n}", status="sent")
    assert (await move(made, compiled)).counts.skipped == 3
    assert len(failures(made)) == 3
    assert (await rerun(made, compiled)).counts.updated == 3
    assert [len(one["comments"]) for one in shop.office.all("orders")] == [1, 1, 1]


async def test_calls_are_not_forgotten_where_there_are_too_many_failures_to_know(
    shop: Served, erp: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrator.engine.move.OPEN_IDS_MAX", 2)
    orders(shop, 4)
    shop.office.before = status(422, "PATCH orders")
    made, compiled = parts(shop.credential(), erp.credential()), plan(then_flow([BACK], tolerate=10))
    assert (await move(made, compiled)).counts.failed == 4
    served_well(shop)
    await move(made, compiled)
    await rerun(made, compiled)
    assert all("erp_number" in one for one in shop.office.all("orders"))
