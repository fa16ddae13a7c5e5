"""Where a flow's records go, as people write it. Source: PRODUCT.md section 7."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from integrator.model.values import Duration, Expression, MapValue, Name, Strict, Template, TemplateValue


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
