"""What answers say of a system's limits, in the dialects of their headers and bodies.

Whatever stands there, each figure is finite, not negative, and at most `LONGEST_S`; what cannot be read is not there.
A new header is one line in `HEADERS`. Source: docs/how-to/rate-limits.md; RFC 9110, 10.2.3;
draft-ietf-httpapi-ratelimit-headers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import msgspec

LONGEST_S = 30 * 86_400.0
TEXT_MAX = 200  # characters of a header that are looked at
MOST_CALLS = 10**9
TAIL = 4096  # bytes at an answer's end, where GraphQL servers put their extensions
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?\Z", re.ASCII)
_RATIO = re.compile(r"(?:api-usage=)?(\d{1,9})/(\d{1,9})\b", re.ASCII)
_PAIR = re.compile(r"\b(limit|remaining|reset|q|r|t)\s*=\s*(\d{1,12})\b", re.ASCII | re.IGNORECASE)
_EPOCH_S, _EPOCH_MS = 1e8, 1e11
"""A reset above these is an instant since 1970, in seconds and in milliseconds; no wait is as long as that."""
Clock = Callable[[], datetime]
FULL = 0.8
"""Share of a bucket above which calls slow down."""


class Told(NamedTuple):
    """What an answer says.

    Attributes:
        retry_s: seconds to wait before the next call, if it says so outright.
        left: calls that are left until the reset.
        resets_s: seconds until there are new ones.
        quota: calls that there are after a reset.
        hold_s: seconds by which to slow down, since a bucket is nearly full.
    """

    retry_s: float | None = None
    left: int | None = None
    resets_s: float | None = None
    quota: int | None = None
    hold_s: float = 0.0

    @property
    def wait_s(self) -> float | None:
        """Seconds to wait after a refusal, or None when nothing usable was said."""
        return self.retry_s or self.resets_s


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.match(text) else None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_S)


def _date_s(text: str, now: Clock) -> float | None:
    try:
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return _bounded((at - now()).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _seconds(text: str, now: Clock) -> float | None:
    """Return a wait written as seconds or as an HTTP date."""
    found = _number(text)
    return _date_s(text, now) if found is None else _bounded(found)


def _milliseconds(text: str, _now: Clock) -> float | None:
    found = _number(text)
    return None if found is None else _bounded(found / 1000)


def _reset(text: str, now: Clock) -> float | None:
    """Return the seconds until a reset: a number of seconds, an instant since 1970 (s or ms), or a date."""
    found = _number(text)
    if found is None:
        return _date_s(text, now)
    if found >= _EPOCH_S:
        found = (found / 1000 if found >= _EPOCH_MS else found) - now().timestamp()
    return _bounded(found)


def _calls(text: str, _now: Clock) -> float | None:
    found = _number(text.split(",", 1)[0].split(";", 1)[0].strip())  # "100, 100;w=60" of an older draft
    return None if found is None else min(found, MOST_CALLS)


def _leaky(text: str, _now: Clock) -> float | None:
    """Return by how much to slow down for a bucket such as `32/40` that leaks a twentieth of its size each second."""
    found = _RATIO.search(text)
    if not found or not int(found[2]):
        return None
    return min(max(int(found[1]) / int(found[2]) - FULL, 0.0) * 20, 5.0)


def _daily(text: str, _now: Clock) -> float | None:
    """Return by how much to slow down for a day's quota such as `api-usage=n/m`: a second when it is nearly used up."""
    found = _RATIO.search(text)
    return 1.0 if found and int(found[2]) and int(found[1]) / int(found[2]) >= 0.95 else None


