"""Which failures may get better by themselves, and when each is due again: as a rule, and as a condition of SQL."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_

from integrator.model.run import DUE_WAIT_MAX_S, Due, FailureRow, Stage
from integrator.store.rules import UNKNOWN
from integrator.store.tables import failures

AWAY = frozenset({"UnavailableError", "RateLimitedError"})
REFUSED = "RecordRefusedError"
PASSING_STATUSES = frozenset({408, 409, 423, 425, 429})
"""HTTP statuses below 500 of refusals that pass: time-out, conflict, locked, too early, too many. Source: RFC 9110, 4918, 8470, 6585."""
ANOTHERS = frozenset({Stage.LOOK_UP.value, Stage.THEN.value})
"""Stages that depend on another record or call, which may be there by now."""
NEVER = frozenset({UNKNOWN, "MappingError", "SignInAgainError"})
"""May have arrived already, needs another mapping, needs a person."""


def may_get_better(error: str, http_status: int | None, stage: str) -> bool:
    """Tell whether trying again, with nothing changed on our side, can make a difference."""
    if error in NEVER:
        return False
    passing = http_status is not None and (http_status in PASSING_STATUSES or 500 <= http_status <= 599)
    return error in AWAY or stage in ANOTHERS or (error == REFUSED and passing)


def is_due(row: FailureRow, due: Due, now: datetime) -> bool:
    """Tell whether a failure is to be tried again now."""
    if row.attempts >= due.attempts or not may_get_better(row.error, row.http_status, row.stage):
        return False
    return row.last_failed_at + timedelta(seconds=due.wait_s(row.attempts)) <= now


def hopeful() -> ColumnElement[bool]:
    """Return `may_get_better` as a condition."""
    status = failures.c.http_status
    passing = or_(status.in_(sorted(PASSING_STATUSES)), status.between(500, 599))
    return and_(
        failures.c.error.not_in(sorted(NEVER)),
        or_(
            failures.c.error.in_(sorted(AWAY)),
            failures.c.stage.in_(sorted(ANOTHERS)),
            and_(failures.c.error == REFUSED, passing),
        ),
    )


def due_now(due: Due, now: datetime) -> ColumnElement[bool]:
    """Return `is_due` as a condition: a limit for each number of attempts, so that no database need compute with times."""
    limits: list[ColumnElement[bool]] = []
    for attempts in range(1, due.attempts):
        wait = due.wait_s(attempts)
        long_ago = failures.c.last_failed_at <= now - timedelta(seconds=wait)
        if wait >= DUE_WAIT_MAX_S:
            limits.append(and_(failures.c.attempts >= attempts, failures.c.attempts < due.attempts, long_ago))
            break
        limits.append(and_(failures.c.attempts == attempts, long_ago))
    return and_(hopeful(), or_(*limits))
