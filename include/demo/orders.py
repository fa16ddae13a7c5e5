"""The shop's orders: always the same 2,000, made from a seed, nested as real shops nest them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

STAMP = "%Y-%m-%d %H:%M:%S"
"""How the shop writes a moment, in UTC."""
SPREAD_DAYS = 120
ODD_ORDERS = 24
"""Orders that the ERP refuses until it is repaired: two in three lack a postcode, the others name a courier it does not know."""

_FIRST = ("Ada", "Björn", "Chloé", "Deniz", "Emeka", "Fatima", "Grzegorz", "Hana", "Igor", "Jun", "Kirsten", "Luís")
_LAST = ("Abbott", "Brandt", "Castillo", "Dvořák", "Eriksen", "Fontaine", "Güler", "Hughes", "Ivanova", "Jensen", "O'Neill")
_COMPANY = (
    "Abbott Fasteners",
    "Brandt Elektro GmbH",
    "Castillo & Hijos",
    "Northside Plumbing",
    "Öresund Bygg",
    "Pine Supply Co.",
)
_CITY = (("Austin", "US"), ("Boston", "US"), ("Denver", "US"), ("Malmö", "SE"), ("Köln", "DE"), ("Lyon", "FR"), ("Porto", "PT"))
_STATUS = ("processing", "processing", "processing", "complete", "complete", "closed")
_METHOD = ("ups_ground", "ups_ground", "fedex")
_WARE = ("BOLT-M8", "BREAKER-16A", "CABLE-3X25", "DRILL-5", "ELBOW-22", "FLANGE-50", "GLOVE-L", "HINGE-80")


def all_orders(count: int, newest_at: datetime) -> list[dict[str, Any]]:
    """Return the orders, oldest change first.

    Args:
        count: how many.
        newest_at: the moment of the latest change; the others lie in the `SPREAD_DAYS` before it.
    """
    dice = random.Random(20_260_101)
    odd = set(random.Random(7).sample(range(count), min(ODD_ORDERS, count)))
    seconds = sorted(dice.randrange(SPREAD_DAYS * 86_400) for _ in range(count))
    oldest_at = newest_at - timedelta(seconds=seconds[-1] if seconds else 0)
    orders = []
    for index in range(count):
        # A few orders share their second with the one before, as after an import: readers must cope with ties.
        moment = oldest_at + timedelta(seconds=seconds[index - 1 if index % 50 == 49 else index])
        orders.append(_order(dice, index, moment))
    for place, index in enumerate(sorted(odd)):
        _spoil(orders[index], place)
    return sorted(orders, key=lambda order: (order["updated_at"], order["increment_id"]))


def newest_today() -> datetime:
    """Return a moment for the latest change: an hour ago, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


def _order(dice: random.Random, index: int, updated_at: datetime) -> dict[str, Any]:
    first, last = dice.choice(_FIRST), dice.choice(_LAST)
    city, country = dice.choice(_CITY)
    street = [f"{dice.randrange(1, 900)} Main Street"] + ([f"Unit {dice.randrange(1, 40)}"] if dice.random() < 0.3 else [])
    place = {"street": street, "city": city, "postcode": f"{dice.randrange(10_000, 99_999)}", "country_id": country}
    items = _items(dice)
    total = sum((line["price"] * line["qty_ordered"] for line in items if line["product_type"] == "simple"), Decimal("0.00"))
    created_at = updated_at - timedelta(minutes=dice.randrange(1, 2_000))
    return {
        "entity_id": index + 1,
        "increment_id": f"{100_000_001 + index}",
        "status": dice.choice(_STATUS),
        "grand_total": total,
        "currency": "EUR" if country != "US" else "USD",
        "customer_name": f"{first} {last}",
        "customer_email": f"{first}.{last}{index}@Example.test".replace("'", ""),
        "billing_address": {"firstname": first, "lastname": last, "company": dice.choice(_COMPANY), **place},
        "shipping": {"firstname": first, "lastname": last, **place, "street": list(street)},
        "shipping_method": dice.choice(_METHOD),
        "items": items,
        "created_at": created_at.strftime(STAMP),
        "updated_at": updated_at.strftime(STAMP),
    }


def _items(dice: random.Random) -> list[dict[str, Any]]:
    """Return an order's lines; a configurable line comes with the simple one that was chosen."""
    lines: list[dict[str, Any]] = []
    for _ in range(dice.randrange(1, 5)):
        ware, price, quantity = dice.choice(_WARE), Decimal(dice.randrange(199, 49_999)) / 100, dice.randrange(1, 13)
        sku = f"{ware}-{dice.choice(('A', 'B', 'C'))}"
        if dice.random() < 0.25:
            lines.append({"sku": ware, "product_type": "configurable", "qty_ordered": quantity, "price": price})
        lines.append({"sku": sku, "product_type": "simple", "qty_ordered": quantity, "price": price})
    return lines


def _spoil(order: dict[str, Any], place: int) -> None:
    """Make an order one that the unrepaired ERP refuses."""
    if place % 3 == 2:
        order["shipping_method"] = "bike_courier"
    elif place % 3 == 1:
        order["shipping"]["postcode"] = ""
    else:
        del order["shipping"]["postcode"]
