"""Where a flow's records go, as people write it. Source: PRODUCT.md section 7."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from integrator.model.source import Pages
from integrator.model.values import Duration, Expression, MapValue, Name, Strict, Template, TemplateValue, Tolerance


class Conflict(Strict):
    """Two-way syncs: a record that was found is left as it is when it changed later than the one that was read."""

    newer: Expression = Field(description="when the found record changed; names are its members")
    than: Expression = Field(
        None, description="when this record changed; names are the source record's; left out: its since field"
    )


class Match(Strict):
    """How a record is found at the destination before it is written."""

    path: Template | None = Field(None, description="left out: the destination's path")
    params: dict[str, TemplateValue] = {}
    records: str | None = None
    id: str = Field("id", description="where the found record's own ID stands")
    found: Literal["update", "leave", "fail"] = "update"
    missing: Literal["create", "skip", "later", "fail"] = "create"
    same: Literal["skip"] | None = Field(None, description="skip: write nothing when every mapped member is already equal")
    conflict: Conflict | None = None


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


class Listing(Strict):
    """How everything at the destination is listed, for deletes of what is absent at the source and for `integrator compare`."""

    path: Template | None = Field(None, description="left out: the destination's path")
    params: dict[str, TemplateValue] = {}
    headers: dict[str, Template] = {}
    records: str | None = None
    pages: Pages = Pages(by="single")
    id: str = Field("id", description="where a listed record's own ID stands")
    key: str | dict[str, Expression] = Field(
        description="the member by which records are told apart on both sides, or member there -> expression of the mapped record"
    )


class Delete(Strict):
    """Which records are deleted at the destination, and how many at most: above it none of them is."""

    when: Expression = Field(None, description="true for a record that is to go; names as in the destination")
    absent: bool = Field(False, description="on full runs, delete what list: gives and the source does not")
    method: Literal["DELETE", "POST", "PUT", "PATCH"] = "DELETE"
    path: Template | None = Field(None, description="left out: {path}/{id} of the record that match or list found")
    body: MapValue = None
    at_most: Tolerance = Field(description="a number of records, or a share of those that were read (for absent: listed)")


class Destination(Strict):
    """Where a flow's records go."""

    connector: str
    credential: Name | None = None
    path: Template
    headers: dict[str, Template] = {}
    create: Call | None = Field(None, description="left out: POST to the path")
    update: Call | None = Field(None, description="left out: PATCH to {path}/{id}")
    match: Match | None = None
    list: Listing | None = None
    delete: Delete | None = None
    batch: Batch | None = None
    body: MapValue = Field(None, description="`record` stands for the mapped record; left out: the mapped record itself")
    form: dict[str, Expression] = Field(
        {}, description="in place of body: a multipart form, of texts and of files that a look_up got"
    )
    success: Expression = Field(None, description="left out: any 2xx status")
    idempotency: Idempotency | None = None
    in_flight: Annotated[int, Field(ge=1, le=1024)] | None = Field(None, description="most calls at one time")
