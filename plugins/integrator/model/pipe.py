"""A pipe as people write it. Source: PRODUCT.md section 7; include/pipe.schema.json is made from these models.

A string in `where`, `map` values, `success` and the like is an *expression*; a string in `path`, `params`,
`headers` and `{text: ...}` is a *template*, in which an expression stands in braces.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from integrator.model.destination import (
    Batch,
    BatchAnswer,
    Call,
    Conflict,
    Delete,
    Destination,
    Idempotency,
    Key,
    Listing,
    Match,
    Poll,
)
from integrator.model.source import ById, Pages, Since, Source
from integrator.model.steps import Combine, Create, Done, LookUp, Make, Refetch, Split, Then
from integrator.model.upkeep import Alerted, Expect, Rerun
from integrator.model.values import Duration, Expression, Name, Shape, Strict, TableValue, Tolerance, WithValue

__all__ = [
    "After",
    "Batch",
    "BatchAnswer",
    "ById",
    "Call",
    "Combine",
    "Conflict",
    "Create",
    "Delete",
    "Destination",
    "Done",
    "Every",
    "Flow",
    "Idempotency",
    "Key",
    "Listing",
    "LookUp",
    "Make",
    "Match",
    "Pages",
    "Pipe",
    "Poll",
    "Refetch",
    "Since",
    "Source",
    "Split",
    "Then",
]


class Flow(Strict):
    """One kind of entity, from one source to one destination."""

    after: list[Name] = []
    source: Source
    combine: Combine | None = None
    where: Expression = None
    split: Split | None = None
    look_up: dict[Name, LookUp] = {}
    map: Shape
    log: Shape | None = Field(
        None, description="values of a line for each record in the console log, while that is on with request_body"
    )
    destination: Destination
    then: list[Then] = []
    tolerate: Tolerance = 0
    wait_at_most: Duration = Field(
        timedelta(days=7), description="how long a record may wait (missing: later) before it counts as failed"
    )
    shadow: bool = Field(False, description="read, map and match, write nothing, count what would be done")
    rerun: Rerun = Rerun()
    expect: Expect = Expect()


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
    timezone: str | None = Field(
        None,
        description="IANA zone of the schedule, such as Europe/Berlin; left out: the project's, which is UTC unless it says so",
    )
    paused: bool = Field(False, description="whether the pipe starts out paused")
    with_: dict[Name, Annotated[list[WithValue], Field(min_length=1)]] = Field(
        {},
        alias="with",
        description="the file makes a pipe of each combination of these values, which stand in its strings as {with.name}",
    )
    flows: Annotated[dict[Name, Flow], Field(min_length=1)]
    alerts: Alerted | None = Field(
        None, description="who hears of runs that do not go well; what is left out is as the project says"
    )
    tables: dict[Name, dict[str, TableValue]] = {}
