"""What a scheme is, and the fields that every scheme shares. `registry.SCHEMES` names them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

from integrator.errors import ConfigError
from integrator.model.credential import Credential
from integrator.model.tokens import Token
from integrator.registry import find, near
from integrator.wire.headers import read_headers
from integrator.wire.message import Answer, Request

AUTHORIZE = "run: integrator credential authorize PROJECT/NAME"
"""The cure where a person has to sign in; whoever knows the credential puts its name there."""
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
    where: bool = False
    """Whether it says where secrets are sent, or whom they are trusted to: a change of it erases them."""
    lines: bool = False
    """Whether it may hold many lines, such as a key in PEM form, or JSON."""


COMMON = (
    Field(
        "plain_http", "Allow http", "Whether http is allowed: loopback and [integrator] allowed_networks only",
        required=False, default=False,
    ),
    Field("test_path", "Test path", "Path that Test asks for, such as /me; left out: the base URL", required=False),
    Field(
        "headers_secret", "Extra headers", "Headers that every call carries: one `Name: value` a line, or a JSON object",
        secret=True, required=False, lines=True,
    ),
    Field(
        "ca_certificate", "CA certificate", "Certificates in PEM form that are trusted instead of the public authorities; may be the server's own",
        required=False, where=True, lines=True,
    ),
    Field("client_certificate", "Client certificate", "Our certificate in PEM form, where the system asks for one (mTLS)", required=False, lines=True),
    Field("client_private_key", "Client key", "The client certificate's private key in PEM form", secret=True, required=False, lines=True),
    Field("client_private_key_password", "Client key password", "What the client key is encrypted with", secret=True, required=False),
    Field(
        "signed_out_when", "Signed out when",
        "What says that the sign-in no longer holds, instead of 401: statuses, or an expression of status and answer; `never` for none",
        required=False,
    ),
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
    """How a credential is presented. It makes no connection: it is handed a request and returns it signed.

    A scheme may do more, and says so by having these methods:
    `derived()` for secrets made of secrets, `reaches()` for URLs beside the base URL, `lies_at(base_url)` to be told of that one, `needs_body` where a body is signed or sent
    twice and so cannot be a stream, `consents` where a person has to sign in before the first token, `refuses_by` for another status than 401 that a wrong secret gets, and those of `Heeds`, `Earns` or `wire.handshakes.Handshakes`.
    """

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
        """Return the request with the credential on it. Called anew for every try of a request."""


class Heeds(Protocol):
    """A scheme that learns from a refusal how to sign: its first request may go out unsigned."""

    def heed(self, request: Request, answer: Answer) -> bool:
        """Learn from an answer that says the sign-in does not hold; True when signing and sending once more is worth it."""


Call = Callable[[Request], Awaitable[Answer]]
"""Sends a request of the sign-in's own, unsigned, to the base URL (a path) or one of `reaches()` (a URL)."""


class Earns(Protocol):
    """A scheme that signs with a token which it gets by calls of its own."""

    KEEPS: ClassVar[bool]
    """Whether all workers share one token, kept encrypted; otherwise each flow run signs in for itself, and out at its end."""

    async def earn(self, call: Call, before: Token | None) -> Token:
        """Return a new token.

        Args:
            call: sends requests; raises TryAgainError while the other side is away, StopRunError for TLS and size.
            before: the token that no longer holds, with whatever may renew it; None for a first sign-in.

        Raises:
            SignInAgainError: a person has to look at it.
            TryAgainError: it may work later.
        """

    def present(self, request: Request, token: Token) -> Request:
        """Return the request with the token on it."""

    async def leave(self, call: Call, token: Token) -> None:
        """Sign out. Only asked for where `KEEPS` is false."""


class Stays(Protocol):
    """A scheme whose session is to be kept alive while it is held."""

    keep_alive_s: float
    """Seconds between two calls that keep it alive; 0 where there are none."""

    async def stay(self, call: Call, token: Token) -> None:
        """Keep the session alive."""


def one_of(name: str, value: Any, known: Iterable[str]) -> str:
    """Return a field's value.

    Raises:
        ValueError: it is none of those that are known.
    """
    if value not in (listed := tuple(known)):
        raise ValueError(f"{name} is one of {', '.join(listed)}")
    return str(value)


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
    for name, value in given.items():
        if isinstance(value, (list, dict)) and not fields[name].lines:
            raise ConfigError(f"credential {credential.conn_id}: {name} is one value, not a list or an object")
    for field in kind.FIELDS:
        if field.required and field.name not in given:
            raise ConfigError(f"credential {credential.conn_id}: {field.name!r} is missing in extra ({field.meaning})")
    try:
        scheme: Scheme = kind.of(given)
        if lies_at := getattr(scheme, "lies_at", None):
            lies_at(credential.base_url)
    except ValueError as fault:
        raise ConfigError(f"credential {credential.conn_id}: {fault}") from None
    except RecursionError:
        raise ConfigError(f"credential {credential.conn_id}: a field holds JSON that is nested too deeply") from None
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
    given = [str(credential.extra[f.name]) for f in (*kind.FIELDS, *COMMON) if f.secret and credential.extra.get(f.name)]
    derive = getattr(scheme, "derived", None)
    return given + (derive() if derive else []) + _header_values(credential)


def _header_values(credential: Credential) -> list[str]:
    """Return what the extra headers hold, each by itself, since a log shows one without the others; a token also without its word."""
    try:
        values = [*read_headers("headers_secret", credential.extra.get("headers_secret") or "").values()]
    except ValueError:
        return []  # it cannot be used, and is told so elsewhere
    return [one for value in values for one in dict.fromkeys((value, value.rpartition(" ")[2])) if one]
