"""Values at the edge of what is possible cost their record only."""

from __future__ import annotations

import pytest
from aiohttp import web

from integrator.errors import StopRunError
from tests.scenarios.test_steps_look_up import order_flow
from tests.services.moving import move, parts, plan
from tests.services.office import Served


async def test_numbers_beyond_all_bounds_cost_their_combined_record_only(shop: Served, erp: Served) -> None:
    from decimal import Decimal

    erp.office.put("stock", {"sku": "a", "n": Decimal("1e999999")}, {"sku": "a", "n": Decimal("9e999999")})
    erp.office.put("stock", {"sku": "b", "n": 10**30}, {"sku": "b", "n": Decimal("0.5")})
    one = {
        "source": {"connector": "rest", "credential": "erp", "path": "/stock", "records": "data", "entity_id": "id"},
        "combine": {"by": "sku", "sum": ["n"]},
        "map": {"key": "sku", "n": "text(n)"},
        "destination": {"connector": "rest", "credential": "shop", "path": "/stock"},
        "tolerate": 5,
    }
    report = await move(parts(shop.credential(), erp.credential()), plan(one))
    assert (report.counts.created, report.counts.failed) == (1, 1)
    assert shop.office.all("stock")[0]["n"] == f"{10**30}.5"


async def test_a_time_at_the_end_of_all_time_fails_its_record_only(shop: Served, erp: Served) -> None:
    from tests.scenarios.test_steps_deletes import way

    shop.office.put("customers", *({"email": f"c{n}", "name": "x"} for n in range(3)))
    erp.office.put("customers", {"email": "c0", "name": "y", "changed": "9999-12-31T23:59:59-05:00"},
                   {"email": "c1", "name": "y", "changed": "0001-01-01T00:00:00+05:00"})  # fmt: skip
    report = await move(parts(shop.credential(), erp.credential()), plan({**way("shop", "erp", "changed"), "tolerate": 2}))
    assert report.counts.created == 1
    assert report.counts.adds_up()


async def test_half_a_sign_in_a_form_costs_its_record_only(shop: Served, erp: Served) -> None:
    erp.office.put("items", {"id": "i1", "sku": "s1"})
    rows = '[{"id": "a", "sku": "s1", "alt": "\\ud800"}, {"id": "b", "sku": "s1", "alt": "fine"}]'
    shop.office.before = lambda _r, call: (
        web.Response(text=rows, content_type="application/json") if call == "GET images" else None
    )
    one = {
        "source": {"connector": "rest", "credential": "shop", "path": "/images", "entity_id": "id"},
        "map": {"sku": "sku"},
        "destination": {"connector": "rest", "credential": "erp", "path": "/items",
                        "create": {"method": "PUT", "path": "/items/i1"}, "form": {"alt": "source.alt"}},
        "tolerate": 1,
    }  # fmt: skip
    report = await move(parts(shop.credential(), erp.credential()), plan(one))
    assert (report.counts.updated, report.counts.failed) == (1, 1)


async def test_a_small_table_that_does_not_come_whole_ends_the_run(shop: Served, erp: Served) -> None:
    shop.office.put("orders", *({"id": f"o{n}", "ship": f"S{n}"} for n in range(20)))
    erp.office.put("carriers", *({"code": f"S{n}", "name": f"carrier {n}"} for n in range(20)))
    said = {"data": [], "total": 20}
    erp.office.before = lambda request, _call: web.json_response(said) if request.query.get("page") == "2" else None
    look = {"credential": "erp", "path": "/carriers", "records": "data", "preload": True, "key": {"code": "ship"}, "take": "name",
            "missing": "skip", "pages": {"by": "page_number", "per_page": 10, "total": "total"}}  # fmt: skip
    one = order_flow({"carrier": look}, map={"external_no": "id", "carrier": "look_up.carrier"})
    with pytest.raises(StopRunError, match="ends before as many records came"):
        await move(parts(shop.credential(), erp.credential()), plan(one))
