"""Rows that are combined: each counted once however the pages shift, and one key that cannot be read costs that key only."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from integrator.engine.comparing import compare
from integrator.engine.preview import preview
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


async def test_a_row_that_a_shifted_page_gives_twice_is_added_once(shop: Served, erp: Served) -> None:
    stock(erp, 60, 2)
    put: list[bool] = []

    def before(request: web.Request, _call: str) -> None:
        if request.query.get("page") == "2" and not put:
            put.append(True)  # it stands in front, so that the last row of the first page comes again
            new = {"id": "new", "sku": "new", "warehouse": "w0", "on_hand": 1}
            erp.office.collections["stock"] = {"new": new, **erp.office.collections["stock"]}

    erp.office.before = before
    report = await move(parts(shop.credential(), erp.credential()), plan(combine_flow()))
    there = shop.office.by("stock", "key")
    assert {name: one["quantity"] for name, one in there.items()} == {f"s{n}": 2 * n + 1 for n in range(60)}
    assert report.counts.parts == 120


async def test_rows_that_their_ids_do_not_tell_apart_are_not_added_up(shop: Served, erp: Served) -> None:
    stock(erp, 3, 2)
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(combine_flow(source={"entity_id": "sku"}, tolerate=3)))
    assert (report.counts.failed, {row.code for row in failures(made).values()}) == (3, {"repeated_id"})


async def test_a_comparison_counts_each_record_once_though_windows_are_halved(shop: Served, erp: Served) -> None:
    for n in range(100):
        erp.office.put("items", {"sku": f"s{n}", "updated_at": f"2026-01-01T{n // 60:02}:{n % 60:02}:00Z"})
    since = {"field": "updated_at", "start": "2026-01-01", "window": "1d"}
    flow = {
        "source": {"connector": "rest", "credential": "erp", "path": "/items", "records": "data", "entity_id": "sku", "since": since,
                   "params": {"since": "{since}", "until": "{until}"}, "pages": {"by": "page_number", "per_page": 10, "most": 30}},
        "map": {"key": "sku"},
        "destination": {"connector": "rest", "credential": "shop", "path": "/items", "match": {"params": {"key": "{key}"}, "records": "data"}},
    }  # fmt: skip
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow)
    opened = made.open_flow(compiled, to_show=True)
    told = await compare(opened, made.hash_key)
    assert len([one async for one in preview(opened, 1000)]) == 100
    await opened.close()
    assert (told.read, told.counts["missing"], len(set(told.ids["missing"]))) == (100, 100, 100)
