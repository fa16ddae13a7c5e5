"""Headers, whose names mean the same however they are written: those of requests, those that people write, cookies of answers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

_NAME_SIGNS = "!#$%&'*+.^_`|~-"
_SECONDS = re.compile(r"-?[0-9]{1,12}")
_OWN = ("host", "content-length", "transfer-encoding", "connection")


def header_safe(name: str, value: str) -> str:
    """Return a value that may stand in a header.

    Raises:
        ValueError: it holds a line break or another control character.
    """
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in value):
        raise ValueError(f"{name} holds a line break or control character; was it copied with one?")
    return value


def header_name(field: str, name: str) -> str:
    """Return a name that a header may have.

    Raises:
        ValueError: it is none.
    """
    if not name or not all(sign.isascii() and (sign.isalnum() or sign in _NAME_SIGNS) for sign in name):
        raise ValueError(f"{field} is not a header's name, such as X-Api-Key")
    return name


def value_of(headers: Mapping[str, str], name: str) -> str:
    """Return a header's value, the first of several; empty where there is none."""
    name = name.lower()
    return next((value for one, value in headers.items() if one.lower() == name), "")


def without(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    """Return the headers but for these, whose names are in small letters."""
    return {name: value for name, value in headers.items() if name.lower() not in names}


def replaced(headers: Mapping[str, str], by: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with others in place of those of the same names."""
    return {**without(headers, *map(str.lower, by)), **by}


def read_headers(field: str, given: Any) -> dict[str, str]:
    """Read headers: a JSON object, or one `Name: value` a line.

    Raises:
        ValueError: it is neither, or one of them cannot stand in a request.
    """
    made = {}
    for header, value in _pairs(field, given).items():
        name = header_name(f"{field}: what stands before a colon", str(header).strip())
        if name.lower() in _OWN:
            raise ValueError(f"{field}: {name} is the connection's own business")
        made[name] = header_safe(f"{field}: {name}", str(value).strip())
    return made


def _pairs(field: str, given: Any) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    text = str(given).strip()
    if text.startswith("{"):
        try:
            return dict(json.loads(text))
        except (ValueError, RecursionError):
            raise ValueError(f"{field} is not a JSON object") from None
    lines = [line for line in text.replace("\\n", "\n").splitlines() if line.strip()]
    if any(":" not in line for line in lines):
        raise ValueError(f"{field} holds one `Name: value` a line")
    return {line.partition(":")[0]: line.partition(":")[2] for line in lines}


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie that an answer sets.

    Attributes:
        domain: the domain that it names, without a dot before it; empty for the answer's own host alone.
        gone: whether the answer deletes it.
    """

    name: str
    value: str = field(repr=False)
    domain: str
    gone: bool


def cookies_of(headers: Mapping[str, str]) -> list[Cookie]:
    """Return the cookies that an answer sets; one that cannot be sent is left out."""
    every = getattr(headers, "getall", None)
    lines = every("Set-Cookie", []) if every is not None else [headers[name] for name in headers if name.lower() == "set-cookie"]
    made = []
    for line in lines[:50]:
        pair, _, rest = line.partition(";")
        name, sign, value = pair.strip().partition("=")
        if not sign or not name or not all((32 < ord(one) < 127 and one not in ';,"') or one == '"' for one in name + value):
            continue
        said = {key.strip().lower(): text.strip() for key, _sign, text in (one.partition("=") for one in rest.split(";"))}
        made.append(Cookie(name, value, said.get("domain", "").lower().lstrip("."), _is_gone(said)))
    return made


def _is_gone(said: Mapping[str, str]) -> bool:
    """Tell whether a cookie's attributes delete it; Max-Age counts before Expires."""
    if _SECONDS.fullmatch(said.get("max-age", "")):
        return int(said["max-age"]) <= 0
    try:
        return parsedate_to_datetime(said["expires"]).timestamp() <= time.time()
    except (KeyError, ValueError, OverflowError):
        return False
