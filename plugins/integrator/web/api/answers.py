"""What bodies and answers of the API have in common, as its document tells them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from integrator.web.problems import MEDIA_TYPE, Problem

WHY = {
    400: ("bad-request", "The body is not JSON."),
    401: ("not-signed-in", "Nobody is signed in, or the token holds no longer."),
    403: (
        "role-too-low",
        "The role is too low; or a change was asked for with the cookie from another origin (`foreign-origin`).",
    ),
    404: ("not-found", "There is no such thing, or none that the asker may see: both are answered alike."),
    406: ("not-acceptable", "The answer is not given in any media type that `Accept` names."),
    409: ("conflict", "What there is already stands against it."),
    412: ("changed-meanwhile", "It was changed meanwhile: `If-Match` names another state than the present one."),
    413: ("request-entity-too-large", "The body is too large."),
    415: ("unsupported-media-type", "The body is not `application/json`."),
    422: ("refused-value", "A value cannot be used, or a member is not known; `errors` says which."),
    429: ("too-many-requests", "Too many of these at once; `Retry-After` says when to try again."),
    503: (
        "try-again",
        "A store of the platform is busy or away; or it is out of order (`out-of-order`), which waiting does not cure.",
    ),
}
"""Status -> kind of the problem, and in words."""


class Given(BaseModel):
    """A body that is sent: members that are not known are refused."""

    model_config = ConfigDict(extra="forbid")


def problems(*statuses: int, body: bool = False) -> dict[int | str, dict[str, Any]]:
    """Return the problems that an operation may answer with, beside those of every operation.

    Args:
        body: whether it takes a body.
    """
    every = {401, 503, *statuses, *((400, 403, 413, 415, 422) if body else ())}
    return {one: {"description": WHY[one][1], "content": {MEDIA_TYPE: _problem(one)}} for one in sorted(every)}


def _problem(status: int) -> dict[str, Any]:
    example = Problem.of(status, WHY[status][1], kind=WHY[status][0]).model_dump(exclude_none=True)
    return {
        "schema": {"$ref": "#/components/schemas/Problem"},
        "example": {**example, "instance": "/integrator/v1/projects/acme"},
    }
