"""Statements about failures and the leases of reruns; each is given the connection of its transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    exists,
    insert,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from integrator.model.run import Failure, FlowKey, Selection, Stage, State, Trigger
from integrator.store.rules import (
    CHUNK,
    SETTLED,
    SYNTHETIC,
    UNKNOWN,
    Underway,
    chunks,
    error_of,
    folded,
    lease_limit,
    state_of,
    takes_unknown,
)
from integrator.store.tables import claims, failures, flow_runs

_FRESH = ("stage", "error", "http_status", "code", "field", "last_failed_at", "run_id", "flow_run_id")
_SETTLED = sorted(SETTLED)


def of_flow(key: FlowKey) -> ColumnElement[bool]:
    """Return the condition that a failure is of that flow."""
    return and_(failures.c.project == key.project, failures.c.pipe == key.pipe, failures.c.flow == key.flow)


def _leased(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a rerun which may still live has taken the failure."""
    living = exists(
        select(flow_runs.c.id)
        .where(flow_runs.c.id == failures.c.lease_flow_run_id, flow_runs.c.heartbeat_at > lease_limit(now))
        .correlate(failures)
    )
    return and_(failures.c.state == State.RETRYING, living)


def note(c: Connection, underway: Underway, noted: Iterable[Failure], now: datetime) -> None:
    """Keep failures: a new row each, or one more attempt in the row that is there.

    A rerun leaves alone what another run has resolved in the meantime. A failure that another, living rerun
    has taken stays taken, so that no third one sends it too.
    """
    rows = [_row(underway, failure, times, now) for failure, times in _in_order(noted)]
    if not rows:
        return
    key = ["project", "pipe", "flow", "entity_id"]
    upsert: Any = postgresql.insert(failures) if c.dialect.name == "postgresql" else sqlite.insert(failures)
    kept = and_(_leased(now), failures.c.lease_flow_run_id != underway.flow_run_id)
    set_ = {name: upsert.excluded[name] for name in _FRESH} | {
        "attempts": failures.c.attempts + upsert.excluded.attempts,
        "state": case((kept, State.RETRYING.value), else_=upsert.excluded.state),
        "lease_flow_run_id": case((kept, failures.c.lease_flow_run_id), else_=null()),
        "resolved_run_id": null(),
    }
    where = None
    if underway.trigger is Trigger.RERUN:
        by_other = failures.c.resolved_run_id.is_distinct_from(underway.run_id)
        where = not_(and_(failures.c.state == State.RESOLVED, by_other))
    c.execute(upsert.on_conflict_do_update(index_elements=key, set_=set_, where=where), rows)


def _in_order(noted: Iterable[Failure]) -> list[tuple[Failure, int]]:
    by_id = folded(noted)
    return [by_id[entity_id] for entity_id in sorted(by_id)]  # two writers that lock in one order cannot block each other


def _row(underway: Underway, failure: Failure, times: int, now: datetime) -> dict[str, Any]:
    key = underway.key
    return {
        "project": key.project,
        "pipe": key.pipe,
        "flow": key.flow,
        "entity_id": failure.entity_id,
        "stage": str(failure.stage),
        "error": error_of(failure),
        "http_status": failure.http_status,
        "code": failure.code,
        "field": failure.field,
        "attempts": times,
        "first_failed_at": now,
        "last_failed_at": now,
        "first_run_id": underway.run_id,
        "run_id": underway.run_id,
        "flow_run_id": underway.flow_run_id,
        "state": state_of(failure),
    }


def resolve(c: Connection, underway: Underway, entity_ids: Iterable[str]) -> None:
    """Note that these entities are in step again, by this run."""
    for some in chunks(sorted(entity_ids)):
        c.execute(
            update(failures)
            .where(of_flow(underway.key), failures.c.state.not_in(_SETTLED), failures.c.entity_id.in_(some))
            .values(state=State.RESOLVED, resolved_run_id=underway.run_id, lease_flow_run_id=None)
        )


def mark_gone(c: Connection, underway: Underway, entity_ids: Iterable[str]) -> None:
    """Note that these entities no longer exist at the source."""
    for some in chunks(sorted(entity_ids)):
        c.execute(
            update(failures)
            .where(of_flow(underway.key), failures.c.state.not_in(_SETTLED), failures.c.entity_id.in_(some))
            .values(state=State.GONE, lease_flow_run_id=None)
        )


def unresolved_ids(c: Connection, key: FlowKey, limit: int) -> set[str] | None:
    """Return the IDs that a success would resolve, or None when there are more than `limit`."""
    query = select(failures.c.entity_id).where(of_flow(key), failures.c.state.not_in(_SETTLED)).limit(limit + 1)
    found = set(c.execute(query).scalars())
    return found if len(found) <= limit else None


