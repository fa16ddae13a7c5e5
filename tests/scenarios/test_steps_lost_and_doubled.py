"""What a run that ends in the middle, or is tried again, must neither lose nor do twice: parts and calls after the write."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from integrator.errors import StopRunError
from tests.scenarios.test_steps_then import BACK, orders, told_back
from tests.scenarios.test_steps_then import flow as then_flow
from tests.services.moving import move, parts, plan, rerun
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
