"""What may be shown of a credential: never a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from integrator.auth.changing import fields_of
from integrator.auth.presenting import Around, refuse_outside
from integrator.auth.scheme import scheme_of
from integrator.errors import IntegratorError
from integrator.model.credential import Credential

NOBODY_YET = "nobody_yet"
"""State of a credential that a person has to sign in for, and nobody has."""
_USER = re.compile(r"//[^/?#]*@")
"""A user in a URL, which is refused when it is used, and might be a password all the same."""


class Signed(Protocol):
    """How a credential's sign-in stands."""

    @property
    def state(self) -> str:
        """Good, or waiting for a person."""

    @property
    def expires_at(self) -> datetime | None:
        """When its token runs out."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What may be shown of a credential: never a secret, only which are there.

    Attributes:
        scheme: None where it cannot be read.
        state: how its sign-in stands; None where nothing is known.
        fault: why it cannot be used; None when it can.
        fields: what is no secret and stands on one line, by name.
        given: every field of its scheme -> whether it has a value.
        version: another one after each change.
    """

    project: str
    name: str
    kept_in: str
    scheme: str | None = None
    base_url: str | None = None
    state: str | None = None
    expires_at: datetime | None = None
    fault: str | None = None
    fields: Mapping[str, str | bool] = field(default_factory=dict)
    given: Mapping[str, bool] = field(default_factory=dict)
    version: str = ""


def shown_of(conn_id: str, kept_in: str, made: Credential | str, signed: Signed | None, around: Around) -> Shown:
    """Return what may be shown of one, or why it cannot be read."""
    project, _, name = conn_id.partition("__")
    state, expires_at = (signed.state, signed.expires_at) if signed else (None, None)
    if isinstance(made, str):
        return Shown(project, name, kept_in, state=state, expires_at=expires_at, fault=made)
    fault = None
    try:
        if state is None and getattr(scheme_of(made), "consents", False):
            state = NOBODY_YET
        refuse_outside(made, around.settings, around.wants(project))
    except IntegratorError as wrong:
        fault = str(wrong)
    known = fields_of(made.scheme)
    given = {one: made.extra.get(one) not in (None, "") for one in known}
    plain = {one: _plain(made.extra[one]) for one, it in known.items() if given[one] and not it.secret and not it.lines}
    version = version_of(made, around.hash_key())
    return Shown(project, name, kept_in, made.scheme, _plain_text(made.base_url), state, expires_at, fault, plain, given, version)


def version_of(credential: Credential, hash_key: bytes) -> str:
    """Return a keyed hash of all that is kept of it, so that nobody can try values against it."""
    whole = msgspec.json.encode([credential.scheme, credential.base_url, sorted(credential.extra.items())], enc_hook=str)
    return blake2b(whole, key=hash_key, digest_size=12).hexdigest()


def _plain(value: Any) -> str | bool:
    return value if isinstance(value, bool) else _plain_text(str(value))


def _plain_text(text: str) -> str:
    """Return a text without what may be a password, or a key, in an address that should hold none."""
    shown = _USER.sub("//***@", text)
    path, sign, _query = shown.partition("?")
    return f"{path}?..." if sign and ("/" in path) else shown
