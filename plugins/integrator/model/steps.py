"""What a flow does beside reading, mapping and writing once, as people write it. Source: PRODUCT.md section 7."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from integrator.model.destination import Idempotency
from integrator.model.source import Pages
from integrator.model.values import Expression, Name, Shape, Strict, Template, TemplateValue

Member = Annotated[str, Field(min_length=1)]
Members = list[Member]
OneOrMore = Member | Annotated[list[Member], Field(min_length=1, max_length=8)]


class Make(Strict):
    """How a record that a look-up misses is created: once for all records that need it."""

    method: Literal["POST", "PUT"] = "POST"
    path: Template
    headers: dict[str, Template] = {}
    map: Shape
    take: Expression = Field(None, description="of the answer; left out: the look-up's own take")


class Create(Strict):
    """A look-up that creates what it misses."""

    create: Make


class LookUp(Strict):
    """A value from another record, found by what this record says; in worker memory only, one call for each distinct key."""

    connector: str = "rest"
    credential: Name | None = None
    path: Template = "/"
    url: Expression = Field(
        None, description="in place of path: an address that the record holds; on the credential's own host only"
    )
    params: dict[str, TemplateValue] = {}
    headers: dict[str, Template] = {}
    file: bool = Field(False, description="the answer itself, as a file for the destination's form; nothing of it is remembered")
    records: str | None = Field(
        None, description="where the list is in the answer; left out: the answer is the record or the list"
    )
    take: Expression = Field(None, description="of the record that was found; left out: the whole record")
    many: bool = Field(False, description="every record that was found, as a list, instead of the first")
    missing: Literal["fail", "skip", "later", "null"] | Create | None = "fail"
    preload: bool = Field(False, description="read the whole list once, for small tables; key: says how a record is found in it")
    key: dict[str, Expression] = Field({}, description="with preload: member of the list's records -> expression of this record")
    pages: Pages = Pages(by="single")


class Split(Strict):
    """One record to many parts, each mapped and written by itself."""

    each: Expression = Field(description="the list of parts")
    key: OneOrMore = Field(description="the part's member, or members, that tell it from the record's other parts")


class Refetch(Strict):
    """How all rows of one key are read again."""

    path: Template | None = Field(None, description="left out: the source's path")
    params: dict[str, TemplateValue] = {}
    records: str | None = Field(None, description="where the list is in the answer; left out: as in the source")
    pages: Pages = Pages(by="single")


class Combine(Strict):
    """Many rows of the source to one record, by what they have in common."""

    by: OneOrMore
    sum: Members = []
    first: Members = []
    last: Members = []
    list: Name | None = Field(None, description="the member under which the rows themselves stand")
    refetch: Refetch | None = Field(None, description="needed with since: and for reruns: reads all rows of a key again")


class Done(Strict):
    """Asks whether a call was made already; then it is not made again."""

    path: Template | None = Field(None, description="left out: the call's path")
    params: dict[str, TemplateValue] = {}
    records: str | None = None
    id: str = "id"


class Then(Strict):
    """A call after a record was created or updated; `answer` is the answer to that write."""

    connector: str = "rest"
    credential: Name | None = None
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    path: Template
    headers: dict[str, Template] = {}
    when: Expression = None
    map: Shape
    match: Done | None = None
    success: Expression = Field(None, description="left out: any 2xx status; here `answer` is the answer to this call")
    idempotency: Idempotency | None = None
