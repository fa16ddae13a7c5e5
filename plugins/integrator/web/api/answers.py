"""What bodies and answers of the API have in common, as its document tells them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from integrator.web.problems import MEDIA_TYPE

WHY = {
    400: "The body is not JSON.",
    401: "Nobody is signed in, or the token holds no longer.",
    403: "The role is too low; or a change was asked for with the cookie from another origin.",
    404: "There is no such thing, or none that the asker may see: both are answered alike.",
    406: "The answer is not given in any media type that `Accept` names.",
    409: "What there is already stands against it.",
    412: "It was changed meanwhile: `If-Match` names another state than the present one.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    422: "A value cannot be used, or a member is not known; `errors` says which.",
    503: "The database or the object store does not answer.",
}


class Given(BaseModel):
    """A body that is sent: members that are not known are refused."""

    model_config = ConfigDict(extra="forbid")


def problems(*statuses: int, body: bool = False) -> dict[int | str, dict[str, Any]]:
    """Return the problems that an operation may answer with, beside those of every operation.

    Args:
        body: whether it takes a body.
    """
    every = {401, 503, *statuses, *((400, 403, 413, 415, 422) if body else ())}
    schema = {"$ref": "#/components/schemas/Problem"}
    return {one: {"description": WHY[one], "content": {MEDIA_TYPE: {"schema": schema}}} for one in sorted(every)}
