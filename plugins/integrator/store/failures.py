"""Statements about failures and the leases of reruns; each is given the connection of its transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    exists,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from integrator.model.record import Held
from integrator.model.run import Failure, FlowKey, Selection, Stage, State, Trigger
from integrator.store.hope import due_now
from integrator.store.rules import (
    CHUNK,
    SETTLED,
    SYNTHETIC,
    UNKNOWN,
    WAITED,
    WAITING,
    Underway,
    chunks,
    error_of,
    folded,
    lease_limit,
    parts_of,
    state_of,
    takes_unknown,
)
from integrator.store.tables import failures, flow_runs

_FRESH = ("stage", "error", "http_status", "code", "field", "parts", "last_failed_at", "run_id", "flow_run_id")
_SETTLED = sorted(SETTLED)


def of_flow(key: FlowKey) -> ColumnElement[bool]:
    """Return the condition that a failure is of that flow."""
    return and_(failures.c.project == key.project, failures.c.pipe == key.pipe, failures.c.flow == key.flow)


def leased(now: datetime) -> ColumnElement[bool]:
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
    kept = and_(leased(now), failures.c.lease_flow_run_id != underway.flow_run_id)
    was_settled = or_(*(failures.c.state == state for state in _SETTLED))  # IN does not go with many rows at once
    set_ = {name: upsert.excluded[name] for name in _FRESH} | {
        "attempts": failures.c.attempts + upsert.excluded.attempts,
        "state": case((kept, State.RETRYING.value), else_=upsert.excluded.state),
        "first_failed_at": case((was_settled, upsert.excluded.first_failed_at), else_=failures.c.first_failed_at),
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
        "parts": json.dumps(parts_of(failure)) if parts_of(failure) else None,
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


def overdue(c: Connection, key: FlowKey, before: datetime) -> frozenset[str]:
    """Return the IDs of unresolved failures that have waited since before this time."""
    waited = [failures.c.error.in_(sorted(WAITED)), failures.c.state.not_in(_SETTLED), failures.c.first_failed_at < before]
    return frozenset(c.execute(select(failures.c.entity_id).where(of_flow(key), *waited)).scalars())


def claim(c: Connection, underway: Underway, selection: Selection, limit: int, now: datetime, *, repeatable: bool) -> list[str]:
    """Take up to `limit` failures for this rerun. Source: engine/ports.py.

    It goes through the failures in the order of their numbers and never back, so it takes none twice.
    """
    if not repeatable:
        _doubt_the_abandoned(c, underway, now)
    ended = and_(failures.c.state == State.RETRYING, not_(leased(now)))
    if selection.waiting:
        ended = and_(ended, failures.c.error == WAITING)
    mine = flow_runs.c.id == underway.flow_run_id
    free = _takeable(selection)
    wanted = [
        of_flow(underway.key),
        or_(free, ended) if repeatable else free,
        failures.c.id > c.execute(select(flow_runs.c.claimed_up_to).where(mine)).scalar_one(),
        failures.c.flow_run_id != underway.flow_run_id,
        not_(failures.c.entity_id.startswith(SYNTHETIC, autoescape=True)),
    ]
    if selection.run_id is not None:
        wanted.append(or_(failures.c.run_id == selection.run_id, failures.c.first_run_id == selection.run_id))
    if selection.error is not None:
        wanted.append(failures.c.error == selection.error)
    if selection.due is not None:
        wanted.append(due_now(selection.due, now))
    if not takes_unknown(selection, repeatable=repeatable):
        wanted.append(failures.c.error != UNKNOWN)
    rows = _free(c, wanted, limit) if selection.entity_ids is None else _named(c, wanted, selection.entity_ids, limit)
    if rows:
        c.execute(update(flow_runs).where(mine).values(claimed_up_to=rows[-1].id))
    _change(c, rows, {"state": State.RETRYING, "lease_flow_run_id": underway.flow_run_id})
    return [row.entity_id for row in rows]


def _takeable(selection: Selection) -> ColumnElement[bool]:
    """Return the condition that a failure is in a state which the selection takes."""
    if selection.waiting:
        return failures.c.state == State.WAITING
    return failures.c.state.in_([State.OPEN, State.WAITING] if selection.entity_ids is not None else [State.OPEN])


def _free(c: Connection, wanted: Sequence[ColumnElement[bool]], limit: int) -> list[Row[Any]]:
    """Lock up to `limit` failures, in the order of their numbers, passing by what another transaction has locked."""
    query = select(failures.c.id, failures.c.entity_id).where(*wanted).order_by(failures.c.id).limit(limit)
    return list(c.execute(query.with_for_update(skip_locked=True, of=failures)))


def _named(c: Connection, wanted: Sequence[ColumnElement[bool]], entity_ids: Iterable[str], limit: int) -> list[Row[Any]]:
    """Lock up to `limit` of the failures of these entities, in the order of their numbers."""
    numbers: list[int] = []
    for some in chunks(entity_ids):
        numbers += c.execute(select(failures.c.id).where(*wanted, failures.c.entity_id.in_(some))).scalars()
    numbers.sort()
    rows: list[Row[Any]] = []
    for start in range(0, len(numbers), CHUNK):
        if len(rows) < limit:
            some_numbers = failures.c.id.in_(numbers[start : start + CHUNK])
            rows += _free(c, [*wanted, some_numbers], limit - len(rows))
    return rows


def _change(c: Connection, rows: Sequence[Row[Any]], values: dict[str, Any]) -> None:
    for start in range(0, len(rows), CHUNK):
        some = [row.id for row in rows[start : start + CHUNK]]
        c.execute(update(failures).where(failures.c.id.in_(some)).values(values))


def _doubt_the_abandoned(c: Connection, underway: Underway, now: datetime) -> None:
    """Note as unknown what a rerun that died had taken: it may have been sent. This rerun leaves it alone."""
    ended = and_(failures.c.state == State.RETRYING, not_(leased(now)))
    query = select(failures.c.id).where(of_flow(underway.key), ended).order_by(failures.c.id)
    rows = c.execute(query.with_for_update(skip_locked=True, of=failures)).all()
    follows = failures.c.stage == Stage.THEN  # the write was done, and calls before the one in its field; that stays known
    values: dict[str, Any] = {"state": State.OPEN, "error": UNKNOWN, "lease_flow_run_id": None, "http_status": None, "code": None}
    values |= {"stage": case((follows, Stage.THEN.value), else_=Stage.LOAD.value), "field": case((follows, failures.c.field))}
    _change(c, rows, values | {"run_id": underway.run_id, "flow_run_id": underway.flow_run_id})


def still_claimed(c: Connection, flow_run_id: str, entity_ids: Iterable[str]) -> dict[str, Held]:
    """Return what is known of those of these IDs whose failure this run holds and nobody has settled meanwhile."""
    held: dict[str, Held] = {}
    query = select(failures.c.entity_id, failures.c.stage, failures.c.field, failures.c.parts)
    for some in chunks(sorted(entity_ids)):
        mine = and_(failures.c.state == State.RETRYING, failures.c.lease_flow_run_id == flow_run_id)
        for row in c.execute(query.where(mine, failures.c.entity_id.in_(some))):
            held[row.entity_id] = Held(row.stage, row.field, read_parts(row.parts))
    return held


def read_parts(kept: str | None) -> tuple[str, ...]:
    """Return the keys of failed parts from their column."""
    return tuple(json.loads(kept)) if kept else ()


def take_up(c: Connection, flow_run_id: str) -> None:
    """End the leases of a flow run whose former owner is dead, so that its new one may take the failures again."""
    end_leases(c, flow_run_id)
    c.execute(update(flow_runs).where(flow_runs.c.id == flow_run_id).values(claimed_up_to=0))


def end_leases(c: Connection, flow_run_id: str) -> None:
    """Let others take at once what a flow run had taken whose process is surely gone."""
    mine = and_(failures.c.state == State.RETRYING, failures.c.lease_flow_run_id == flow_run_id)
    c.execute(update(failures).where(mine).values(lease_flow_run_id=None))


def release(c: Connection, flow_run_id: str) -> None:
    """Give back what a flow run that ends in order has taken and not settled."""
    mine = and_(failures.c.state == State.RETRYING, failures.c.lease_flow_run_id == flow_run_id)
    c.execute(update(failures).where(mine).values(state=_given_back(), lease_flow_run_id=None))


def _given_back() -> ColumnElement[str]:
    return case((failures.c.error == WAITING, State.WAITING.value), else_=State.OPEN.value)
