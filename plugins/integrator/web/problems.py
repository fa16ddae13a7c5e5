"""Faults as answers say them: RFC 9457, in our own words. Nothing that was sent comes back in them but names."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from integrator.errors import (
    AccessError,
    ConfigError,
    ConflictError,
    CredentialMissingError,
    FieldsError,
    IntegratorError,
    LinkRefusedError,
    NotAMemberError,
    NotSignedInError,
    NotThereError,
    OutdatedError,
    TryAgainError,
)

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:problem-type:integrator:"
SHOWN_MAX = 200
"""Characters of a name that was sent and comes back."""
OWN_WORDS = "integrator"
"""Kind of a fault whose words are ours, and hold nothing of what was sent."""
SIGN_IN = 'Bearer realm="integrator"'
AGAIN_S = 5
logger = logging.getLogger(__name__)


class Fault(BaseModel):
    """What is wrong with one member of a body, or one parameter."""

    field: str = Field(description="where: `body.alerts.on`, `query.since`", examples=["body.role"])
    fault: str = Field(description="what is wrong with it, and the cure", examples=["is missing; give it"])


class Problem(BaseModel):
    """Why a request was not answered as asked (RFC 9457)."""

    type: str = Field(description="what kind of problem, for programs", examples=[f"{TYPE}role-too-low"])
    title: str = Field(description="the same in words", examples=["Forbidden"])
    status: int = Field(description="the answer's HTTP status", examples=[403])
    detail: str = Field(
        description="what happened, to which named thing, and the cure",
        examples=["in project acme this is for its owner or an administrator, and not for role standard"],
    )
    instance: str | None = Field(None, description="the address that was asked", examples=["/integrator/v1/projects/acme"])
    errors: list[Fault] | None = Field(None, description="what is wrong with single members, where it is about some")

    @classmethod
    def of(cls, status: int, detail: str, errors: list[Fault] | None = None, kind: str | None = None) -> Problem:
        """Return a problem of an HTTP status, and of its own kind where it has one."""
        title = HTTPStatus(status).phrase
        return cls(
            type=TYPE + (kind or title.lower().replace(" ", "-")), title=title, status=status, detail=detail, errors=errors
        )


def answer_with(problem: Problem, scope: Any, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the answer to a request."""
    address = (scope.get("raw_path") or scope["path"].encode()).decode("ascii", "replace")
    # The address of a download is a secret of its own.
    told = problem.model_copy(update={"instance": address[:500] if "/v1/" in address else None})
    return JSONResponse(told.model_dump(exclude_none=True), problem.status, headers, MEDIA_TYPE)


def add_problems(app: FastAPI) -> None:
    """Let an application's faults be answered so."""
    app.add_exception_handler(IntegratorError, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_fields)
    app.add_exception_handler(HTTPException, _of_http)


def _of_ours(request: Request, fault: Exception) -> JSONResponse:
    """Answer with the error's own words, which hold neither a record nor a secret."""
    status, kind = _status(fault)
    said, errors = shown(str(fault), 1000), None
    if isinstance(fault, FieldsError):
        errors = [Fault(field=shown(f"body.{name}"), fault=shown(why)) for name, why in [*fault.faults.items()][:20]]
    if status >= 500:  # where our stores are is for who runs the platform
        logger.error("%s: %s", type(fault).__name__, fault)
        said = AWAY[kind or ""]
    headers = {401: {"WWW-Authenticate": SIGN_IN}, 503: {"Retry-After": str(AGAIN_S)}}.get(status)
    return answer_with(Problem.of(status, said, errors, kind), request.scope, headers)


def _status(fault: Exception) -> tuple[int, str | None]:
    if isinstance(fault, LinkRefusedError):
        return (410 if fault.over else 404), None
    if isinstance(fault, NotSignedInError):
        return 401, "not-signed-in"
    if isinstance(fault, NotAMemberError | CredentialMissingError | NotThereError):
        return 404, None
    if isinstance(fault, AccessError):
        return 403, _kind(fault)
    if isinstance(fault, OutdatedError):
        return 412, "changed-meanwhile"
    if isinstance(fault, ConflictError):
        return 409, None
    if isinstance(fault, ConfigError):
        return 422, "refused-value"
    # What remains is our database or object store; only some of it gets better by waiting, and none by asking otherwise.
    return 503, "try-again" if isinstance(fault, TryAgainError) else "out-of-order"


AWAY = {
    "try-again": f"a store of the platform is busy or away; try again in {AGAIN_S} s",
    "out-of-order": "a store of the platform is out of order; the API server's log says which, and what to do",
}


def _kind(fault: Exception) -> str:
    name = type(fault).__name__.removesuffix("Error")
    return "".join(f"-{sign.lower()}" if sign.isupper() else sign for sign in name).strip("-")


def _of_fields(request: Request, fault: Exception) -> JSONResponse:
    found = fault.errors() if isinstance(fault, RequestValidationError) else []
    if any(one["type"] == "json_invalid" for one in found):
        return answer_with(Problem.of(400, "the body is not JSON"), request.scope)
    if any(one["loc"][:1] == ("path",) for one in found):
        return answer_with(Problem.of(404, "there is no such address"), request.scope)
    errors = [Fault(field=_where(one["loc"]), fault=_words(one)) for one in found[:20]]
    told = "; ".join(f"{one.field} {one.fault}" for one in errors[:3])
    return answer_with(Problem.of(422, told, errors, "refused-value"), request.scope)


def _where(loc: Sequence[Any]) -> str:
    return shown(".".join(str(part) for part in loc))


SAYINGS = {
    "missing": "is missing; give it",
    "extra_forbidden": "is not known here; leave it out",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "datetime_parsing": "must be a time such as 2026-01-31T12:00:00Z",
    "datetime_from_date_parsing": "must be a time such as 2026-01-31T12:00:00Z",
    "timezone_aware": "needs a zone, such as 2026-01-31T12:00:00Z",
}


def _words(one: Any) -> str:
    """Return what is wrong in words that hold nothing of what was sent: pydantic's own may."""
    kind, given = str(one["type"]), one.get("ctx") or {}
    if kind == OWN_WORDS:
        return str(one["msg"])
    if kind in SAYINGS:
        return SAYINGS[kind]
    if kind in ("literal_error", "enum"):
        return f"must be one of {given.get('expected')}"
    for limit, words in LIMITS.items():
        if limit in given:
            return words.format(given[limit])
    return "is not what is asked for here; the API's document says what is"


LIMITS = {
    "min_length": "needs at least {} characters or entries", "max_length": "has at most {} characters or entries",
    "ge": "must be {} or more", "le": "must be {} or less", "pattern": "must be written as {}",
}  # fmt: skip


def _of_http(request: Request, fault: Exception) -> JSONResponse:
    """Answer what the framework refuses: an address or a method that is not there, a body that cannot be read."""
    status = fault.status_code if isinstance(fault, HTTPException) else 500
    said = {404: "there is no such address", 405: "this address does not take that method", 400: "the body is not JSON"}
    own = str(fault.detail) if isinstance(fault, HTTPException) and fault.detail != HTTPStatus(status).phrase else ""
    framework = status == 400 or not own
    detail = said.get(status, HTTPStatus(status).phrase) if framework else own
    return answer_with(Problem.of(status, detail), request.scope, dict(getattr(fault, "headers", None) or {}))


def shown(text: str, most: int = SHOWN_MAX) -> str:
    """Return a text, in which may stand a name that was sent, as it may be shown: not too long, and nothing that plays with who reads it."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:most])
