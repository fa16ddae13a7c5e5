"""Rows that are combined: each counted once however the pages shift, and one key that cannot be read costs that key only."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from integrator.model.run import Status
from tests.scenarios.test_steps_parts import combine_flow, stock
from tests.services.moving import failures, move, parts, plan, rerun
from tests.services.office import Served

CHANGED: dict[str, Any] = {"since": {"field": "updated_at"}, "params": {"since": "{since}"}}


@pytest.mark.parametrize(("code", "again"), [(404, "gone"), (403, "open"), (200, "open")])
async def test_a_key_whose_rows_cannot_be_read_costs_that_key_only(shop: Served, erp: Served, code: int, again: str) -> None:
    stock(erp, 10)
    made, compiled = parts(shop.credential(), erp.credential()), plan(combine_flow(source=CHANGED, tolerate=1))
    erp.office.before = lambda request, _c: web.Response(status=code, text="<html>") if request.query.get("sku") == "s3" else None
    report = await move(made, compiled)
    assert (report.counts.created, report.counts.failed, list(failures(made))) == (9, 1, ["s3"])
    await rerun(made, compiled)
    assert list(failures(made, again)) == ["s3"]
    erp.office.before = lambda _r, _c: None
    if again == "open":
        assert (await rerun(made, compiled)).status is Status.SUCCESS
        assert len(shop.office.by("stock", "key")) == 10
