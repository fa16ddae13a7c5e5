"""Whether what would be written stands there already."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from integrator.mapping.casts import text


def same(wanted: Any, there: Any) -> bool:
    """Tell whether everything that would be written already stands there; members that are only there do not count."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(name in there and same(value, there[name]) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(there, list) and len(wanted) == len(there) and all(map(same, wanted, there))
    if isinstance(wanted, bool) or isinstance(there, bool):
        return wanted is there
    if isinstance(wanted, (int, Decimal)) and isinstance(there, (int, Decimal)):
        return wanted == there
    if isinstance(wanted, (datetime, date)):
        return isinstance(there, str) and text(wanted) == there
    return type(wanted) is type(there) and bool(wanted == there)
