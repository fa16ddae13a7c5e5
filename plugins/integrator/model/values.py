"""The values that a pipe is written with: names, time spans, expressions, templates, shapes. Each says what is wrong with it in words."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from integrator.model.names import NAME

_DURATION = re.compile(r"^(\d+)(ms|s|m|h|d|w)$")
_YEARS_10_S = 10 * 366 * 86400
_UNIT_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    found = _DURATION.match(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("a time span is a whole number and a unit: 500ms, 30s, 15m, 2h, 1d, 1w")
    seconds = int(found[1]) * _UNIT_S[found[2]]
    if seconds > _YEARS_10_S:
        raise ValueError("a time span is at most ten years")
    return timedelta(seconds=seconds)


def _tolerance(value: object) -> float | int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = re.match(r"^(\d+(?:\.\d+)?) ?%$", value) if isinstance(value, str) else None
    if not found or float(found[1]) > 100:
        raise ValueError("tolerate is a number of records (25) or a share of them (5%)")
    return float(found[1]) / 100


def _instant_text(value: object) -> str:
    if isinstance(value, (str, date, datetime)):
        return str(value)
    raise ValueError("write a date (2026-01-01), a time (2026-01-01T00:00:00Z) or, for numbers, a quoted number")


def _table_value(value: object) -> Any:
    if value is None or isinstance(value, (str, int, bool, Decimal)):
        return value
    raise ValueError("a table's value is a text, a number, a boolean or null")


Name = Annotated[str, Field(pattern=NAME, max_length=64)]
Duration = Annotated[
    timedelta, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": _DURATION.pattern, "examples": ["15m"]})
]
Expression = Annotated[
    str | int | bool | Decimal | None,
    WithJsonSchema({"type": ["string", "number", "boolean", "null"], "description": "an expression"}),
]
Template = Annotated[
    str, Field(min_length=1), WithJsonSchema({"type": "string", "description": "text with expressions in braces"})
]
TemplateValue = Annotated[
    str | int | bool | Decimal | list[str | int | bool | Decimal],
    WithJsonSchema({"type": ["string", "number", "boolean", "array"], "description": "text with expressions in braces"}),
]
MapValue = Annotated[Any, WithJsonSchema({"x-ref": "MapValue"})]
Shape = Annotated[dict[str, MapValue], Field(min_length=1), WithJsonSchema({"x-ref": "Shape"})]
Tolerance = Annotated[
    float | int,
    BeforeValidator(_tolerance),
    PlainSerializer(str),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["5%", 25]}),
]
Instant = Annotated[str, BeforeValidator(_instant_text)]
WithValue = Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$", max_length=64)] | int
TableValue = Annotated[Any, BeforeValidator(_table_value)]


class Strict(BaseModel):
    """Nothing unknown passes, nothing changes, and no error shows what was given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True)
