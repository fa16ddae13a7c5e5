"""What each worked example starts from and what the other side must look like at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from demo.office import Office, stamp

Two = Callable[[Office, Office], None]
VOLATILE = ("id", "updated_at", "number", "customer_id", "order_id", "header_id", "erp_number")


@dataclass(frozen=True)
class Example:
    """A worked pipe.

    Args:
        fill: puts the records of both sides, shop and ERP.
        ends: asserts what both sides must hold once the pipe has run.
        refused: a record of the destination, `(side, method and collection, ID)`, that is refused at first.
    """

    fill: Two
    ends: Two
    reads: int
    """Records that its flows read in a first run."""
    calls: int
    """Calls that a first run makes, about."""


def orders(shop: Office, count: int) -> None:
    for n in range(count):
        items = [{"line": line, "sku": f"s{line}", "qty": str(line + 1)} for line in range(1 + n % 3)]
        shop.put("orders", {
            "id": f"{1000 + n}", "increment_id": f"W{n}", "status": "paid" if n % 4 else "open", "email": f"C{n % 9}@x.example",
            "company": f"company {n % 9}", "grand_total": f"{n}.5", "items": items,
        })  # fmt: skip


def order_with_customer_ends(shop: Office, erp: Office) -> None:
    made, customers = erp.by("orders", "external_no"), erp.by("customers", "email")
    paid = [one for one in shop.all("orders") if one["status"] == "paid"]
    assert sorted(made) == sorted(one["increment_id"] for one in paid)
    assert len(customers) == 9
    for one in paid:
        assert one["erp_number"] == made[one["increment_id"]]["number"]
        assert made[one["increment_id"]]["customer_id"] == customers[one["email"].lower()]["id"]
    assert not any("erp_number" in one for one in shop.all("orders") if one["status"] == "open")


def stock(_shop: Office, erp: Office) -> None:
    erp.put("stock", *({"id": f"s{n}", "sku": f"s{n}", "on_hand": n, "allocated": n % 5 or None} for n in range(240)))


def stock_ends(shop: Office, _erp: Office) -> None:
    there = shop.by("stock", "key")
    assert len(there) == 240
    assert [there[f"s{n}"]["quantity"] for n in (0, 4, 17)] == [0, 0, 15]
    assert there["s17"]["in_stock"] is True


def prices(shop: Office, erp: Office) -> None:
    shop.put("lists", *({"id": f"id-{code}", "code": code} for code in ("retail", "trade", "web")))
    for n in range(80):
        listed = [
            {"list": code, "amount": f"{n}.{at}", "ended": n == 7 and code == "web"}
            for at, code in enumerate(("retail", "trade", "web"))
        ]
        erp.put("items", {"id": f"s{n}", "sku": f"s{n}", "prices": listed})
    shop.put("prices", {"key": "s7/web", "sku": "s7"}, {"key": "s8/web", "sku": "s8", "amount": 1})


def prices_ends(shop: Office, _erp: Office) -> None:
    there = shop.by("prices", "key")
    assert len(there) == 239
    assert "s7/web" not in there
    assert (there["s8/web"]["list_id"], float(there["s8/web"]["amount"])) == ("id-web", 8.2)


def images(shop: Office, erp: Office) -> None:
    shop.files["media"] = {f"p{n}.png": bytes([n, 0, 255]) * 5000 for n in range(60)}
    shop.put(
        "images", *({"id": f"p{n}", "sku": f"s{n}", "url": f"/files/media/p{n}.png", "alt": f"picture {n}"} for n in range(60))
    )
    erp.put("items", *({"id": f"i{n}", "sku": f"s{n}"} for n in range(60)))


def images_end(_shop: Office, erp: Office) -> None:
    assert len(erp.files) == 60
    assert erp.files["items/i9"] == {"file:p9.png": bytes([9, 0, 255]) * 5000, "alt:": b"picture 9"}


def shipments(shop: Office, erp: Office) -> None:
    shop.put("orders", *({"increment_id": f"W{n}"} for n in range(100)))
    for n in range(105):
        erp.put("shipments", {"number": f"S{n}", "order_no": f"W{n}", "tracking": f"1Z{n}" if n % 10 else None, "carrier": "ups"})


def shipments_end(shop: Office, _erp: Office) -> None:
    there = shop.by("orders", "increment_id")
    assert {name: one.get("tracking") for name, one in there.items()} == {
        f"W{n}": f"1Z{n}" if n % 10 else None for n in range(100)
    }


def customers(shop: Office, erp: Office) -> None:
    for n in range(150):
        shop.put("customers", {"id": f"c{n}", "email": f" C{n}@X.example", "first": "Ada", "last": f"L{n}", "phone": None})
    erp.put("customers", *({"email": f"c{n}@x.example", "name": f"Ada L{n if n % 2 else 'old'}", "phone": ""} for n in range(60)))


def customers_end(_shop: Office, erp: Office) -> None:
    there = erp.by("customers", "email")
    assert {name: one["name"] for name, one in there.items()} == {f"c{n}@x.example": f"Ada L{n}" for n in range(150)}


def warehouse(_shop: Office, erp: Office) -> None:
    for house in range(4):
        erp.put("stock", *({"id": f"s{n}@{house}", "sku": f"s{n}", "warehouse": f"w{house}", "on_hand": n * house, "allocated": 1}
                           for n in range(70)))  # fmt: skip


def warehouse_ends(shop: Office, _erp: Office) -> None:
    there = shop.by("stock", "key")
    assert {name: one["quantity"] for name, one in there.items()} == {f"s{n}": n * 6 - 4 for n in range(70)}
    assert sorted(there["s5"]["warehouses"]) == ["w1", "w2", "w3"]


def memos(shop: Office, erp: Office) -> None:
    erp.put("orders", *({"id": f"o{n}", "external_no": f"W{n}", "customer_id": f"k{n}"} for n in range(80)))
    erp.put("reasons", {"id": "r1", "code": "broken"}, {"id": "r2", "code": "late"})
    for n in range(84):
        reason = ("broken", "late", "other")[n % 3]
        shop.put(
            "memos",
            {"number": f"M{n}", "order_no": f"W{n}", "amount": f"{n}.10", "reason": reason, "items": [{"sku": "a", "qty": "2"}]},
        )


def memos_end(_shop: Office, erp: Office) -> None:
    there = erp.by("memos", "external_no")
    assert sorted(there) == sorted(f"M{n}" for n in range(80))
    assert (there["M5"]["order_id"], there["M5"]["reason_id"], there["M3"]["reason_id"]) == ("o5", None, "r1")
    assert (float(there["M5"]["amount"]), there["M5"]["lines"][0]["quantity"]) == (-5.10, -2)


def ended(shop: Office, erp: Office) -> None:
    for n in range(100):
        erp.put("items", {"id": f"s{n}", "sku": f"s{n}", "name": f"item {n}", "ended": n in (3, 4)})
        shop.put("items", {"sku": f"s{n}", "name": "old", "active": True})
    erp.put("categories", *({"id": f"c{n}", "code": f"c{n}", "name": f"category {n}"} for n in range(50)))
    shop.put("categories", *({"code": f"c{n}", "name": f"category {n}", "origin": "erp"} for n in range(53)))
    shop.put("categories", {"code": "own", "name": "the shop's own"})


def ended_ends(shop: Office, _erp: Office) -> None:
    items = shop.by("items", "sku")
    assert [name for name, one in items.items() if not one["active"]] == ["s3", "s4"]
    assert items["s9"]["name"] == "item 9"
    assert sorted(shop.by("categories", "code")) == sorted([*(f"c{n}" for n in range(50)), "own"])


def lines_end(_shop: Office, erp: Office) -> None:
    headers = erp.by("headers", "external_no")
    lines = erp.by("lines", "key")
    assert (len(headers), len(lines)) == (90, sum(1 + n % 3 for n in range(90)))
    assert lines[f"{headers['W5']['id']}/2"]["quantity"] == 3


def invoices(_shop: Office, erp: Office) -> None:
    begin = datetime(2025, 11, 3, tzinfo=UTC)
    for n in range(420):
        at = begin + (timedelta(minutes=n) if n < 250 else timedelta(days=n - 200))
        erp.put("invoices", {"number": f"I{n}", "customer": f"c{n % 7}", "amount": f"{n}.00", "updated_at": stamp(at)})
    erp.most = 100


def invoices_end(shop: Office, _erp: Office) -> None:
    assert sorted(shop.by("invoices", "number")) == sorted(f"I{n}" for n in range(420))


def two_ways(shop: Office, erp: Office) -> None:
    old, new = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
    shop.now = erp.now = datetime(2026, 3, 1, tzinfo=UTC)
    for n in range(60):
        shop.put("customers", {"email": f"c{n}", "name": f"shop {n}", "updated_at": new if n % 2 else old})
    for n in range(50, 90):
        erp.put("customers", {"email": f"c{n}", "name": f"erp {n}", "shop": "us", "updated_at": old if n % 2 else new})
    erp.put("customers", {"email": "other", "name": "of the other shop", "shop": "eu", "updated_at": new})


def two_ways_end(shop: Office, erp: Office) -> None:
    wanted = {f"c{n}": f"shop {n}" if n < 50 or (n < 60 and n % 2) else f"erp {n}" for n in range(90)}
    assert {name: one["name"] for name, one in shop.by("customers", "email").items()} == wanted
    assert {name: one["name"] for name, one in erp.by("customers", "email").items() if name != "other"} == wanted


EXAMPLES = {
    "order_with_customer": Example(lambda shop, _erp: orders(shop, 120), order_with_customer_ends, 120, 290),
    "stock_to_shop": Example(stock, stock_ends, 240, 27),
    "price_lists": Example(prices, prices_ends, 80, 483),
    "product_images": Example(images, images_end, 60, 181),
    "tracking_back": Example(shipments, shipments_end, 105, 186),
    "customers_compared": Example(customers, customers_end, 150, 272),
    "warehouse_stock": Example(warehouse, warehouse_ends, 70, 142),
    "credit_memos": Example(memos, memos_end, 84, 246),
    "deletes": Example(ended, ended_ends, 153, 258),
    "header_then_lines": Example(lambda shop, _erp: orders(shop, 90), lines_end, 180, 632),
    "two_shops_us": Example(two_ways, two_ways_end, 150, 242),
    "first_load_then_delta": Example(invoices, invoices_end, 420, 874),
}
UNIQUE = {
    "customers": "email",
    "orders": "external_no",
    "stock": "key",
    "prices": "key",
    "headers": "external_no",
    "lines": "key",
}
