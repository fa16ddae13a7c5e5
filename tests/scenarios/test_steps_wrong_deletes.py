"""Deletes that nobody wants, and those that nobody may hold back: what is seen of the source, what at_most counts, what comes twice."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from integrator.engine.comparing import compare
from integrator.engine.move import Asked
from integrator.model.run import Due, Selection, Status
from tests.scenarios.test_steps_deletes import LIST, stocked
from tests.scenarios.test_steps_deletes import flow as delete_flow
from tests.scenarios.test_steps_look_up import CUSTOMER, customers, order_flow
from tests.scenarios.test_steps_look_up import orders as orders_of
from tests.scenarios.test_steps_parts import price_flow
from tests.services.moving import failures, move, parts, plan
from tests.services.office import Served


def status(code: int, *calls: str) -> Any:
    """Return what answers these calls with a status."""
    return lambda _request, call: web.Response(status=code) if call in calls else None


def served_well(*sides: Served) -> None:
    for side in sides:
        side.office.before = lambda _r, _c: None


async def test_what_is_deleted_already_does_not_count_against_at_most(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 100)
    made, compiled = parts(shop.credential(), erp.credential()), plan(delete_flow({"when": "source.ended", "at_most": "2%"}))
    for first in (0, 2, 4):
        for n in (first, first + 1):
            erp.office.change("items", f"s{n}", ended=True)
        report = await move(made, compiled)
        assert (report.counts.deleted, report.status) == (2, Status.SUCCESS)
    assert len(shop.office.all("items")) == 94


async def test_what_is_softly_deleted_already_does_not_count_against_at_most(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 100)
    soft = {"when": "source.ended", "method": "PATCH", "path": "/items/{id}", "body": {"active": False}, "at_most": "2%"}
    made, compiled = parts(shop.credential(), erp.credential()), plan(delete_flow(soft))
    for first in (0, 2):
        for n in (first, first + 1):
            erp.office.change("items", f"s{n}", ended=True)
        report = await move(made, compiled)
        assert (report.counts.deleted, report.status) == (2, Status.SUCCESS)


async def test_a_part_that_is_not_mapped_is_not_absent(shop: Served, erp: Served) -> None:
    erp.office.put("items", {"id": "s", "sku": "s", "prices": [{"list_id": "a", "zone": "1"}, {"list_id": "a", "zone": "2"}]})
    shop.office.put("prices", {"id": "p1", "key": "s-a-1"}, {"id": "p2", "key": "s-a-2"})
    one = price_flow(
        {"match": {"params": {"key": "{key}"}, "records": "data"}, "list": LIST, "delete": {"absent": True, "at_most": 5}},
        tolerate=9,
    )
    one["map"] = {"key": {"text": "{parent.sku}-{list_id}-{zone}"}}
    report = await move(parts(shop.credential(), erp.credential()), plan(one))
    assert (report.counts.deleted, len(shop.office.all("prices"))) == (0, 2)


async def test_a_combined_record_that_cannot_be_made_is_not_absent(shop: Served, erp: Served) -> None:
    erp.office.put("stock", *({"sku": f"s{n // 2}", "n": 1} for n in range(100)))
    erp.office.put("stock", {"sku": "s7", "n": "n/a"}, {"sku": None, "n": 1})
    shop.office.put("stock", *({"id": f"k{n}", "key": f"s{n}"} for n in range(50)))
    one = {
        "source": {"connector": "rest", "credential": "erp", "path": "/stock", "records": "data", "entity_id": "id",
                   "pages": {"by": "page_number", "per_page": 40, "total": "total"}},
        "combine": {"by": "sku", "sum": ["n"]},
        "map": {"key": "sku", "n": "n"},
        "destination": {"connector": "rest", "credential": "shop", "path": "/stock", "match": {"params": {"key": "{key}"}, "records": "data"},
                        "list": LIST, "delete": {"absent": True, "at_most": 5}},
        "tolerate": 5,
    }  # fmt: skip
    report = await move(parts(shop.credential(), erp.credential()), plan(one))
    assert (report.counts.failed, report.counts.deleted, len(shop.office.all("stock"))) == (2, 0, 50)
    assert report.counts.adds_up()


async def test_a_record_that_left_a_page_while_it_was_read_is_not_absent(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 100)

    def before(request: web.Request, _call: str) -> None:
        if request.query.get("page") == "2":
            erp.office.remove("items", "s1")  # now the 51st record stands on the first page, which was read

    erp.office.before = before
    await move(parts(shop.credential(), erp.credential()), plan(delete_flow({"absent": True, "at_most": 5})))
    assert "s50" in shop.office.by("items", "key")


async def test_a_record_to_delete_that_comes_twice_ends_the_run_and_its_last_state_counts(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 100)
    erp.office.change("items", "s3", ended=True)
    erp.office.change("items", "s4", ended=True)

    def before(request: web.Request, _call: str) -> Any:
        if request.query.get("page") == "2":
            rows = [*erp.office.all("items")[50:], {"sku": "s3", "name": "again", "ended": True}, {"sku": "s4", "name": "kept"}]
            return web.json_response({"data": rows, "total": 102})
        return None

    erp.office.before = before
    compiled = plan(delete_flow({"when": "source.ended", "at_most": 5}))
    report = await asyncio.wait_for(move(parts(shop.credential(), erp.credential()), compiled), 20)
    assert report.counts.adds_up()
    assert report.counts.read == 102
    there = shop.office.by("items", "key")
    assert "s3" not in there
    assert there["s4"]["name"] == "kept"


async def test_a_record_that_waited_and_is_to_go_now_does_not_hold_the_run(shop: Served, erp: Served) -> None:
    orders_of(shop, 4, 2)
    customers(erp, 0)
    one = order_flow({"customer": {**CUSTOMER, "missing": "later"}})
    one["destination"] |= {"delete": {"when": "source.ended", "at_most": 5}}
    made, compiled = parts(shop.credential(), erp.credential()), plan(one)
    assert (await move(made, compiled)).counts.waiting == 2
    customers(erp, 1)
    shop.office.change("orders", "o1", ended=True)
    report = await asyncio.wait_for(move(made, compiled), 20)
    assert report.counts.adds_up()
    assert sorted(erp.office.by("orders", "external_no")) == ["o0", "o2", "o3"]


async def test_no_rerun_that_nobody_asked_for_deletes_more_than_at_most(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 100)
    shop.office.before = status(409, "PATCH items")
    for n in range(20):
        erp.office.change("items", f"s{n}", name="new")
    made, compiled = (
        parts(shop.credential(), erp.credential()),
        plan(delete_flow({"when": "source.ended", "at_most": 2}, tolerate=50)),
    )
    assert (await move(made, compiled)).counts.failed == 20
    served_well(shop)
    for n in range(20):
        erp.office.change("items", f"s{n}", ended=True)
    report = await move(made, compiled, Asked(selection=Selection(due=Due(5, 0.0))))
    assert (report.counts.deleted, len(shop.office.all("items"))) == (0, 100)


async def test_a_delete_that_was_overtaken_hides_no_failure_of_the_later_state(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 100)
    erp.office.change("items", "s4", ended=True)

    def before(request: web.Request, _call: str) -> Any:
        rows = [*erp.office.all("items")[50:], {"sku": "s4", "name": "kept"}]
        return web.json_response({"data": rows, "total": 101}) if request.query.get("page") == "2" else None

    erp.office.before = before
    shop.office.before = status(422, "PATCH items")
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(delete_flow({"when": "source.ended", "at_most": 5}, tolerate=5)))
    assert (report.counts.failed, report.counts.skipped, list(failures(made))) == (1, 100, ["s4"])


async def test_a_run_that_only_holds_deletes_does_not_wait_for_a_heartbeat(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 3)
    for n in range(3):
        erp.office.change("items", f"s{n}", ended=True)
    shop.office.latency_s = 0.02
    compiled = plan(delete_flow({"when": "source.ended", "at_most": 3}))
    report = await asyncio.wait_for(move(parts(shop.credential(), erp.credential()), compiled), 5)
    assert report.counts.deleted == 3


@pytest.mark.parametrize("key", ["x" * 4000, "a\x00b", "?odd"], ids=["long", "nul", "sign"])
async def test_a_key_that_cannot_be_kept_is_not_kept(shop: Served, erp: Served, key: str) -> None:
    stocked(shop, erp, 50)
    listed = json.dumps({"data": [*shop.office.all("items"), {"id": "z", "key": key}, {"id": "y", "key": "\ud800"}], "total": 52})

    def before(request: web.Request, call: str) -> Any:
        if call == "DELETE items":
            return web.Response(status=422)
        return web.Response(text=listed, content_type="application/json") if "key" not in request.query else None

    shop.office.before = before
    made = parts(shop.credential(), erp.credential())
    one = delete_flow({"absent": True, "at_most": 5}, tolerate=5)
    one["destination"]["list"] = {**LIST, "pages": {"by": "single"}}
    report = await move(made, plan(one))
    assert (report.counts.failed, report.counts.adds_up()) == (1, True)
    assert list(failures(made)) == ["?absent51"]


async def test_a_comparison_calls_nothing_extra_that_may_be_there(shop: Served, erp: Served) -> None:
    orders_of(shop, 10, 2)
    customers(erp, 0)
    erp.office.put(
        "orders", *({"external_no": f"o{n}", "customer_id": f"k{n % 2}"} for n in range(10)), {"external_no": "nobody's"}
    )
    one = order_flow({"customer": CUSTOMER})
    one["destination"] |= {"list": {**LIST, "key": {"external_no": "source.id"}}, "delete": {"absent": True, "at_most": 5}}
    made, compiled = parts(shop.credential(), erp.credential()), plan(one)
    told: list[Any] = []
    for known in ((), (1,)):
        customers(erp, *known)
        flow = made.open_flow(compiled, to_show=True)
        told.append(await compare(flow, made.hash_key))
        await flow.close()
    assert [(one.counts["failed"], one.knows_extra, one.ids["extra"]) for one in told] == [
        (5, False, []),
        (0, True, ["nobody's"]),
    ]