HEADERS: dict[str, tuple[str, Callable[[str, Clock], float | None]]] = {
    "retry-after": ("retry_s", _seconds),
    "x-retry-after": ("retry_s", _seconds),
    "retry-after-ms": ("retry_s", _milliseconds),
    "x-ms-retry-after-ms": ("retry_s", _milliseconds),
    "x-rate-limit-time-reset-ms": ("resets_s", _milliseconds),
    "x-rate-limit-reset": ("resets_s", _reset),
    "x-ratelimit-reset": ("resets_s", _reset),
    "x-ratelimit-reset-after": ("resets_s", _seconds),
    "ratelimit-reset": ("resets_s", _reset),
    "x-hubspot-ratelimit-interval-milliseconds": ("resets_s", _milliseconds),
    "x-rate-limit-requests-left": ("left", _calls),
    "x-rate-limit-remaining": ("left", _calls),
    "x-ratelimit-remaining": ("left", _calls),
    "ratelimit-remaining": ("left", _calls),
    "x-hubspot-ratelimit-remaining": ("left", _calls),
    "x-rate-limit-requests-quota": ("quota", _calls),
    "x-rate-limit-limit": ("quota", _calls),
    "x-ratelimit-limit": ("quota", _calls),
    "ratelimit-limit": ("quota", _calls),
    "x-hubspot-ratelimit-max": ("quota", _calls),
    "x-shopify-shop-api-call-limit": ("hold_s", _leaky),
    "sforce-limit-info": ("hold_s", _daily),
}
"""Header, in small letters -> which figure of `Told` it gives, and how it is read."""
_COMBINED = frozenset({"ratelimit"})
_KNOWN = frozenset({*HEADERS, *_COMBINED})
SILENT_MAX = 256
_silent: set[tuple[str, ...]] = set()
"""Names of headers, as they come together, of which none tells of limits: most answers are told apart by one look."""
_PARTS = {"remaining": "left", "r": "left", "reset": "resets_s", "t": "resets_s", "limit": "quota", "q": "quota"}
_CALLS = ("left", "quota")


def told(headers: Mapping[str, str], now: datetime | None = None) -> Told | None:
    """Return what headers say of limits, or None when they say nothing; of figures given twice the more careful one counts.

    Args:
        headers: names and values; a name may come several times, in a multidict.
        now: this instant; left out: the server's own, of its Date header, else ours.
    """
    names = tuple(headers)
    if names in _silent:
        return None
    said = [(name.lower(), value[:TEXT_MAX].strip()) for name, value in headers.items() if name.lower() in _KNOWN]
    if not said:
        if len(_silent) < SILENT_MAX:
            _silent.add(names)
        return None
    return _read(said, lambda: now or _clock(headers.get("Date")))


def _clock(date: str | None) -> datetime:
    """Return the server's instant when it is near ours to a day, so that a reset is measured by the clock that wrote it."""
    ours = datetime.now(UTC)
    try:
        theirs = parsedate_to_datetime((date or "")[:TEXT_MAX])
        return theirs if theirs.tzinfo and abs((theirs - ours).total_seconds()) < 86_400 else ours
    except (ValueError, TypeError, OverflowError, IndexError):
        return ours


def _read(said: list[tuple[str, str]], now: Clock) -> Told | None:
    found: dict[str, float] = {}
    for name, value in said:
        for figure, one in _combined(value) if name in _COMBINED else [(HEADERS[name][0], HEADERS[name][1](value, now))]:
            if one is not None:
                found[figure] = (min if figure in _CALLS else max)(found.get(figure, one), one)
    if not found:
        return None
    left, quota = (None if found.get(name) is None else int(found[name]) for name in _CALLS)
    return Told(found.get("retry_s") or None, left, found.get("resets_s"), quota, found.get("hold_s", 0.0))


def _combined(value: str) -> list[tuple[str, float | None]]:
    """Return the figures of a header that holds several; of several policies the one of which least is left."""
    policies = [{_PARTS[key.lower()]: float(figure) for key, figure in _PAIR.findall(part)} for part in value.split(",")]
    whole = [one for one in policies if {"left", "resets_s"} <= one.keys()]
    chosen = min(whole, key=lambda one: one["left"]) if whole else {name: one[name] for one in policies for name in one}
    return [(name, min(figure, MOST_CALLS if name in _CALLS else LONGEST_S)) for name, figure in chosen.items()]


_STATUS = b'"throttleStatus"'


class _Status(msgspec.Struct):
    currentlyAvailable: float  # noqa: N815 - their name
    restoreRate: float  # noqa: N815


class _Cost(msgspec.Struct):
    throttleStatus: _Status  # noqa: N815
    requestedQueryCost: float = 0.0  # noqa: N815


class _Extensions(msgspec.Struct):
    cost: _Cost


class _Body(msgspec.Struct):
    extensions: _Extensions


_body: Any = msgspec.json.Decoder(_Body)


def points_s(body: bytes) -> float | None:
    """Return the seconds until a GraphQL server has the points for such a query again; None when it tells of no points.

    Source: `extensions.cost.throttleStatus` of Shopify's GraphQL Admin API.
    """
    if _STATUS not in (body if len(body) <= TAIL else body[-TAIL:]):
        return None
    try:
        cost = _body.decode(body).extensions.cost
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    status = cost.throttleStatus
    missing = max(cost.requestedQueryCost, 1.0) - status.currentlyAvailable
    if missing <= 0:
        return 0.0
    return _bounded(missing / status.restoreRate) if status.restoreRate > 0 else None
