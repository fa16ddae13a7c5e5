"""What a scheme is, and the fields that every scheme shares. `registry.SCHEMES` names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

from integrator.errors import ConfigError
from integrator.model.credential import Credential
from integrator.registry import find, near
from integrator.wire.message import Request

SHORT_SECRET = 8
"""Characters below which Airflow's masker and a guesser's patience make a secret weak: warned about, not refused."""


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a user gives, kept in the connection's encrypted extra."""

    name: str
    label: str
    meaning: str
    secret: bool = False
    required: bool = True
    choices: tuple[str, ...] = ()
    default: str | bool | None = None


COMMON = (
    Field(
        "plain_http", "Allow http", "Whether http is allowed: loopback and [integrator] allowed_networks only",
        required=False, default=False,
    ),
    Field("test_path", "Test path", "Path that Test asks for, such as /me; left out: the base URL", required=False),
    Field(
        "calls", "Calls per time",
        "Most calls per time over all flows and workers, such as 5/1s or 150/30s, 10000/1d; left out: as many as answers allow",
        required=False,
    ),
    Field("in_flight", "Calls in flight", "Most calls in flight over all flows and workers; left out: no such bound", required=False),
    Field(
        "throttled_when", "Throttled when",
        'What says "too many calls" beside 429, 503 and 529: statuses, or an expression such as '
        'status == 403 and answer[0].errorCode == "REQUEST_LIMIT_EXCEEDED"',
        required=False,
    ),
)  # fmt: skip
"""Fields that every scheme has beside its own."""


class Scheme(Protocol):
    """How a credential is presented. Pure: it is handed a request and returns it signed."""

    NAME: ClassVar[str]
    LABEL: ClassVar[str]
    FIELDS: ClassVar[tuple[Field, ...]]

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Make it from its fields.

        Raises:
            ValueError: a field's value cannot be used; the message names the field, never its value.
        """

    def sign(self, request: Request) -> Request:
        """Return the request with the credential on it."""


def scheme_of(credential: Credential) -> Scheme:
    """Return the scheme of a credential.

    Raises:
        ConfigError: a field is missing, unknown or unusable.
    """
    kind = find("scheme", credential.scheme)
    fields = {field.name: field for field in (*kind.FIELDS, *COMMON)}
    for name in sorted(set(credential.extra) - set(fields)):
        raise ConfigError(f"credential {credential.conn_id}: {credential.scheme} has no field {name!r}; {near(name, fields)}")
    given = {name: value for name, value in credential.extra.items() if value is not None}
    for field in kind.FIELDS:
        if field.required and field.name not in given:
            raise ConfigError(f"credential {credential.conn_id}: {field.name!r} is missing in extra ({field.meaning})")
    try:
        scheme: Scheme = kind.of(given)
    except ValueError as fault:
        raise ConfigError(f"credential {credential.conn_id}: {fault}") from None
    return scheme


def short_secrets(credential: Credential) -> list[str]:
    """Return warnings about secrets that are too short to be masked or to be hard to guess."""
    kind = find("scheme", credential.scheme)
    return [
        f"credential {credential.conn_id}: {field.name} has fewer than {SHORT_SECRET} characters"
        for field in kind.FIELDS
        if field.secret and field.name in credential.extra and 0 < len(str(credential.extra[field.name])) < SHORT_SECRET
    ]


def secrets_of(credential: Credential, scheme: Scheme) -> list[str]:
    """Return every secret value, also those derived from it, so that a log's masker can be told."""
    kind = find("scheme", credential.scheme)
    given = [str(credential.extra[f.name]) for f in kind.FIELDS if f.secret and credential.extra.get(f.name)]
    derive = getattr(scheme, "derived", None)
    return given + (derive() if derive else [])


def header_safe(name: str, value: str) -> str:
    """Return a value that may stand in a header.

    Raises:
        ValueError: it holds a line break or another control character.
    """
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in value):
        raise ValueError(f"{name} holds a line break or control character; was it copied with one?")
    return value
