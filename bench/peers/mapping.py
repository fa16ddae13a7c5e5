"""The mapping of W4, written in Python for the peers that have none of their own."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

CARRIERS = {"ups_ground": "UPS", "fedex": "FDX"}
_CENT = Decimal("0.01")


def _amount(text: str) -> float:
    return float(Decimal(text).quantize(_CENT, rounding=ROUND_HALF_UP))


def mapped(record: dict[str, Any]) -> dict[str, Any]:
    """Return the fifteen fields."""
    customer, totals, shipping = record["customer"], record["totals"], record["shipping"]
    return {
        "external_no": record["id"],
        "order_no": str(record["number"]),
        "state": record["status"].upper(),
        "currency": record["currency"],
        "ordered_at": datetime.fromisoformat(record["created_at"]).isoformat(),
        "email": customer["email"].strip().lower(),
        "name": f"{customer['first']} {customer['last']}",
        "gross": _amount(totals["gross"]),
        "tax": _amount(totals["tax"]),
        "discount": 0 if totals.get("discount") is None else totals["discount"],
        "carrier": CARRIERS.get(shipping["method"], "OTHER"),
        "zip": shipping["postcode"],
        "country": record["billing"].get("country") or "US",
        "street": ", ".join(shipping["street"]),
        "paid": 1 if record["paid"] else 0,
    }
