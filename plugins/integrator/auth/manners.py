"""How a credential wants to be used, from its fields: calls per time, calls in flight, and what says "too many calls"."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from integrator.errors import ConfigError, MappingError
from integrator.mapping.compile import compile_expression
from integrator.mapping.projection import decoder
from integrator.model.credential import Credential
from integrator.wire.limits import Manners, rules_of
from integrator.wire.message import Answer

IN_FLIGHT_MAX = 10_000
_STATUSES = re.compile(r"\d{3}(\s*,\s*\d{3})*\Z", re.ASCII)


def manners_of(credential: Credential) -> Manners:
    """Return how a credential wants to be used.

    Raises:
        ConfigError: a field's value cannot be used; the message names the field.
    """
    given = {name: str(value).strip() for name, value in credential.extra.items() if value not in (None, "")}
    try:
        return Manners(
            rules_of(given["calls"]) if given.get("calls") else (),
            _in_flight(given["in_flight"]) if given.get("in_flight") else None,
            said_by("throttled_when", given["throttled_when"]) if given.get("throttled_when") else None,
            _signed_out(given["signed_out_when"]) if given.get("signed_out_when") else None,
        )
    except ValueError as fault:
        raise ConfigError(f"credential {credential.conn_id}: {fault}") from None


def _in_flight(text: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or not 1 <= int(text) <= IN_FLIGHT_MAX:
        raise ValueError(f"in_flight is a whole number from 1 to {IN_FLIGHT_MAX:,}")
    return int(text)


def _signed_out(text: str) -> Callable[[Answer], bool]:
    return (lambda _answer: False) if text.lower() == "never" else said_by("signed_out_when", text)


def said_by(field: str, text: str) -> Callable[[Answer], bool]:
    """Return what tells whether an answer says what the field is about: statuses with commas, or an expression.

    The expression may use `status` and `answer`, the answer's JSON; an answer that does not fit it says nothing of the kind.

    Raises:
        ValueError: it is neither.
    """
    if _STATUSES.match(text):
        statuses = frozenset(int(one) for one in text.split(","))
        return lambda answer: answer.status in statuses
    made = compile_expression(text, ["_status", "_answer"], members=None, named={"status": "_status", "answer": "_answer"})
    if made.faults:
        why = made.faults[0].message
        if why.startswith("not an expression"):  # what it goes on with is about pipe files
            why = f"{why.partition(';')[0]}; write statuses such as 401,403, or an expression such as status == 403 and answer.code == 7"
        raise ValueError(f"{field}: {why}")
    paths = made.used.get("_answer", set())
    read = decoder(paths) if paths else None

    def says_so(answer: Answer) -> bool:
        try:
            body: Any = read.decode(answer.body) if read is not None and answer.body else None
        except (msgspec.MsgspecError, RecursionError, ValueError):
            body = None
        try:
            return bool(made(answer.status, body))
        except MappingError:
            return False

    return says_so
