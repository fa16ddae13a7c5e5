"""The demo shop: 2,000 orders behind Basic auth, by page, by change since, and by number."""

from __future__ import annotations

import base64
import json
from bisect import bisect_left
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from demo.access import Door
from demo.orders import STAMP, all_orders, newest_today
from demo.serving import answer, encode, guard, refusal

ORDERS = 2_000


class Shop:
    """The orders, sorted by change and then number, each kept as JSON beside its sort key."""

    def __init__(self, count: int, newest_at: datetime) -> None:
        """Make the orders; `newest_at` is the latest one's change."""
        self.orders: dict[str, dict[str, Any]] = {one["increment_id"]: one for one in all_orders(count, newest_at)}
        self._sort()

    def _sort(self) -> None:
        rows = sorted((one["updated_at"], number) for number, one in self.orders.items())
        self.keys = rows
        self.texts = [encode(self.orders[number]) for _, number in rows]

    async def page(self, request: web.Request) -> web.Response:
        """Answer one page of the orders changed at or after `updated_min`; past the last page the list is empty."""
        try:
            page, per_page = int(request.query.get("page", "1")), int(request.query.get("per_page", "20"))
        except ValueError:
            page = per_page = 0
        if page < 1 or not 1 <= per_page <= 1_000:
            return refusal(400, "BAD_PAGE", "page is from 1, per_page from 1 to 1000")
        first = bisect_left(self.keys, (request.query.get("updated_min", ""), ""))
        start = first + (page - 1) * per_page
        body = b'{"items":[' + b",".join(self.texts[start : start + per_page]) + b'],"total_count":%d}' % (len(self.keys) - first)
        return web.Response(body=body, content_type="application/json")

    async def one(self, request: web.Request) -> web.Response:
        """Answer one order by its number."""
        order = self.orders.get(request.match_info["number"])
        return answer(order) if order else refusal(404, "NO_SUCH_ORDER", "the shop has no order of that number")

    async def touch(self, request: web.Request) -> web.Response:
        """Change orders now: `{"ids": [...]}`; an unknown number is passed over."""
        known = [one for one in (await request.json()).get("ids", []) if one in self.orders]
        for number in known:
            self.orders[number]["updated_at"] = datetime.now(UTC).strftime(STAMP)
        self._sort()
        return answer({"touched": len(known)})

    async def remove(self, request: web.Request) -> web.Response:
        """Delete an order, so that a rerun finds it gone."""
        gone = self.orders.pop(request.match_info["number"], None)
        self._sort()
        return answer({"removed": int(gone is not None)})


def application(door: Door, home: Path | None, latency_s: float, count: int = ORDERS) -> web.Application:
    """Return the shop as a web application."""
    shop = Shop(count, _newest_at(home))
    token = base64.b64encode(f"{door.username}:{door.secret}".encode()).decode()
    app = web.Application(middlewares=[guard(f"Basic {token}", "Basic", latency_s)])
    app.router.add_get("/rest/V1/orders", shop.page)
    app.router.add_get("/rest/V1/orders/{number}", shop.one)
    app.router.add_delete("/rest/V1/orders/{number}", shop.remove)
    app.router.add_post("/admin/touch", shop.touch)
    return app


def _newest_at(home: Path | None) -> datetime:
    """Return the latest change; the first start's is kept, or each start would change every order."""
    if home is None:
        return newest_today()
    file = home / "demo" / "shop.json"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"newest_at": newest_today().isoformat()}), "utf-8")
    return datetime.fromisoformat(json.loads(file.read_text("utf-8"))["newest_at"])
