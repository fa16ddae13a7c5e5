"""Questions about one record: never about all of them, and never a reason to create one twice or to end a run."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from integrator.errors import SourceBrokenError
from tests.scenarios.test_steps_look_up import CUSTOMER, customers, order_flow, orders
from tests.services.moving import failures, move, parts, plan
from tests.services.office import Served


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize(
    "params",
    [{"$filter": "Email eq {odata(email)}"}, {"q": "email:{email}"}, {"q": "{odata(email)}"}, {"email": ["{email}", "x"]}],
    ids=["filter", "search", "quoted", "list"],
)
async def test_no_empty_value_inside_a_text_is_asked_for(shop: Served, erp: Served, params: Any, value: Any) -> None:
    shop.office.put("orders", {"id": "o", "email": value}, {"id": "p", "email": "x"})
    asked: list[str] = []

    def before(request: web.Request, call: str) -> Any:
        if call != "GET customers":
            return None
        asked.append(request.query_string)
        return web.json_response({"data": [{"id": "any"}]})

    erp.office.before = before
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(order_flow({"customer": {**CUSTOMER, "params": params}}, tolerate=1)))
    assert (report.counts.created, len(asked), failures(made)["o"].code) == (1, 1, "look_up_key_empty")


async def test_no_list_of_nothing_is_asked_for(shop: Served, erp: Served) -> None:
    shop.office.put("orders", {"id": "o", "tags": [None]}, {"id": "p", "tags": [""]}, {"id": "q", "tags": ["x", ""]})
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(order_flow({"customer": {**CUSTOMER, "params": {"tag": "{tags}"}}}, tolerate=9)))
    assert (report.counts.failed, erp.office.calls["GET customers"]) == (3, 0)


async def test_no_record_is_overwritten_because_it_has_no_number_either(shop: Served, erp: Served) -> None:
    shop.office.put("orders", {"id": "o", "ref": None})
    erp.office.put("orders", {"id": "theirs", "external_no": None})
    flow = {**order_flow({}), "look_up": {}, "map": {"external_no": "ref"}, "tolerate": 1}
    flow["destination"]["match"] = {"params": {"$filter": "external_no eq {odata(external_no)}"}, "records": "data"}
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(flow))
    assert (report.counts.failed, failures(made)["o"].code, erp.office.calls["PATCH orders"]) == (1, "match_key_missing", 0)


async def test_what_was_created_and_is_found_only_later_is_not_created_twice(shop: Served, erp: Served) -> None:
    orders(shop, 1, 1)
    asked = iter(range(100))

    def before(_request: web.Request, call: str) -> Any:
        if call == "POST customers":
            return web.Response(status=201)
        if call == "GET customers":
            return web.json_response({"data": [{"id": "k"}] if next(asked) == 2 else []})
        return None

    erp.office.before = before
    create = {"create": {"path": "/customers", "map": {"email": "lower(email)"}}}
    report = await move(
        parts(shop.credential(), erp.credential()), plan(order_flow({"customer": {**CUSTOMER, "missing": create}}))
    )
    assert (report.counts.created, erp.office.calls["POST customers"]) == (1, 1)
    assert erp.office.all("orders")[0]["customer_id"] == "k"


async def test_an_answer_that_is_too_large_costs_its_record_only(shop: Served, erp: Served) -> None:
    orders(shop, 10, 10)
    customers(erp, *range(10))
    large = {"c3@x.example"}
    erp.office.before = lambda request, call: (
        web.Response(body=b"x" * (3 << 20)) if call == "GET customers" and request.query["email"] in large else None
    )
    made = parts(shop.credential(), erp.credential(), answer_max_mb=1)
    report = await move(made, plan(order_flow({"customer": CUSTOMER}, tolerate=1)))
    assert (report.counts.created, report.counts.failed, failures(made)["o3"].code) == (9, 1, "answer_too_large")


@pytest.mark.parametrize("times", [1, 9])
async def test_a_table_that_ends_too_soon_is_not_taken_for_all_there_is(shop: Served, erp: Served, times: int) -> None:
    shop.office.put("orders", *({"id": f"o{n}", "ship": f"S{n}"} for n in range(3)))
    erp.office.put("carriers", *({"code": f"S{n}", "name": f"carrier {n}"} for n in reversed(range(193))))
    cut = iter(range(times))
    erp.office.before = lambda request, call: (
        web.json_response({"data": [], "total": 193})
        if call == "GET carriers" and request.query.get("page") == "2" and next(cut, None) is not None
        else None
    )
    look = {"credential": "erp", "path": "/carriers", "records": "data", "preload": True, "key": {"code": "ship"}, "take": "name",
            "missing": None, "pages": {"by": "page_number", "per_page": 100, "total": "total"}}  # fmt: skip
    made = parts(shop.credential(), erp.credential())
    compiled = plan(order_flow({"carrier": look}, map={"external_no": "id", "carrier": "look_up.carrier"}))
    if times > 1:
        with pytest.raises(SourceBrokenError, match="ends before"):
            await move(made, compiled)
        assert not erp.office.all("orders")
        return
    await move(made, compiled)
    assert {one["carrier"] for one in erp.office.all("orders")} == {"carrier 0", "carrier 1", "carrier 2"}
