"""The audit: who did what, page by page, or whole as an export."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field
from pydantic_core import PydanticCustomError

from integrator.actions.auditing import Auditing, Place, Wanted, as_csv, as_ndjson, place_of, told
from integrator.actions.who import Who
from integrator.errors import ConfigError
from integrator.model.audit import Came, Written
from integrator.web.api.answers import problems
from integrator.web.asking import Asks, PlatformAsks, Project
from integrator.web.parts import Parts, WebParts
from integrator.web.problems import OWN_WORDS

router = APIRouter(tags=["audit"])
JSON, CSV, NDJSON = "application/json", "text/csv", "application/x-ndjson"


def _instant(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError(OWN_WORDS, "is beyond the times that there are") from None


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError(OWN_WORDS, "holds signs that no name has")
    return text


Instant = Annotated[AwareDatetime, AfterValidator(_instant)]
Name = Annotated[str, AfterValidator(_printable), Query(max_length=300)]
Since = Annotated[Instant | None, Query(description="only lines from then on", examples=["2026-01-31T00:00:00Z"])]
Until = Annotated[Instant | None, Query(description="only lines from before then", examples=["2026-02-01T00:00:00Z"])]
Actor = Annotated[Name | None, Query(description="only what this one did", examples=["olga"])]
Done = Annotated[Name | None, Query(description="only this, such as `project` or `project.grant`", examples=["project.grant"])]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many lines at most; an export has all")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next` of the answer before")]


class LineShown(BaseModel):
    """One line of the audit."""

    at: datetime
    project: str = Field(description="empty for the platform's own", examples=["acme"])
    number: int = Field(description="counts up by one within a project", examples=[17])
    actor: str = Field(
        description="a user; `cli:<os user>` for a command line; `upkeep`, `link`; `user:...` where a user is named so",
        examples=["olga"],
    )
    action: str = Field(examples=["project.grant"])
    target: str = Field(examples=["user:stan"])
    origin: str = Field(description="the address that it came from, as the server sees it", examples=["192.0.2.7"])
    came: Came
    detail: dict[str, str | int | bool] = Field(examples=[{"role": "standard"}])


class LinesShown(BaseModel):
    """Lines, the newest first."""

    lines: list[LineShown]
    next: str | None = Field(description="`cursor` of the next page; null at the end")


EXPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "model": LinesShown,
        "description": "Lines, the newest first; with `Accept: text/csv` or `application/x-ndjson` all of them.",
        "content": {CSV: {"schema": {"type": "string"}}, NDJSON: {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/projects/{project}/audit", name="audit.read", operation_id="readAudit", summary="Read a project's audit", response_model=None,
    responses={**EXPORT, **problems(403, 404, 406, 422)},
)  # fmt: skip
def of_project(
    project: Project, request: Request, who: Asks, parts: Annotated[WebParts, Parts], since: Since = None, until: Until = None,
    actor: Actor = None, action: Done = None, limit: Limit = 100, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Read who did what in a project; for its owner and administrators. No cell of the CSV is a formula. Taking an export is noted."""
    return _answer(parts, who, request, Wanted(project, since, until, actor, action), limit, cursor)


@router.get(
    "/audit",
    name="audit.read",
    operation_id="readWholeAudit",
    summary="Read the whole audit",
    response_model=None,
    responses={**EXPORT, **problems(403, 406, 422)},
)
def of_all(
    request: Request, who: PlatformAsks, parts: Annotated[WebParts, Parts], since: Since = None, until: Until = None,
    actor: Actor = None, action: Done = None, limit: Limit = 100, cursor: Cursor = None,
    project: Annotated[Name | None, Query(description="only this project's; empty: the platform's own")] = None,
) -> Response:  # fmt: skip
    """Read who did what in every project, and on the platform; for its administrators."""
    return _answer(parts, who, request, Wanted(project, since, until, actor, action), limit, cursor)


def _answer(parts: WebParts, who: Who, request: Request, wanted: Wanted, limit: int, cursor: str | None) -> Response:
    kind, auditing = _kind(request.headers.get("accept", "")), Auditing(parts.audit)
    if kind == JSON:
        found = auditing.page(who, wanted, limit + 1, _place(cursor))
        behind = _cursor(place_of(found[limit - 1])) if len(found) > limit else None
        lines = [LineShown.model_validate(told(one)) for one in found[:limit]]
        return JSONResponse(LinesShown(lines=lines, next=behind).model_dump(mode="json"))
    if cursor is not None:
        raise ConfigError("an export has every line, and no cursor; leave it out, or ask for application/json")
    some = auditing.export(who, wanted)
    first = next(some, [])  # a database that does not answer is told as such, and not as a file that breaks off
    name = f"audit-{wanted.project or 'platform'}.{'csv' if kind == CSV else 'ndjson'}"
    rest = _csv(first, some) if kind == CSV else (as_ndjson(lines) for lines in chain([first], some))
    return StreamingResponse(rest, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _csv(first: list[Written], more: Iterable[list[Written]]) -> Iterator[str]:
    yield as_csv(first, header=True)
    for lines in more:
        yield as_csv(lines, header=False)


def _kind(accept: str) -> str:
    """Return which of our media types a request wants most; JSON where it does not say."""
    wants: list[tuple[float, int, str]] = []
    matches: dict[str, Callable[[], str]] = {
        "*/*": lambda: JSON, "application/*": lambda: JSON, "text/*": lambda: CSV, JSON: lambda: JSON, CSV: lambda: CSV, NDJSON: lambda: NDJSON,
    }  # fmt: skip
    for at, part in enumerate(accept.split(",")[:20]):
        kind, *parameters = (word.strip().lower() for word in part.split(";"))
        if kind in matches:
            wants.append((_quality(parameters), -at, matches[kind]()))
    if not accept.strip():
        return JSON
    best = max((one for one in wants if one[0] > 0), default=None)
    if best is None:
        raise HTTPException(406, f"the audit is given as {JSON}, {CSV} or {NDJSON}; ask for one of them")
    return best[2]


def _quality(parameters: list[str]) -> float:
    told_ = next((one.removeprefix("q=") for one in parameters if one.startswith("q=")), "1")
    return float(told_) if told_.replace(".", "", 1).isdigit() and told_.isascii() else 0.0


def _cursor(place: Place) -> str:
    at, project, number = place
    return base64.urlsafe_b64encode(json.dumps([at.isoformat(), project, number]).encode()).decode().rstrip("=")


def _place(cursor: str | None) -> Place | None:
    """Read a cursor; what it names is looked for among what the asker may read, so that a made-up one opens nothing."""
    if cursor is None:
        return None
    try:
        at, project, number = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        instant = datetime.fromisoformat(at).astimezone(UTC)
        if not (isinstance(project, str) and project.isprintable() and type(number) is int and 0 <= number < 2**62):
            raise ValueError
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise ConfigError("query.cursor is none that an answer gave as `next`; begin without one") from None
    return instant, project, number
