"""What answers say of limits, in every dialect; and that no header, however hostile, says more than is bearable."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from integrator.wire.dialects import HEADERS, LONGEST_S, MOST_CALLS, Told, points_s, told

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5", 5.0), ("0", None), ("1.5", 1.5), ("", None), ("soon", None), ("-3", None), (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), None), ("99999999", LONGEST_S), ("5 ", 5.0), ("NaN", None), ("1e308", None), ("Fri, 99 Foo 2026", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_S), ("9" * 400, None), ("inf", None), ("5\u0660", None), ("5" + " " * 20_000, 5.0),
    ],
)  # fmt: skip
def test_retry_after(value: str, expected: float | None) -> None:
    says = told({"Retry-After": value}, NOW)
    assert (says and says.retry_s) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Rate-Limit-Time-Reset-Ms": "15000", "X-Rate-Limit-Requests-Left": "6", "X-Rate-Limit-Requests-Quota": "150"}, Told(None, 6, 15.0, 150)),
        ({"X-Retry-After": "7"}, Told(7.0)),
        ({"Retry-After-Ms": "1500"}, Told(1.5)),
        ({"X-Rate-Limit-Reset": "12", "X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Limit": "40"}, Told(None, 0, 12.0, 40)),
        ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": str(EPOCH + 30)}, Told(None, 3, 30.0)),
        ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": str((EPOCH + 30) * 1000)}, Told(None, 3, 30.0)),
        ({"X-RateLimit-Reset-After": "0.25", "X-RateLimit-Remaining": "0"}, Told(None, 0, 0.25)),
        ({"RateLimit": "limit=100, remaining=50, reset=5"}, Told(None, 50, 5.0, 100)),
        ({"RateLimit": '"burst";r=4;t=1, "daily";r=900;t=3600'}, Told(None, 4, 1.0)),
        ({"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "50", "RateLimit-Reset": "5"}, Told(None, 50, 5.0, 100)),
        ({"X-HubSpot-RateLimit-Remaining": "9", "X-HubSpot-RateLimit-Max": "10", "X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}, Told(None, 9, 10.0, 10)),
        ({"X-Shopify-Shop-Api-Call-Limit": "32/40"}, Told(hold_s=0.0)),
        ({"X-Shopify-Shop-Api-Call-Limit": "40/40"}, Told(hold_s=4.0)),
        ({"Sforce-Limit-Info": "api-usage=99/100"}, Told(hold_s=1.0)),
        ({"Sforce-Limit-Info": "api-usage=18/15000"}, None),
        ({"Content-Type": "application/json", "Server": "x"}, None),
    ],
)  # fmt: skip
def test_each_dialect_is_known_by_its_names(headers: dict[str, str], expected: Told | None) -> None:
    says = told(headers, NOW)
    assert says == expected or (says is not None and expected is not None and says == pytest.approx(expected))
    assert told({name.upper(): value for name, value in headers.items()}, NOW) == says


def test_a_reset_is_measured_by_the_clock_that_wrote_it() -> None:
    theirs = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=17)
    headers = {
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(theirs.timestamp()) + 20),
        "Date": format_datetime(theirs, usegmt=True),
    }
    says = told(CIMultiDict(headers))
    assert says is not None
    assert says.resets_s == pytest.approx(20, abs=0.001)


def test_of_figures_given_twice_the_more_careful_one_counts() -> None:
    twice = [("Retry-After", "5"), ("retry-after", "50"), ("X-RateLimit-Remaining", "7"), ("x-ratelimit-remaining", "2")]
    assert told(CIMultiDict(twice), NOW) == Told(50.0, 2)


VALUES = st.one_of(
    st.text(max_size=300),
    st.sampled_from(["-1", "NaN", "inf", "1e308", "9" * 500, "0", "soon", "1/0", "99999/1", "x" * 10_240, "\x00", "Thu, 01 Jan 9999 99:99:99 GMT", "Mon, 01 Jan 0001 00:00:00 +2359"]),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(str),
    st.datetimes(timezones=st.just(UTC)).map(lambda at: format_datetime(at, usegmt=True)),
    st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)).map(lambda two: f"{two[0]}/{two[1]}"),
    st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)).map(lambda two: f"limit=1, remaining={two[0]}, reset={two[1]}"),
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from([*HEADERS, "ratelimit", "date", "server"]), VALUES), max_size=8))
def test_whatever_a_header_says_is_bounded(headers: list[tuple[str, str]]) -> None:
    says = told(CIMultiDict(headers))
    if says is None:
        return
    for seconds in (says.retry_s, says.resets_s, says.hold_s, says.wait_s):
        assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= LONGEST_S)
    for calls in (says.left, says.quota):
        assert calls is None or 0 <= calls <= MOST_CALLS


def _graphql(available: float, rate: float, requested: float = 101) -> bytes:
    status = {"maximumAvailable": 1000.0, "currentlyAvailable": available, "restoreRate": rate}
    cost = {"requestedQueryCost": requested, "actualQueryCost": None, "throttleStatus": status}
    return json.dumps({"data": {"x": 1}, "extensions": {"cost": cost}}).encode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (_graphql(1, 50), 2.0), (_graphql(900, 50), 0.0), (_graphql(0, 0), None), (_graphql(0, 1e-300), LONGEST_S), (_graphql(0, -1), None),
        (b'{"extensions": {"cost": {"throttleStatus": "soon"}}}', None), (b'{"items": ["throttleStatus"]}', None), (b"", None), (b'"throttleStatus" \xff', None),
    ],
)  # fmt: skip
def test_cost_points(body: bytes, expected: float | None) -> None:
    assert points_s(body) == expected
