"""What a credential's owner may say of its limits, and what is said of a misspelling."""

from __future__ import annotations

from typing import Any

import pytest

from integrator.auth.manners import manners_of
from integrator.errors import ConfigError
from integrator.model.credential import Credential
from integrator.model.limit import Rule
from integrator.wire.message import Answer


def manners(**extra: Any) -> Any:
    return manners_of(Credential("acme", "erp", "none", "https://erp.example", extra))


def test_nothing_said_is_no_limit() -> None:
    assert not manners().shared
    assert not manners(calls=None, in_flight="", throttled_when=None).shared
    assert manners(throttled_when="403").shared is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5/1s", (Rule(5, 1.0),)), (" 150 / 30s, 10000/1d ", (Rule(150, 30.0), Rule(10_000, 86_400.0))), ("10/s", (Rule(10, 1.0),)),
        ("6000/5m", (Rule(6000, 300.0),)), ("1/250ms", (Rule(1, 0.25),)), ("2/1.5h", (Rule(2, 5400.0),)),
    ],
)  # fmt: skip
def test_calls_per_time(text: str, expected: tuple[Rule, ...]) -> None:
    assert manners(calls=text).rules == expected


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("calls", "5", "calls per time, such as 5/1s"), ("calls", "5/second", "calls per time"), ("calls", "0/1s", "out of range"), ("calls", "-5/1s", "calls per time"),
        ("calls", "5/1ms", "out of range"), ("calls", "5/999999d", "out of range"), ("calls", ",", "1 to 4 rules"), ("calls", "5/1s, 6/1s", "one for each span"),
        ("calls", "1/1s,2/2s,3/3s,4/4s,5/5s", "1 to 4 rules"), ("calls", "٥/1s", "calls per time"), ("in_flight", "0", "whole number"), ("in_flight", "two", "whole number"),
        ("in_flight", True, "whole number"), ("throttled_when", "status = 403", "throttled_when: not an expression"), ("throttled_when", "code == 1", "no 'code' here; known: answer, status"),
    ],
)  # fmt: skip
def test_a_misspelling_is_told_with_its_cure(field: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError, match="credential acme__erp: ") as fault:
        manners(**{field: value})
    assert says in str(fault.value)


@pytest.mark.parametrize(
    ("text", "status", "body", "expected"),
    [
        ("403, 420", 420, b"", True), ("403, 420", 200, b"", False),
        ('status == 403 and answer[0].errorCode == "REQUEST_LIMIT_EXCEEDED"', 403, b'[{"errorCode": "REQUEST_LIMIT_EXCEEDED"}]', True),
        ('status == 403 and answer[0].errorCode == "REQUEST_LIMIT_EXCEEDED"', 403, b'[{"errorCode": "INSUFFICIENT_ACCESS"}]', False),
        ('status == 403 and answer[0].errorCode == "REQUEST_LIMIT_EXCEEDED"', 403, b"<html>", False),
        ('answer.errors[0].extensions.code == "THROTTLED"', 200, b'{"errors": [{"extensions": {"code": "THROTTLED"}}]}', True),
        ('answer.errors[0].extensions.code == "THROTTLED"', 200, b'{"data": {"errors": 1}}', False),
        ('"graphql-too-many-requests" in text(answer.errors[0].extensions.category)', 200, b'{"errors": [{"extensions": {"category": "graphql-too-many-requests"}}]}', True),
        ("answer.left < 1", 200, b'{"left": "x"}', False),
    ],
)  # fmt: skip
def test_what_says_too_many_calls(text: str, status: int, body: bytes, expected: bool) -> None:
    assert manners(throttled_when=text).throttled(Answer(status, {}, body)) is expected
