"""Reads WWW-Authenticate: several challenges in one header or in many, from servers of any kind. Source: RFC 9110, section 11.6.1."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import algorithms_available
from typing import Any

MOST_CHARACTERS = 16_384
"""Of all headers together; what comes after them is not read."""
MOST_CHALLENGES = 64
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a rule of grammar
_PIECE = re.compile(
    rf"""[\s,]*+(?:
        (?P<name>{_TOKEN})\s*+=\s*+(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<plain>{_TOKEN})(?=\s*+(?:,|\Z)))
        |(?P<scheme>{_TOKEN})(?:\s++[A-Za-z0-9._~+/-]++=*+(?=\s*+(?:,|\Z)))?
    )""",
    re.VERBOSE | re.DOTALL,
)
_HASHES = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
_RANKS = {"SHA-512-256": 2, "SHA-256": 1, "MD5": 0}


@dataclass(frozen=True, slots=True)
class Challenge:
    """One Digest challenge that can be answered. Source: RFC 7616, section 3.3.

    Attributes:
        algorithm: as the server wrote it; empty where it did not.
        hash_name: hashlib's name of it.
        rank: the greater, the stronger.
        in_session: whether it is a `-sess` algorithm.
        qop: auth, auth-int, or empty for a server of RFC 2069.
    """

    realm: str
    nonce: str
    opaque: str | None
    algorithm: str
    hash_name: str
    rank: int
    in_session: bool
    qop: str
    stale: bool
    is_utf8: bool
    hides_user: bool


def headers_of(headers: Mapping[str, str], name: str = "WWW-Authenticate") -> list[str]:
    """Return all values of a header, whether they were kept apart (aiohttp) or joined (requests)."""
    getall: Any = getattr(headers, "getall", None)
    if getall is not None:
        return list(getall(name, []))
    return [value for key, value in headers.items() if key.lower() == name.lower()]


def challenges(values: Iterable[str]) -> Iterator[Challenge]:
    """Yield the Digest challenges that can be answered, in the server's order; what makes no sense ends its header."""
    left = MOST_CHARACTERS
    for value in values:
        for scheme, parameters in _parsed(value[:left]):
            made = _challenge(parameters) if scheme == "digest" else None
            if made is not None:
                yield made
        left -= len(value)
        if left <= 0:
            return


def parameters_of(header: str) -> dict[str, str]:
    """Return the parameters of an Authorization header of this scheme; none where it is of another."""
    return next((parameters for scheme, parameters in _parsed(header) if scheme == "digest"), {})


def _parsed(text: str) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[str, dict[str, str]]] = []
    at = 0
    while (piece := _PIECE.match(text, at)) is not None:
        at = piece.end()
        name, quoted, plain, scheme = piece.group("name", "quoted", "plain", "scheme")
        if scheme is not None:
            if len(found) == MOST_CHALLENGES:
                break
            found.append((scheme.lower(), {}))
        elif found:
            value = re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if quoted is not None else plain
            found[-1][1].setdefault(name.lower(), value)  # one that comes twice is somebody's trick: the first one holds
    return found


def _challenge(given: Mapping[str, str]) -> Challenge | None:
    values = {name: _as_sent(value) for name, value in given.items()}
    nonce, realm = values.get("nonce"), values.get("realm")
    if not nonce or realm is None or not all(map(_may_be_sent, values.values())):
        return None
    algorithm = values.get("algorithm", "")
    plain = algorithm.upper().removesuffix("-SESS") or "MD5"
    if _HASHES.get(plain) not in algorithms_available:
        return None
    offered = [word.strip().lower() for word in values.get("qop", "").split(",")]
    qop = next((word for word in ("auth", "auth-int") if word in offered), "")
    if "qop" in values and not qop:
        return None
    is_true = {name for name in ("stale", "userhash") if values.get(name, "").lower() == "true"}
    return Challenge(
        realm, nonce, values.get("opaque"), algorithm, _HASHES[plain], _RANKS[plain], algorithm.upper().endswith("-SESS"), qop,
        "stale" in is_true, values.get("charset", "").upper() == "UTF-8", "userhash" in is_true,
    )  # fmt: skip


def _as_sent(value: str) -> str:
    """Return a value as text: requests reads headers as Latin-1, aiohttp as UTF-8, which is what servers write today."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _may_be_sent(value: str) -> bool:
    """Tell whether a value can go back as it came; a control character or half a character cannot."""
    return not any(ord(sign) < 32 or ord(sign) == 127 or 0xD800 <= ord(sign) <= 0xDFFF for sign in value)
