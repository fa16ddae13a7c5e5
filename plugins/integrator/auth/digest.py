"""User and password that never cross the wire: a server's challenge is answered by a hash. Source: RFC 7616.

requests' own HTTPDigestAuth counts nonces per thread, so that two threads repeat each other's counts; it knows neither auth-int
nor user hashes, and writes realm and user name into the header without escaping them.
"""

from __future__ import annotations

import secrets
import threading
import unicodedata
from collections.abc import Mapping
from hashlib import new
from itertools import count
from typing import Any, ClassVar, Self
from urllib.parse import quote, urlsplit

import msgspec

from integrator.auth.digest_challenge import Challenge, challenges, headers_of, parameters_of
from integrator.auth.scheme import Field, one_of
from integrator.errors import SignInAgainError
from integrator.wire.headers import header_safe, replaced, value_of
from integrator.wire.message import Answer, Request

WEAKEST = {"SHA-256": 1, "MD5": 0}
"""The lowest rank that is answered, by the field's value."""


class DigestScheme:
    """Learns the server's challenge from its first refusal and answers it from then on, with a count for each request."""

    NAME: ClassVar[str] = "digest"
    LABEL: ClassVar[str] = "Integrator: Digest (user and password)"
    needs_body: ClassVar[bool] = True
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("username", "User name", "User name"),
        Field("password", "Password", "Password; may be empty", secret=True, required=False),
        Field("weakest", "Weakest", "Weakest algorithm that is answered", required=False, choices=tuple(WEAKEST), default="MD5"),
    )

    def __init__(self, username: str, password: str, least: int) -> None:
        self._username, self._password, self._least = username, password, least
        self._answering: _Answering | None = None
        self._turn = threading.Lock()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Make it; nothing is known of the server yet."""
        weakest = one_of("weakest", given.get("weakest") or "MD5", WEAKEST)
        username = header_safe("username", str(given["username"]))
        if not username:
            raise ValueError("username is empty")
        return cls(username, str(given.get("password") or ""), WEAKEST[weakest])

    def sign(self, request: Request) -> Request:
        """Return the request with an answer to the latest challenge; as it is before there was one."""
        answering = self._answering
        if answering is None:
            return request
        return msgspec.structs.replace(request, headers=replaced(request.headers, {"Authorization": answering.header(request)}))

    def heed(self, request: Request, answer: Answer) -> bool:
        """Take the strongest challenge of a refusal; True when it is another one than was answered, or the old one has run out.

        A server that has offered a SHA-2 algorithm is held to it: a challenge with MD5 only is then somebody between us.

        Raises:
            SignInAgainError: what it offers is too weak.
        """
        with self._turn:
            offered = list(challenges(headers_of(answer.headers)))
            found = [one for one in offered if one.rank >= self._least]
            if offered and not found:
                raise SignInAgainError(
                    "the system offers MD5 only, which field weakest forbids, or which is less than it has offered before"
                )
            if not found:
                return False
            best = max(found, key=lambda one: one.rank)  # the first of equals: the server's own preference
            self._least = max(self._least, min(best.rank, WEAKEST["SHA-256"]))
            if parameters_of(value_of(request.headers, "Authorization")).get("nonce") == best.nonce and not best.stale:
                return False
            if self._answering is None or self._answering.challenge.nonce != best.nonce:
                self._answering = _Answering(best, self._username, self._password)
            return True


class _Answering:
    """Answers one challenge. Its count goes up by one for each request, whichever thread sends it (section 3.4)."""

    def __init__(self, challenge: Challenge, username: str, password: str) -> None:
        self.challenge = challenge
        if challenge.is_utf8:  # section 4
            username, password = unicodedata.normalize("NFC", username), unicodedata.normalize("NFC", password)
        self._cnonce = secrets.token_hex(16)  # one for all, so that a server may hash a session's key once (section 3.4.2)
        self._counts, self._turn = count(1), threading.Lock()
        hashed = self._hash(f"{username}:{challenge.realm}:{password}")
        self._key = self._hash(f"{hashed}:{challenge.nonce}:{self._cnonce}") if challenge.in_session else hashed
        self._fixed = ", ".join(self._fixed_parts(username))

    def _fixed_parts(self, username: str) -> list[str]:
        challenge = self.challenge
        if challenge.hides_user:  # section 3.4.4
            user = f'username="{self._hash(f"{username}:{challenge.realm}")}", userhash=true'
        elif challenge.is_utf8 and not username.isascii():
            user = f"username*=UTF-8''{quote(username, safe='')}"
        else:
            user = f"username={_quoted(username)}"
        parts = [f"Digest {user}", f"realm={_quoted(challenge.realm)}", f"nonce={_quoted(challenge.nonce)}"]
        if challenge.algorithm:
            parts.append(f"algorithm={challenge.algorithm}")
        if challenge.opaque is not None:
            parts.append(f"opaque={_quoted(challenge.opaque)}")
        return parts

    def header(self, request: Request) -> str:
        """Return the Authorization header of one request (sections 3.4.1 to 3.4.3)."""
        target, qop = _target(request.url), self.challenge.qop
        asked = f"{request.method.upper()}:{target}"
        if qop == "auth-int":
            asked += f":{self._hash(request.body or b'')}"
        made = f"{self._fixed}, uri={_quoted(target)}"
        if not qop:  # RFC 2069
            return f'{made}, response="{self._hash(f"{self._key}:{self.challenge.nonce}:{self._hash(asked)}")}"'
        with self._turn:
            times = f"{next(self._counts):08x}"
        proof = self._hash(f"{self._key}:{self.challenge.nonce}:{times}:{self._cnonce}:{qop}:{self._hash(asked)}")
        return f'{made}, qop={qop}, nc={times}, cnonce="{self._cnonce}", response="{proof}"'

    def _hash(self, value: str | bytes) -> str:
        return new(
            self.challenge.hash_name, value.encode() if isinstance(value, str) else value, usedforsecurity=False
        ).hexdigest()


def _target(url: str) -> str:
    """Return what stands in the request's first line."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
