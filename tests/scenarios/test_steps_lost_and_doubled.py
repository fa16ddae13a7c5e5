"""What a run that ends in the middle, or is tried again, must neither lose nor do twice: parts and calls after the write."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from integrator.errors import StopRunError
from integrator.model.run import Status
from tests.scenarios.test_steps_deletes import flow as delete_flow
from tests.scenarios.test_steps_parts import items, price_flow
from tests.scenarios.test_steps_then import BACK, NOTE, orders, told_back
from tests.scenarios.test_steps_then import flow as then_flow
from tests.services.moving import failures, move, parts, plan, rerun
from tests.services.office import Served


def status(code: int, *calls: str) -> Any:
    """Return what answers these calls with a status."""
    return lambda _request, call: web.Response(status=code) if call in calls else None


def served_well(*sides: Served) -> None:
    for side in sides:
        side.office.before = lambda _r, _c: None


async def test_calls_that_a_refused_credential_prevents_are_made_once_it_is_mended(shop: Served, erp: Served) -> None:
    orders(shop, 60)
    shop.office.before = status(401, "PATCH orders")
    made, compiled = parts(shop.credential(), erp.credential()), plan(then_flow([BACK]))
    with pytest.raises(StopRunError):
        await move(made, compiled)
    assert erp.office.all("orders")
    served_well(shop)
    await move(made, compiled)
    await rerun(made, compiled)
    told_back(shop, erp)


async def test_parts_that_were_written_before_a_credential_is_refused_are_not_written_twice(shop: Served, erp: Served) -> None:
    items(erp, 1, lists=200)
    shop.office.unique.clear()
    seen = iter(range(1000))
    shop.office.before = lambda _r, call: web.Response(status=401) if call == "POST prices" and next(seen) >= 100 else None
    made, compiled = parts(shop.credential(), erp.credential()), plan(price_flow({"in_flight": 4}))
    with pytest.raises(StopRunError):
        await move(made, compiled)
    served_well(shop)
    report = await move(made, compiled)
    assert report.counts.unknown == 1
    assert len(shop.office.by("prices", "key")) == len(shop.office.all("prices"))


async def test_a_bisected_batch_that_a_refused_credential_ends_is_in_doubt(shop: Served, erp: Served) -> None:
    erp.office.put("items", *({"id": f"s{n}", "sku": f"s{n}", "name": "x"} for n in range(8)))
    sent: list[int] = []

    def before(_request: web.Request, call: str) -> Any:
        if call != "POST items":
            return None
        sent.append(1)
        return {1: web.Response(status=422), 3: web.Response(status=401)}.get(len(sent))

    shop.office.before = before
    one = delete_flow()
    one["destination"] = {"connector": "rest", "credential": "shop", "path": "/items", "batch": {
        "path": "/items/bulk", "size": 8, "body": {"items": "records"}, "answer": {"records": "results", "success": 'code == "ok"'}}}  # fmt: skip
    shop.office.unique["items"] = "key"
    made, compiled = parts(shop.credential(), erp.credential()), plan(one)
    with pytest.raises(StopRunError):
        await move(made, compiled)
    served_well(shop)
    report = await move(made, compiled)
    assert (report.counts.unknown, report.counts.created) == (4, 4)


async def test_only_by_name_is_a_call_sent_again_whose_answer_is_lost(shop: Served, erp: Served) -> None:
    orders(shop, 3)
    shop.office.before = lambda _r, call: "drop_after" if call == "POST orders" else None
    made, compiled = parts(shop.credential(), erp.credential()), plan(then_flow([NOTE], tolerate=10))
    assert (await move(made, compiled)).counts.unknown == 3
    served_well(shop)
    assert (await rerun(made, compiled)).counts.read == 0
    assert [len(one["comments"]) for one in shop.office.all("orders")] == [1, 1, 1]
    assert (await rerun(made, compiled, entity_ids=("o1",))).counts.read == 1


@pytest.mark.parametrize("how", ["put", "match"])
async def test_a_rerun_makes_no_call_again_that_was_made(shop: Served, erp: Served, how: str) -> None:
    orders(shop, 3)
    shop.office.before = status(422, "PATCH orders")
    one = then_flow([NOTE, BACK], tolerate=10)
    if how == "put":
        del one["destination"]["match"]
        one["destination"]["create"] = {"method": "PUT", "path": "/orders/by/{external_no}"}
        erp.office.unique["orders"] = "external_no"
        one["then"][0] = {**NOTE, "map": {"text": {"text": "x"}}}
        one["then"][1] = {**BACK, "map": {"erp_number": "answer.id"}}
    made, compiled = parts(shop.credential(), erp.credential()), plan(one)
    assert (await move(made, compiled)).counts.failed == 3
    served_well(shop)
    assert (await rerun(made, compiled)).status is Status.SUCCESS
    assert [len(one["comments"]) for one in shop.office.all("orders")] == [1, 1, 1]
    assert all("erp_number" in one for one in shop.office.all("orders"))


async def test_parts_that_failed_at_different_stages_have_no_call_made_twice(shop: Served, erp: Served) -> None:
    """One part is refused, another is written and its second call refused: its first call cannot be repeated."""
    erp.office.put("items", {"id": "s", "sku": "s", "prices": [{"list_id": "a", "amount": 1}, {"list_id": "b", "amount": 2}]})
    erp.office.put("lists", {"id": "a"}, {"id": "b"})
    note = {"credential": "erp", "path": "/lists/{source.list_id}/notes", "map": {"text": {"text": "x"}}}
    back = {"credential": "erp", "method": "PATCH", "path": "/items/{parent.sku}", "map": {"told": "answer.key"}}
    shop.office.put("prices", {"id": "there", "key": "s-a"})
    shop.office.before = status(422, "PATCH prices")
    erp.office.before = status(422, "PATCH items")
    made, compiled = parts(shop.credential(), erp.credential()), plan(price_flow(then=[note, back], tolerate=9))
    report = await move(made, compiled)
    assert (report.counts.failed, failures(made)["s"].stage) == (1, "load")
    served_well(shop, erp)
    await rerun(made, compiled)
    noted = {one["id"]: len(one.get("notes", [])) for one in erp.office.all("lists")}
    assert noted == {"a": 0, "b": 1}
    assert (
        failures(made)["s"].error == "OutcomeUnknownError"
    )  # that the call of the first is missing is not known, and not hidden


async def test_two_parts_of_one_content_have_keys_of_their_own(shop: Served, erp: Served) -> None:
    erp.office.put("items", {"id": "s", "sku": "s", "prices": [{"list_id": "1"}, {"list_id": "2"}]})
    keys: list[str] = []
    shop.office.before = lambda request, call: keys.append(request.headers["Idempotency-Key"]) if call == "POST prices" else None
    one = price_flow({"idempotency": {"header": "Idempotency-Key"}})
    one["map"] = {"sku": "parent.sku", "quantity": 1}
    report = await move(parts(shop.credential(), erp.credential()), plan(one))
    assert (report.counts.created, len(keys), len(set(keys))) == (1, 2, 2)


async def test_a_shadow_run_that_dies_hides_nothing_from_the_first_live_one(shop: Served, erp: Served) -> None:
    erp.office.put("items", *({"sku": f"s{n}", "name": "x"} for n in range(150)))
    one = delete_flow(source={"pages": {"by": "page_number", "per_page": 50, "total": "total"}})
    del one["destination"]["match"]
    erp.office.before = lambda request, _c: web.Response(status=400) if request.query.get("page") == "3" else None
    made = parts(shop.credential(), erp.credential())
    with pytest.raises(StopRunError):
        await move(made, plan({**one, "shadow": True}))
    served_well(erp)
    report = await move(made, plan(one))
    assert (report.counts.created, len(shop.office.all("items"))) == (150, 150)


async def test_a_shadow_run_forgets_nothing_that_a_live_one_has_sent(shop: Served, erp: Served) -> None:
    erp.office.put("items", *({"sku": f"s{n}", "name": "x"} for n in range(150)))
    one = delete_flow()
    del one["destination"]["match"]
    erp.office.before = lambda request, _c: web.Response(status=400) if request.query.get("page") == "3" else None
    made = parts(shop.credential(), erp.credential())
    with pytest.raises(StopRunError):
        await move(made, plan(one))
    served_well(erp)
    await move(made, plan({**one, "shadow": True}))
    await move(made, plan(one))
    assert len(shop.office.by("items", "key")) == len(shop.office.all("items")) == 150


async def test_more_failed_parts_than_are_kept_are_not_written_twice_unasked(shop: Served, erp: Served) -> None:
    shop.office.unique.clear()
    items(erp, 1, lists=2200)
    each = iter(range(10_000))
    shop.office.before = lambda _r, call: web.Response(status=422) if call == "POST prices" and next(each) % 2 else None
    made, compiled = parts(shop.credential(), erp.credential()), plan(price_flow({"in_flight": 8}))
    report = await move(made, compiled)
    assert (report.counts.unknown, failures(made)["s0"].code) == (1, "too_many_parts")
    served_well(shop)
    await rerun(made, compiled)
    assert len(shop.office.by("prices", "key")) == len(shop.office.all("prices")) == 1100
