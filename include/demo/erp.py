"""The demo ERP: takes sales orders behind a Bearer token, refuses odd ones, is sometimes busy, and counts what it got."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from demo.access import Door
from demo.serving import answer, decode, guard, refusal
from demo.shelf import Shelf

BUSY_EVERY = 400
"""Each so-many-th write is answered 503 with Retry-After, and nothing is stored."""
CARRIERS = frozenset({"UPS", "FDX"})


class Erp:
    """The routes of the ERP over its shelf."""

    def __init__(self, shelf: Shelf) -> None:
        """Begin with what is on the shelf."""
        self.shelf = shelf
        self.writes = 0

    def _busy(self) -> bool:
        self.writes += 1
        return self.writes % BUSY_EVERY == 0

    def _fault(self, order: Any) -> tuple[str, str] | None:
        """Return code and message of what is wrong with an order; the message echoes it, as real systems' do."""
        if not isinstance(order, dict) or not order.get("external_no"):
            return "INVALID_ORDER", "an order is an object with an external_no"
        if self.shelf.repaired:
            return None
        ship_to = order.get("ship_to") or {}
        if not ship_to.get("zip"):
            return "INVALID_POSTCODE", f"no postcode for {ship_to.get('street')} ({order.get('note')})"
        if order.get("carrier") not in CARRIERS:
            return "UNKNOWN_CARRIER", f"carrier {order.get('carrier')} of {order['external_no']} is not set up"
        return None

    async def create(self, request: web.Request) -> web.Response:
        """Store one order."""
        if self._busy():
            return _busy_answer()
        order = await _body(request)
        if fault := self._fault(order):
            self.shelf.refuse()
            return refusal(422, *fault)
        return answer(self.shelf.create(order), 201)

    async def update(self, request: web.Request) -> web.Response:
        """Change one order."""
        if self._busy():
            return _busy_answer()
        stored = self._stored(request)
        if stored is None:
            return refusal(404, "NO_SUCH_ORDER", "the ERP has no order of that id")
        change = await _body(request)
        if fault := self._fault({**stored, **change} if isinstance(change, dict) else change):
            self.shelf.refuse()
            return refusal(422, *fault)
        return answer(self.shelf.update(stored["id"], change))

    async def bulk(self, request: web.Request) -> web.Response:
        """Store many orders, each with a result of its own, in order."""
        if self._busy():
            return _busy_answer()
        body = await _body(request)
        orders = body.get("orders") if isinstance(body, dict) else None
        if not isinstance(orders, list):
            return refusal(400, "INVALID_BULK", 'send {"orders": [...]}')
        return answer({"results": [self._bulk_one(order) for order in orders]})

    def _bulk_one(self, order: Any) -> dict[str, Any]:
        if fault := self._fault(order):
            self.shelf.refuse()
            return {"code": fault[0], "message": fault[1]}
        stored = self.shelf.create(order)
        return {"code": "ok", "id": stored["id"], "external_no": stored["external_no"]}

    async def find(self, request: web.Request) -> web.Response:
        """Answer the orders with an external number, or `limit` of all from `offset`."""
        number = request.query.get("external_no")
        if number is not None:
            return answer({"data": [self.shelf.orders[id_] for id_ in self.shelf.by_number.get(number, ())]})
        start, limit = int(request.query.get("offset", "0")), int(request.query.get("limit", "100"))
        return answer({"data": list(self.shelf.orders.values())[start : start + limit], "total": len(self.shelf.orders)})

    async def one(self, request: web.Request) -> web.Response:
        """Answer one order by its id."""
        stored = self._stored(request)
        return answer(stored) if stored else refusal(404, "NO_SUCH_ORDER", "the ERP has no order of that id")

    def _stored(self, request: web.Request) -> dict[str, Any] | None:
        id_ = request.match_info["id"]
        return self.shelf.orders.get(int(id_)) if id_.isdecimal() else None

    async def admin(self, request: web.Request) -> web.Response:
        """Repair the checks, break them again, or forget everything; the answer is the counts."""
        action = request.match_info["action"]
        if action == "reset":
            self.shelf.reset()
        else:
            self.shelf.repair(action == "repair")
        return answer(self.shelf.counts())

    async def counts(self, _request: web.Request) -> web.Response:
        """Answer how many orders there are, how many distinct, and what was counted on the way."""
        return answer(self.shelf.counts())


def application(door: Door, home: Path | None, latency_s: float) -> web.Application:
    """Return the ERP as a web application."""
    erp = Erp(Shelf(home / "demo" / "erp.jsonl" if home else None))
    app = web.Application(middlewares=[guard(f"Bearer {door.secret}", "Bearer", latency_s)], client_max_size=32 * 2**20)
    app.router.add_get("/sales-orders", erp.find)
    app.router.add_post("/sales-orders", erp.create)
    app.router.add_post("/sales-orders/bulk", erp.bulk)
    app.router.add_get("/sales-orders/{id}", erp.one)
    app.router.add_patch("/sales-orders/{id}", erp.update)
    app.router.add_get("/admin/counts", erp.counts)
    app.router.add_post("/admin/{action:repair|break|reset}", erp.admin)
    return app


async def _body(request: web.Request) -> Any:
    try:
        return decode(await request.read())
    except msgspec.DecodeError:
        return None


def _busy_answer() -> web.Response:
    return refusal(503, "BUSY", "month-end closing runs; come back in a second", {"Retry-After": "1"})
