"""The demo systems behave as the tutorial says: every order once, 24 refused, busy now and then, state that lasts."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from tests.services.demo import DemoErp, DemoShop, demo_erp, demo_shop

__all__ = ["demo_erp", "demo_shop"]

CARRIERS = {"ups_ground": "UPS", "fedex": "FDX"}


def _read_all(shop: DemoShop, per_page: int = 500) -> list[dict[str, Any]]:
    orders: list[dict[str, Any]] = []
    page = 1
    while items := shop.ask("GET", f"/rest/V1/orders?page={page}&per_page={per_page}")[1]["items"]:
        orders += items
        page += 1
    return orders


def _mapped(order: dict[str, Any]) -> dict[str, Any]:
    return {
        "external_no": order["increment_id"],
        "carrier": CARRIERS.get(order["shipping_method"], "OTHER"),
        "ship_to": {"zip": order["shipping"].get("postcode")},
    }


def test_the_shop_gives_each_order_once_in_the_order_of_change(demo_shop: DemoShop) -> None:
    orders = _read_all(demo_shop)
    keys = [(one["updated_at"], one["increment_id"]) for one in orders]
    assert len({one["increment_id"] for one in orders}) == 2_000
    assert keys == sorted(keys)
    assert {type(one["grand_total"]) for one in orders} == {float}


def test_the_shop_filters_by_change_answers_one_order_and_404(demo_shop: DemoShop) -> None:
    since = _read_all(demo_shop)[1_500]["updated_at"]
    status, answer = demo_shop.ask("GET", f"/rest/V1/orders?per_page=1000&updated_min={since.replace(' ', '%20')}")
    assert (status, answer["total_count"]) == (200, len(answer["items"]))
    assert 490 <= len(answer["items"]) <= 510
    assert min(one["updated_at"] for one in answer["items"]) == since
    assert demo_shop.ask("GET", "/rest/V1/orders/100000001")[1]["increment_id"] == "100000001"
    assert demo_shop.ask("GET", "/rest/V1/orders/7")[0] == 404


def test_the_shop_turns_a_wrong_password_away(demo_shop: DemoShop) -> None:
    demo_shop.authorization = "Basic d3Jvbmc6d3Jvbmc="
    assert demo_shop.ask("GET", "/rest/V1/orders")[0] == 401


def test_the_erp_refuses_24_orders_until_it_is_repaired(demo_shop: DemoShop, demo_erp: DemoErp) -> None:
    orders = [_mapped(one) for one in _read_all(demo_shop)]
    results = demo_erp.ask("POST", "/sales-orders/bulk", {"orders": orders})[1]["results"]
    refused = [order for order, result in zip(orders, results, strict=True) if result["code"] != "ok"]
    assert {result["code"] for result in results} == {"ok", "INVALID_POSTCODE", "UNKNOWN_CARRIER"}
    counts = demo_erp.counts()
    assert (len(refused), counts["orders"], counts["refused"], counts["duplicates"]) == (24, 1_976, 24, [])
    demo_erp.repair()
    assert {demo_erp.ask("POST", "/sales-orders", one)[0] for one in refused} == {201}
    assert demo_erp.counts()["distinct"] == 2_000


def test_the_erp_is_busy_at_each_400th_write_and_shows_duplicates(demo_erp: DemoErp) -> None:
    demo_erp.repair()
    statuses = [demo_erp.ask("POST", "/sales-orders", {"external_no": "A-1"})[0] for _ in range(400)]
    assert statuses == [201] * 399 + [503]
    assert (demo_erp.counts()["orders"], demo_erp.counts()["duplicates"]) == (399, ["A-1"])


def test_the_erp_keeps_what_it_confirmed_when_it_is_killed(tmp_path: Path) -> None:
    erp = DemoErp(home=tmp_path).start()
    try:
        stored = erp.ask("POST", "/sales-orders", {"external_no": "A-1", "carrier": "UPS", "ship_to": {"zip": "1"}})[1]
        erp.ask("PATCH", f"/sales-orders/{stored['id']}", {"note": "changed"})
        erp.ask("POST", "/sales-orders", {"external_no": "A-2"})
        before = erp.counts()
        erp.stop(signal.SIGKILL)
        erp.start()
        assert erp.counts() == before
        assert erp.ask("GET", "/sales-orders?external_no=A-1")[1]["data"][0]["note"] == "changed"
    finally:
        erp.stop()