def claim(
    c: Connection, underway: Underway, selection: Selection, limit: int, now: datetime, *, repeatable: bool
) -> list[str]:
    """Take up to `limit` failures for this rerun. Source: engine/ports.py."""
    if not repeatable:
        _doubt_the_abandoned(c, underway, now)
    ended = and_(failures.c.state == State.RETRYING, not_(_leased(now)))
    free = or_(failures.c.state == State.OPEN, ended) if repeatable else failures.c.state == State.OPEN
    wanted = [of_flow(underway.key), free, not_(failures.c.entity_id.startswith(SYNTHETIC, autoescape=True))]
    wanted += [failures.c.flow_run_id != underway.flow_run_id, not_(_taken_by(underway))]
    if selection.run_id is not None:
        wanted.append(or_(failures.c.run_id == selection.run_id, failures.c.first_run_id == selection.run_id))
    if selection.error is not None:
        wanted.append(failures.c.error == selection.error)
    if not takes_unknown(selection, repeatable=repeatable):
        wanted.append(failures.c.error != UNKNOWN)
    if selection.entity_ids is None:
        return _take(c, underway, wanted, limit)
    taken: list[str] = []
    for some in chunks(selection.entity_ids):
        if len(taken) < limit:
            taken += _take(c, underway, [*wanted, failures.c.entity_id.in_(some)], limit - len(taken))
    return taken


def _taken_by(underway: Underway) -> ColumnElement[bool]:
    taken = select(claims.c.failure_id).where(
        claims.c.flow_run_id == underway.flow_run_id, claims.c.failure_id == failures.c.id
    )
    return exists(taken.correlate(failures))


def _take(c: Connection, underway: Underway, wanted: Sequence[ColumnElement[bool]], limit: int) -> list[str]:
    query = select(failures.c.id, failures.c.entity_id).where(*wanted).order_by(failures.c.id).limit(limit)
    rows = c.execute(query.with_for_update(skip_locked=True, of=failures)).all()
    _lease(c, underway, [row.id for row in rows], {"state": State.RETRYING, "lease_flow_run_id": underway.flow_run_id})
    return [row.entity_id for row in rows]


def _lease(c: Connection, underway: Underway, failure_ids: list[int], values: dict[str, Any]) -> None:
    for start in range(0, len(failure_ids), CHUNK):
        some = failure_ids[start : start + CHUNK]
        c.execute(update(failures).where(failures.c.id.in_(some)).values(values))
        c.execute(insert(claims), [{"flow_run_id": underway.flow_run_id, "failure_id": one} for one in some])


def _doubt_the_abandoned(c: Connection, underway: Underway, now: datetime) -> None:
    """Note as unknown what a rerun that died had taken: it may have been sent. This rerun leaves it alone."""
    ended = and_(failures.c.state == State.RETRYING, not_(_leased(now)))
    query = select(failures.c.id).where(of_flow(underway.key), ended).order_by(failures.c.id)
    found = list(c.execute(query.with_for_update(skip_locked=True, of=failures)).scalars())
    values = {"state": State.OPEN, "stage": Stage.LOAD, "error": UNKNOWN, "lease_flow_run_id": None}
    _lease(c, underway, found, values | {"http_status": None, "code": None, "field": None})


def take_up(c: Connection, flow_run_id: str) -> None:
    """End the leases of a flow run whose former owner is dead, so that its new one may take the failures again."""
    mine = and_(failures.c.state == State.RETRYING, failures.c.lease_flow_run_id == flow_run_id)
    unsettled = select(failures.c.id).where(mine)
    c.execute(delete(claims).where(claims.c.flow_run_id == flow_run_id, claims.c.failure_id.in_(unsettled)))
    c.execute(update(failures).where(mine).values(lease_flow_run_id=None))


def leave(c: Connection, flow_run_id: str, *, gone: bool) -> None:
    """Forget what a dead flow run has taken; its leases run out by themselves unless its process is surely gone."""
    c.execute(delete(claims).where(claims.c.flow_run_id == flow_run_id))
    if gone:
        mine = and_(failures.c.state == State.RETRYING, failures.c.lease_flow_run_id == flow_run_id)
        c.execute(update(failures).where(mine).values(lease_flow_run_id=None))


def release(c: Connection, flow_run_id: str) -> None:
    """Give back what a flow run that ends in order has taken and not settled."""
    c.execute(delete(claims).where(claims.c.flow_run_id == flow_run_id))
    mine = and_(failures.c.state == State.RETRYING, failures.c.lease_flow_run_id == flow_run_id)
    c.execute(update(failures).where(mine).values(state=State.OPEN, lease_flow_run_id=None))
