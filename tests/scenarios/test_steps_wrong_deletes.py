"""Deletes that nobody wants, and those that nobody may hold back: what is seen of the source, what at_most counts, what comes twice."""

from __future__ import annotations

from integrator.model.run import Status
from tests.scenarios.test_steps_deletes import flow as delete_flow
from tests.scenarios.test_steps_deletes import stocked
from tests.services.moving import move, parts, plan
from tests.services.office import Served


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
