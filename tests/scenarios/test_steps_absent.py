"""Deletes of what is absent at the source: one that is refused, a system that is away, and odd records in the destination's list."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from integrator.errors import TryAgainError
from integrator.model.run import Status
from tests.scenarios.test_steps_deletes import flow as delete_flow
from tests.scenarios.test_steps_deletes import stocked
from tests.services.moving import failures, move, parts, plan
from tests.services.office import Served


async def test_a_delete_that_is_refused_is_that_records_failure(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 100)
    for n in range(3):
        erp.office.remove("items", f"s{n}")
    shop.office.before = lambda request, _c: (
        web.Response(status=422) if (request.method, request.path) == ("DELETE", "/items/i1") else None
    )
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(delete_flow({"absent": True, "at_most": 5}, tolerate=1)))
    assert (report.counts.deleted, report.counts.failed, list(failures(made))) == (2, 1, ["s1"])
    assert report.counts.adds_up()


@pytest.mark.parametrize("wait_s", ["0.01", "9999"])
async def test_a_system_that_is_away_when_deletes_begin_is_no_failure_of_each(shop: Served, erp: Served, wait_s: str) -> None:
    stocked(shop, erp, 300)
    for n in range(200):
        erp.office.remove("items", f"s{n}")
    calls = iter(range(1000))
    shop.office.before = lambda _r, call: (
        web.Response(status=503, headers={"Retry-After": wait_s}) if call == "DELETE items" and next(calls) > 70 else None
    )
    made = parts(shop.credential(), erp.credential(), attempts=2)
    with pytest.raises(TryAgainError):
        await move(made, plan(delete_flow({"absent": True, "at_most": 250}, tolerate=300)))
    assert len(failures(made)) < 80
    told = made.journal.runs()[0].flows["items"]
    assert told["deleted"] == 300 - len(shop.office.all("items")) == 71


async def test_what_was_softly_deleted_before_does_not_count_against_at_most(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 100)
    soft = {"absent": True, "method": "PATCH", "path": "/items/{id}", "body": {"active": False}, "at_most": "2%"}
    made, compiled = parts(shop.credential(), erp.credential()), plan(delete_flow(soft))
    for first in (0, 2):
        for n in (first, first + 1):
            erp.office.remove("items", f"s{n}")
        report = await move(made, compiled)
        assert (report.counts.deleted, report.status) == (2, Status.SUCCESS)


@pytest.mark.parametrize(
    ("key", "names"),
    [("a\\u0000b", ["?absent", "s1"]), ("x" * 4096, ["?absent", "s1"]), ("?p", ["?absent", "s1"]), ("\\ud800", ["s1"])],
    ids=["nul", "long", "made up", "half a sign: not text, and left alone"],
)
async def test_a_failed_delete_of_a_key_that_cannot_be_kept_is_noted_under_another_name(
    shop: Served, erp: Served, key: str, names: list[str]
) -> None:
    stocked(shop, erp, 10)
    erp.office.remove("items", "s1")
    rows = json.dumps({"data": [*shop.office.all("items"), {"id": "odd", "key": "KEY"}], "total": 11}).replace("KEY", key)

    def before(request: web.Request, call: str) -> Any:
        if call == "GET items" and "page" in request.query:
            return web.Response(text=rows, content_type="application/json")
        return web.Response(status=422) if call == "DELETE items" else None

    shop.office.before = before
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(delete_flow({"absent": True, "at_most": 5}, tolerate=9)))
    named = sorted(name.rstrip("0123456789") if name.startswith("?") else name for name in failures(made))
    assert (report.counts.failed, named) == (len(names), names)


async def test_a_record_that_is_listed_twice_counts_once(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 60)
    erp.office.remove("items", "s49")

    def before(request: web.Request, call: str) -> Any:
        if call == "GET items" and request.query.get("page") == "2":
            return web.json_response({"data": shop.office.all("items")[49:], "total": 60})
        return None

    shop.office.before = before
    report = await move(parts(shop.credential(), erp.credential()), plan(delete_flow({"absent": True, "at_most": 1})))
    assert (report.counts.deleted, report.counts.skipped) == (1, 59)


async def test_a_delete_settles_no_failure_of_another_record_that_is_called_alike(shop: Served, erp: Served) -> None:
    """The source's IDs and the list's keys are numbers of their own: item 7 could not be written, and key 7 is to go."""
    others = ({"id": f"x{n}", "sku": f"x{n}", "name": "x"} for n in range(100))
    erp.office.put("items", {"id": "7", "sku": "s7", "name": "x"}, *others)
    shop.office.put("items", {"id": "i7", "key": "7", "name": "old"})
    shop.office.latency_s = 0.01
    calls = iter(range(1000))
    shop.office.before = lambda _r, call: web.Response(status=422) if call == "POST items" and next(calls) == 0 else None
    one = delete_flow({"absent": True, "at_most": 5}, source={"entity_id": "id"}, tolerate=5)
    one["destination"]["in_flight"] = 2
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(one))
    assert (report.counts.failed, report.counts.deleted, list(failures(made))) == (1, 1, ["7"])
