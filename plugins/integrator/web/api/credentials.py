"""A project's credentials: listed, made, shown, changed, removed, tried. No answer holds a secret, only which are there."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Path, Query, Response
from pydantic import BaseModel, Field

from integrator.actions.credential_shown import Shown
from integrator.actions.credentials import NAME_MAX, Kept
from integrator.actions.who import Who
from integrator.errors import OutdatedError
from integrator.model.names import NAME
from integrator.web.api.answers import Given, problems
from integrator.web.asking import Asks, Project
from integrator.web.parts import Parts, WebParts

router = APIRouter(tags=["credentials"])
ALL, ONE = "/projects/{project}/credentials", "/projects/{project}/credentials/{credential}"
TRIED_AT_ONCE = 4
"""Calls to other systems may take a while, and share the API server's threads with everything else."""
_trying = threading.BoundedSemaphore(TRIED_AT_ONCE)
CredentialOf = Annotated[str, Path(pattern=NAME, max_length=NAME_MAX, description="a credential's name", examples=["shop"])]
FIELDS = "by the names that its scheme has (docs/reference/credentials.md)"


class CredentialShown(BaseModel):
    """A credential without its secrets."""

    name: str = Field(examples=["shop"])
    scheme: str | None = Field(description="null where it cannot be read", examples=["basic"])
    base_url: str | None = Field(examples=["https://shop.example.com/api"])
    kept_in: str = Field(examples=["Airflow"])
    state: str | None = Field(
        description="how its sign-in stands: good, sign_in_again, nobody_yet; null where nothing is known", examples=["good"]
    )
    expires_at: datetime | None = Field(description="when its token runs out")
    fault: str | None = Field(description="why it cannot be used; null when it can")
    fields: dict[str, str | bool] = Field(description=f"what is no secret, {FIELDS}", examples=[{"username": "integrator"}])
    given: dict[str, bool] = Field(
        description="every field -> whether it has a value", examples=[{"username": True, "password": True}]
    )
    version: str = Field(description="another one after each change; the ETag too", examples=["5f0c3b9e8a7d6c5b4a392817"])

    @classmethod
    def of(cls, one: Shown) -> CredentialShown:
        """Return a credential as it is shown."""
        return cls(
            name=one.name, scheme=one.scheme, base_url=one.base_url, kept_in=one.kept_in, state=one.state, expires_at=one.expires_at,
            fault=one.fault, fields=dict(one.fields), given=dict(one.given), version=one.version,
        )  # fmt: skip


class CredentialsShown(BaseModel):
    """Credentials, by name."""

    credentials: list[CredentialShown]


class CredentialKept(CredentialShown):
    """A credential that was made or changed."""

    erased: list[str] = Field(
        description="secrets that went, since the place that they go to has changed: give them anew", examples=[["password"]]
    )
    warnings: list[str]


class CredentialMade(Given):
    """A credential to be made."""

    name: str = Field(description="small letters, digits and single underscores", examples=["shop"])
    scheme: str = Field(description="how it signs in: basic, bearer, oauth2 ...", examples=["basic"])
    base_url: str = Field(max_length=2000, examples=["https://shop.example.com/api"])
    fields: dict[str, Any] = Field(
        default_factory=dict, description=FIELDS, examples=[{"username": "integrator", "password": "..."}]
    )


class CredentialChanged(Given):
    """What is to be changed of a credential."""

    scheme: str | None = Field(None, description="left out: stays", examples=["bearer"])
    base_url: str | None = Field(
        None, max_length=2000, description="left out: stays", examples=["https://shop.example.com/api/v2"]
    )
    fields: dict[str, Any] = Field(
        default_factory=dict, description=f"{FIELDS}; what is left out stays, null goes", examples=[{"password": "..."}]
    )


class CredentialTried(BaseModel):
    """What came of a real call."""

    ok: bool = Field(description="whether the sign-in works, as far as the call can tell")
    words: str = Field(description="why", examples=["signed in: https://shop.example.com answered 200"])


@router.get(ALL, name="credential.list", operation_id="listCredentials", summary="List credentials", responses=problems(404))
def list_(project: Project, who: Asks, parts: Annotated[WebParts, Parts]) -> CredentialsShown:
    """List a project's credentials, for every member: never a secret."""
    return CredentialsShown(credentials=[CredentialShown.of(one) for one in parts.credentials.every(who, project)])


