"""A system that is away ends the run, and is not the failure of each record, whatever else is the matter with them."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from integrator.errors import TryAgainError
from tests.scenarios.test_steps_deletes import flow as delete_flow
from tests.scenarios.test_steps_deletes import stocked
from tests.scenarios.test_steps_look_up import CUSTOMER, customers, order_flow, orders
from tests.services.moving import failures, move, parts, plan
from tests.services.office import Served

BATCH = {
    "connector": "rest", "credential": "erp", "path": "/orders",
    "batch": {"path": "/orders/bulk", "size": 100, "body": {"items": "records"}, "answer": {"records": "results", "success": 'code == "ok"'}},
}  # fmt: skip


@pytest.mark.parametrize("missing", ["skip", "fail"])
async def test_a_batch_that_finds_nobody_there_ends_the_run_though_look_ups_miss(shop: Served, erp: Served, missing: str) -> None:
    orders(shop, 400, 200)
    customers(erp, *range(190))
    erp.office.before = lambda _r, call: (
        web.Response(status=503, headers={"Retry-After": "0.01"}) if call == "POST orders" else None
    )
    made = parts(shop.credential(), erp.credential(), attempts=2)
    one: dict[str, Any] = {**order_flow({"customer": {**CUSTOMER, "missing": missing}}), "destination": BATCH}
    with pytest.raises(TryAgainError):
        await move(made, plan(one))
    assert not [row for row in failures(made).values() if row.error == "UnavailableError"]


@pytest.mark.parametrize("wait_s", ["0.01", "9999"])
async def test_deletes_that_waited_and_find_nobody_there_are_no_failures(shop: Served, erp: Served, wait_s: str) -> None:
    stocked(shop, erp, 300)
    for n in range(200):
        erp.office.change("items", f"s{n}", ended=True)
    calls = iter(range(1000))
    shop.office.before = lambda _r, call: (
        web.Response(status=503, headers={"Retry-After": wait_s}) if call == "DELETE items" and next(calls) > 70 else None
    )
    made = parts(shop.credential(), erp.credential(), attempts=2)
    compiled = plan(delete_flow({"when": "source.ended", "at_most": 250}, tolerate=300))
    with pytest.raises(TryAgainError):
        await move(made, compiled)
    assert len(failures(made)) < 80
    assert made.journal.runs()[0].flows["items"]["deleted"] == 300 - len(shop.office.all("items")) == 71
    shop.office.before = lambda _r, _c: None
    await move(made, compiled)
    assert len(shop.office.all("items")) == 100
