"""A pipe as people write it. Source: PRODUCT.md section 7; include/pipe.schema.json is made from these models.

A string in `where`, `map` values, `success` and the like is an *expression*; a string in `path`, `params`,
`headers` and `{text: ...}` is a *template*, in which an expression stands in braces.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

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
TableValue = Annotated[Any, BeforeValidator(_table_value)]


class Strict(BaseModel):
    """Nothing unknown passes, nothing changes, and no error shows what was given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True)


class Pages(Strict):
    """How a list is read page by page; which keys are used depends on `by`."""

    by: str = Field(description="single, page_number, offset, cursor, link_header, next_url or odata")
    per_page: Annotated[int, Field(ge=1, le=100_000)] | None = Field(None, description="records asked for in a page")
    param: str | None = Field(None, description="name of the parameter that says which page")
    size_param: str | None = Field(None, description="name of the parameter that says how many in a page")
    first: Annotated[int, Field(ge=0)] | None = Field(None, description="number of the first page or offset")
    next: str | None = Field(None, description="where in the answer the next cursor or address stands")
    total: str | None = Field(None, description="where in the answer the number of all records stands")


class Since(Strict):
    """How only changed records are asked for, and how far the cursor may move."""

    field: str = Field(description="the record's member that says when it changed")
    format: str = Field("iso", description="iso, epoch, epoch_ms, number, or a strptime format")
    zone: str = Field("UTC", description="time zone of stamps that name none")
    precision: Duration = Field(timedelta(seconds=1), description="the finest step the source keeps")
    overlap: Duration = Field(timedelta(0), description="how far before the cursor each run reads again")
    start: Instant | None = Field(None, description="where the first run begins; left out: at the beginning")


class ById(Strict):
    """How one record, or a few, are read again by their ID."""

    path: Template | None = None
    params: dict[str, TemplateValue] = {}
    records: str | None = Field(None, description="where the list is in the answer; left out: the answer is the record")
    up_to: int = Field(1, ge=1, le=1000, description="how many IDs one call may name")


class Source(Strict):
    """Where a flow's records come from."""

    connector: str
    credential: Name | None = None
    path: Template
    params: dict[str, TemplateValue] = {}
    headers: dict[str, Template] = {}
    records: str | None = Field(None, description="where the list is in the answer; left out: the answer is the list")
    entity_id: str | Annotated[list[str], Field(min_length=1, max_length=8)]
    pages: Pages = Pages(by="single")
    since: Since | None = None
    by_id: ById | None = None


class Match(Strict):
    """How a record is found at the destination before it is written."""

    path: Template | None = Field(None, description="left out: the destination's path")
    params: dict[str, TemplateValue] = {}
    records: str | None = None
    id: str = Field("id", description="where the found record's own ID stands")
    found: Literal["update", "leave", "fail"] = "update"
    missing: Literal["create", "skip", "fail"] = "create"
    same: Literal["skip"] | None = Field(None, description="skip: write nothing when every mapped member is already equal")


class Call(Strict):
    """A method and a path, where they differ from the usual ones."""

    method: Literal["POST", "PUT", "PATCH"]
    path: Template


class Key(Strict):
    """Results are told apart by a member that the sent record and its result share."""

    key: str


By = Literal["index", "all_or_nothing"] | Key


class Poll(Strict):
    """A bulk job that was only accepted: where to ask for its result, and when it has ended."""

    poll: Template = Field(description="path; `answer` is the answer that accepted the job")
    done: Expression = Field(description="true once the job has ended; names are the poll answer's members")
    every: Duration = timedelta(seconds=2)
    within: Duration = timedelta(minutes=10)
    by: By = "index"


class BatchAnswer(Strict):
    """How one answer tells what became of each record."""

    by: By | Poll = "index"
    records: str | None = Field(None, description="where the list of results stands; left out: the answer is the list")
    success: Expression = Field(None, description="true for a record that was taken; left out: each that is listed")
    code: Expression = Field(None, description="the other system's error code")


class Batch(Strict):
    """Many records in one call."""

    path: Template | None = None
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    size: int = Field(100, ge=1, le=10_000)
    body: MapValue = Field(None, description="`records` stands for the list; left out: the list itself")
    answer: BatchAnswer = BatchAnswer()


class Idempotency(Strict):
    """A header by which the destination recognises a repeated request."""

    header: str = "Idempotency-Key"


class Destination(Strict):
    """Where a flow's records go."""

    connector: str
    credential: Name | None = None
    path: Template
    headers: dict[str, Template] = {}
    create: Call | None = Field(None, description="left out: POST to the path")
    update: Call | None = Field(None, description="left out: PATCH to {path}/{id}")
    match: Match | None = None
    batch: Batch | None = None
    body: MapValue = Field(None, description="`record` stands for the mapped record; left out: the mapped record itself")
    success: Expression = Field(None, description="left out: any 2xx status")
    idempotency: Idempotency | None = None
    in_flight: Annotated[int, Field(ge=1, le=1024)] | None = Field(None, description="most calls at one time")


class Flow(Strict):
    """One kind of entity, from one source to one destination."""

    after: list[Name] = []
    source: Source
    where: Expression = None
    map: Shape
    destination: Destination
    tolerate: Tolerance = 0


class Every(Strict):
    """A schedule by distance."""

    every: Duration


class After(Strict):
    """A schedule by other pipes of the project."""

    after: Annotated[list[Name], Field(min_length=1)]


class Pipe(Strict):
    """One YAML file: one DAG, with one task a flow."""

    description: str = ""
    schedule: str | Annotated[list[str], Field(min_length=1)] | Every | After | None = Field(
        None,
        description="a cron, a list of crons, a preset (@daily), {every: 15m}, {after: [pipe]}; left out: by hand and by calls",
    )
    timezone: str = "UTC"
    paused: bool = Field(False, description="whether the pipe starts out paused")
    flows: Annotated[dict[Name, Flow], Field(min_length=1)]
    tables: dict[Name, dict[str, TableValue]] = {}


LATER = {
    "look_up": "look-ups",
    "then": "calls after the write",
    "split": "one record to many",
    "combine": "many records to one",
    "delete": "deletes",
    "rerun": "automatic reruns",
    "with": "repeated pipes",
    "vars": "project variables",
    "window": "reading in windows",
    "conflict": "two-way conflicts",
    "shadow": "shadow runs",
    "expect": "expectations",
}
"""Words that have their place in the format and are not in this version: a fault says so instead of guessing."""