@router.post(
    ALL, name="credential.keep", operation_id="createCredential", summary="Make a credential", status_code=201,
    responses=problems(404, 409, body=True),
)  # fmt: skip
def create(
    project: Project, made: CredentialMade, who: Asks, parts: Annotated[WebParts, Parts], response: Response
) -> CredentialKept:
    """Make a credential, for every member. A place that none of the project's credentials goes to yet is for its owner and administrators to name."""
    kept = parts.credentials.add(who, project, made.name, made.scheme, made.base_url, made.fields)
    response.headers["Location"] = f"/integrator/v1/projects/{project}/credentials/{made.name}"
    return _kept(parts, who, project, kept, response)


@router.get(ONE, name="credential.show", operation_id="showCredential", summary="Show a credential", responses=problems(404))
def show(
    project: Project, credential: CredentialOf, who: Asks, parts: Annotated[WebParts, Parts], response: Response
) -> CredentialShown:
    """Show a credential, for every member: what is no secret, and which secrets are there."""
    found = parts.credentials.show(who, project, credential)
    response.headers["ETag"] = f'"{found.version}"'
    return CredentialShown.of(found)


@router.patch(
    ONE,
    name="credential.keep",
    operation_id="changeCredential",
    summary="Change a credential",
    responses=problems(404, 412, body=True),
)
def change(
    project: Project, credential: CredentialOf, changed: CredentialChanged, who: Asks, parts: Annotated[WebParts, Parts],
    response: Response, if_match: Annotated[str | None, Header(description="the ETag of what was looked at: refused if it is another by now")] = None,
) -> CredentialKept:  # fmt: skip
    """Change a credential, for every member. When the place that its secrets go to changes they are erased, and must be given anew.

    A place that none of the project's credentials goes to yet is for its owner and administrators to name.
    """
    version = _version(if_match)
    kept = parts.credentials.edit(
        who, project, credential, changed.fields, scheme=changed.scheme, base_url=changed.base_url, version=version
    )
    return _kept(parts, who, project, kept, response)


@router.delete(
    ONE, name="credential.remove", operation_id="removeCredential", summary="Remove a credential", status_code=204,
    responses=problems(404, 422),
)  # fmt: skip
def remove(
    project: Project, credential: CredentialOf, who: Asks, parts: Annotated[WebParts, Parts],
    tokens_only: Annotated[bool, Query(description="only what its sign-ins earned")] = False,
) -> Response:  # fmt: skip
    """Remove a credential and whatever its sign-ins earned, for every member."""
    parts.credentials.remove(who, project, credential, tokens_only=tokens_only)
    return Response(status_code=204)


@router.post(
    ONE + "/test",
    name="credential.test",
    operation_id="testCredential",
    summary="Try a credential",
    responses=problems(403, 404, 429),
)
def test(project: Project, credential: CredentialOf, who: Asks, parts: Annotated[WebParts, Parts]) -> CredentialTried:
    """Make a real call with a credential, for every member, and say in words what came of it. It may take 15 s and more."""
    if not _trying.acquire(blocking=False):
        raise HTTPException(429, f"{TRIED_AT_ONCE} credentials are being tried at this moment; try again", {"Retry-After": "5"})
    try:
        tried = parts.credentials.test(who, project, credential)
    finally:
        _trying.release()
    return CredentialTried(ok=tried.ok, words=tried.words)


def _kept(parts: WebParts, who: Who, project: str, kept: Kept, response: Response) -> CredentialKept:
    found = parts.credentials.show(who, project, kept.credential.name)
    response.headers["ETag"] = f'"{found.version}"'
    shown = CredentialShown.of(found).model_dump()
    return CredentialKept(**shown, erased=list(kept.erased), warnings=list(kept.warnings))


def _version(if_match: str | None) -> str | None:
    """Return the version that a request wants to change; None for whichever there is.

    Raises:
        OutdatedError: it names one that no answer gave.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    told = if_match.strip()
    if len(told) < 3 or told[0] != '"' or told[-1] != '"' or '"' in told[1:-1]:
        raise OutdatedError("If-Match is no ETag that an answer gave; look at the credential again")
    return told[1:-1]
