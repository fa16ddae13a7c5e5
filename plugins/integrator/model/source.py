"""Where a flow's records come from, as people write it. Source: PRODUCT.md section 7."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from integrator.model.values import Duration, Instant, Name, Strict, Template, TemplateValue


class Pages(Strict):
    """How a list is read page by page; which keys are used depends on `by`."""

    by: str = Field(description="single, page_number, offset, cursor, link_header, next_url or odata")
    per_page: Annotated[int, Field(ge=1, le=100_000)] | None = Field(None, description="records asked for in a page")
    param: str | None = Field(None, description="name of the parameter that says which page")
    size_param: str | None = Field(None, description="name of the parameter that says how many in a page")
    first: Annotated[int, Field(ge=0)] | None = Field(None, description="number of the first page or offset")
    next: str | None = Field(None, description="where in the answer the next cursor or address stands")
    total: str | None = Field(None, description="where in the answer the number of all records stands")
    most: Annotated[int, Field(ge=1)] | None = Field(
        None, description="how many records the other system gives for one question at most; since.window is halved to stay below"
    )


class Since(Strict):
    """How only changed records are asked for, and how far the cursor may move."""

    field: str = Field(description="the record's member that says when it changed")
    format: str = Field("iso", description="iso, epoch, epoch_ms, number, or a strptime format")
    zone: str = Field("UTC", description="time zone of stamps that name none")
    precision: Duration = Field(timedelta(seconds=1), description="the finest step the source keeps")
    overlap: Duration = Field(timedelta(0), description="how far before the cursor each run reads again")
    start: Instant | None = Field(None, description="where the first run begins; left out: at the beginning")
    window: Duration | None = Field(None, description="read in windows of this length; ask with {since} and {until}")


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
    keep_id: Literal["plain", "hashed"] = Field(
        "plain", description="hashed: of a failed record's ID only a keyed hash is kept, and a rerun finds it by reading the list"
    )
    pages: Pages = Pages(by="single")
    since: Since | Literal["compare"] | None = Field(
        None, description="compare: the source cannot tell what changed, so everything is read and match.same skips what is equal"
    )
    by_id: ById | None = None

    @property
    def delta(self) -> Since | None:
        """How only changed records are asked for, or None where every run reads everything."""
        return self.since if isinstance(self.since, Since) else None
