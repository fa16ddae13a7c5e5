"""The record that every workload moves: an order of 858 bytes of nested JSON, and pages of 500 of them."""

from __future__ import annotations

import json

PAGE, BULK, RECORD_BYTES, REFUSED_EVERY = 500, 100, 858, 100
_PLACE = b"r999999-"


def entity_id(number: int) -> str:
    """Return the ID of a record: its page and its place there, always of one length."""
    return f"r{number // PAGE:06}-{number % PAGE:03}"


def is_refused(number: int) -> bool:
    """Tell whether the destination of W5 refuses this record: one in a hundred."""
    return number % REFUSED_EVERY == 37


def order(number: int, page: int = 999_999) -> dict[str, object]:
    """Return one record."""
    at = number % PAGE
    items = [
        {
            "sku": f"SKU-{(at * 7 + i) % 1000:04}",
            "name": f"Steel bolt M{4 + i}",
            "quantity": 1 + at % 9,
            "price": f"{at % 90 + 9}.{i}5",
        }
        for i in range(3)
    ]
    made: dict[str, object] = {
        "id": f"r{page:06}-{at:03}",
        "number": 100_000_000 + at,
        "status": ("processing", "complete", "pending")[at % 3],
        "currency": "USD",
        "created_at": f"2026-03-{1 + at % 28:02}T{at % 24:02}:15:30Z",
        "updated_at": f"2026-04-{1 + at % 28:02}T{at % 24:02}:45:00Z",
        "customer": {"id": 4711 + at, "email": f"Ada.{at:03}@example.com", "first": "Ada", "last": "Lovelace"},
        "billing": {
            "street": ["12 Main Street", "Floor 3"],
            "city": "Springfield",
            "postcode": f"{10_000 + at}",
            "country": "US",
        },
        "shipping": {"street": ["9 Dock Road"], "city": "Shelbyville", "postcode": f"{20_000 + at}", "method": "ups_ground"},
        "totals": {"net": f"{100 + at}.10", "tax": f"{at % 19}.05", "gross": f"{110 + at}.15", "discount": None},
        "items": items,
        "paid": at % 2 == 0,
        "note": "",
    }
    made["note"] = "x" * (RECORD_BYTES - len(json.dumps(made, separators=(",", ":"))))
    return made


class Pages:
    """Rendered pages: one template, into which a page's number is put when it is asked for."""

    def __init__(self, records: int) -> None:
        self.records = records
        self._parts = [json.dumps(order(at), separators=(",", ":")).encode() for at in range(PAGE)]

    def render(self, page: int) -> bytes:
        """Return the answer for a page, counted from 1; empty behind the last."""
        listed = self._parts[: max(0, min(PAGE, self.records - (page - 1) * PAGE))]
        whole = b'{"total":%d,"data":[' % self.records + b",".join(listed) + b"]}"
        return whole.replace(_PLACE, b"r%06d-" % (page - 1))
