"""Statements about runs, flow runs, cursors and marks; each is given the connection of its transaction."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    and_,
    delete,
    func,
    insert,
    not_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from integrator.model.run import (
    COUNT_NAMES,
    Counts,
    Cursor,
    FlowKey,
    OpenedFlowRun,
    RunKey,
    Status,
    Trigger,
)
from integrator.store import failures
from integrator.store.database import lock
from integrator.store.owner import is_dead
from integrator.store.rules import (
    BESIDE,
    TAKEN_OVER,
    Underway,
    already_moving,
    check_sum,
    taken_over,
)
from integrator.store.tables import cursors, flow_runs, marks, runs

ANNOUNCED = "announced"
SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a flow run ends. Source: engine/ports.py, close_flow_run."""

    status: Status
    error: str | None
    cursor: Cursor | None
    keep_marks: bool


def insert_into(connection: Connection, table: Table) -> Any:
    """Return an INSERT that knows this dialect's ON CONFLICT."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def of_flow(table: Table, key: FlowKey) -> ColumnElement[bool]:
    """Return the condition that a row is of that flow."""
    return and_(table.c.project == key.project, table.c.pipe == key.pipe, table.c.flow == key.flow)


def open_flow_run(c: Connection, key: FlowKey, run: RunKey, owner: str, now: datetime, stale_after_s: float) -> OpenedFlowRun:
    """Open a flow run, or take up the unfinished one of the same run. Source: engine/ports.py.

    Raises:
        ConfigError: another run is moving this flow's records.
    """
    lock(c, f"{key.project}.{key.pipe}.{key.flow}")
    run_id, trigger = _found_or_made(c, key, run, now)
    _end_the_dead(c, key, run_id, trigger, now - timedelta(seconds=stale_after_s))
    cursor = read_cursor(c, key)
    same = (flow_runs.c.run_id == run_id) & of_flow(flow_runs, key)
    unfinished = c.execute(select(flow_runs).where(same, flow_runs.c.status == Status.RUNNING)).first()
    if unfinished is not None:
        c.execute(update(flow_runs).where(flow_runs.c.id == unfinished.id).values(owner=owner, heartbeat_at=now))
        failures.take_up(c, unfinished.id)
        return _opened(c, key, unfinished, cursor)
    ordinal = c.execute(select(func.coalesce(func.max(flow_runs.c.ordinal), 0)).where(same)).scalar_one() + 1
    values = {
        "id": str(uuid.uuid4()),
        "run_id": run_id,
        "project": key.project,
        "pipe": key.pipe,
        "flow": key.flow,
        "ordinal": ordinal,
        "status": Status.RUNNING,
        "owner": owner,
        "heartbeat_at": now,
        "started_at": now,
        "cursor_before": cursor.value if cursor else None,
        "shadow": run.shadow,
    }
    c.execute(insert(flow_runs).values(values))
    _own, inherited, in_doubt = _marks_of(c, key, values["id"])
    return OpenedFlowRun(run_id, values["id"], False, Counts(), now, cursor=cursor, inherited_marks=inherited, in_doubt=in_doubt)


def _found_or_made(c: Connection, key: FlowKey, run: RunKey, now: datetime) -> tuple[str, Trigger]:
    """Return the run's ID and what started it, which stays what it was when the run was made."""
    values = {
        "id": run.run_id,
        "project": key.project,
        "pipe": key.pipe,
        "dag_id": run.dag_id,
        "dag_run_id": run.dag_run_id,
        "trigger": run.trigger,
        "parent_run_id": run.parent_run_id,
        "pipe_version": run.pipe_version,
        "actor": run.actor[:250] or None,
        "started_at": now,
    }
    c.execute(insert_into(c, runs).values(values).on_conflict_do_nothing())
    same = runs.c.id == run.run_id
    if run.dag_id is not None and run.dag_run_id is not None:
        same = (runs.c.dag_id == run.dag_id) & (runs.c.dag_run_id == run.dag_run_id)
    row = c.execute(select(runs.c.id, runs.c.trigger).where(same)).one()
    return row.id, Trigger(row.trigger)


def _end_the_dead(c: Connection, key: FlowKey, run_id: str, trigger: Trigger, stale: datetime) -> None:
    others = c.execute(
        select(flow_runs.c.id, flow_runs.c.run_id, flow_runs.c.owner, flow_runs.c.heartbeat_at,
               flow_runs.c.started_at, runs.c.trigger)
        .join(runs, runs.c.id == flow_runs.c.run_id)
        .where(of_flow(flow_runs, key), flow_runs.c.status == Status.RUNNING, flow_runs.c.run_id != run_id)
        .order_by(flow_runs.c.started_at)
    ).all()  # fmt: skip
    for other in others:
        gone = is_dead(other.owner)
        if gone or other.heartbeat_at < stale:
            c.execute(
                update(flow_runs)
                .where(flow_runs.c.id == other.id)
                .values(status=Status.FAILED, error=TAKEN_OVER, ended_at=other.heartbeat_at, checkpoint=None)
            )
            if gone:  # otherwise it may still be sending: its leases run out by themselves
                failures.end_leases(c, other.id)
        elif trigger not in BESIDE and Trigger(other.trigger) not in BESIDE:
            raise already_moving(key, other.run_id, other.started_at)


def _opened(c: Connection, key: FlowKey, row: Row[Any], cursor: Cursor | None) -> OpenedFlowRun:
    own, inherited, in_doubt = _marks_of(c, key, row.id)
    return OpenedFlowRun(
        run_id=row.run_id,
        flow_run_id=row.id,
        resumed=True,
        counts=counts_of(row),
        started_at=row.started_at,
        checkpoint=None if row.checkpoint is None else json.loads(row.checkpoint),
        cursor=cursor,
        own_marks=own,
        inherited_marks=inherited,
        in_doubt=in_doubt,
    )


def _marks_of(c: Connection, key: FlowKey, flow_run_id: str) -> tuple[bytes, bytes, bytes]:
    """Return this flow run's settled marks, those it inherits, and all that are announced.

    Marks of a flow run that lives beside this one are its own business: what it has announced is not in doubt.
    Nor does a shadow, which writes nothing, leave any to others.
    """
    own, inherited, in_doubt = bytearray(), bytearray(), bytearray()
    found = c.execute(
        select(marks.c.flow_run_id, marks.c.kind, marks.c.marks)
        .where(of_flow(marks, key), not_(_of_a_living_other(key, flow_run_id)), not_(_of_another_shadow(flow_run_id)))
        .order_by(marks.c.id)
    )
    for row in found:
        kept = in_doubt if row.kind == ANNOUNCED else own if row.flow_run_id == flow_run_id else inherited
        kept += row.marks
    return bytes(own), bytes(inherited), bytes(in_doubt)


def _of_another_shadow(flow_run_id: str) -> ColumnElement[bool]:
    return marks.c.flow_run_id.in_(select(flow_runs.c.id).where(flow_runs.c.shadow, flow_runs.c.id != flow_run_id))


def _of_a_living_other(key: FlowKey, flow_run_id: str) -> ColumnElement[bool]:
    living = select(flow_runs.c.id).where(
        of_flow(flow_runs, key), flow_runs.c.status == Status.RUNNING, flow_runs.c.id != flow_run_id
    )
    return marks.c.flow_run_id.in_(living)


def counts_of(row: Row[Any]) -> Counts:
    """Return the numbers in a row of the flow runs' table."""
    return Counts(**{name: getattr(row, name) for name in COUNT_NAMES})


def sign_of_life(
    c: Connection, flow_run_id: str, owner: str, now: datetime, counts: Counts | None = None, checkpoint: Any = None
) -> Underway:
    """Renew the heartbeat, and with it the leases; add counts and a checkpoint when given.

    Raises:
        TakenOverError: the flow run has ended or has another owner.
    """
    values: dict[Any, Any] = {"heartbeat_at": now}
    if counts is not None:
        values |= {name: flow_runs.c[name] + number for name, number in counts.as_dict().items() if number}
    if checkpoint is not None:
        values["checkpoint"] = json.dumps(checkpoint, separators=(",", ":"))
    mine = (flow_runs.c.id == flow_run_id) & (flow_runs.c.owner == owner) & (flow_runs.c.status == Status.RUNNING)
    if c.execute(update(flow_runs).where(mine).values(values)).rowcount == 0:
        raise taken_over(flow_run_id)
    row = c.execute(
        select(flow_runs.c.run_id, flow_runs.c.project, flow_runs.c.pipe, flow_runs.c.flow, runs.c.trigger)
        .join(runs, runs.c.id == flow_runs.c.run_id)
        .where(flow_runs.c.id == flow_run_id)
    ).one()
    return Underway(flow_run_id, row.run_id, FlowKey(row.project, row.pipe, row.flow), Trigger(row.trigger))


def add_marks(c: Connection, underway: Underway, kind: str, entries: bytes) -> int:
    """Keep marks; returns their number, by which an announcement is taken back."""
    key = underway.key
    added = c.execute(
        insert(marks).values(
            project=key.project,
            pipe=key.pipe,
            flow=key.flow,
            flow_run_id=underway.flow_run_id,
            kind=kind,
            marks=entries,
        )
    )
    return int(added.inserted_primary_key[0])  # type: ignore[index]


def drop_announcements(c: Connection, flow_run_id: str, numbers: list[int]) -> None:
    """Take back announcements of this flow run that are settled as a whole."""
    mine = (marks.c.flow_run_id == flow_run_id) & (marks.c.kind == ANNOUNCED)
    c.execute(delete(marks).where(mine, marks.c.id.in_(numbers)))


def close_flow_run(c: Connection, underway: Underway, ending: Ending, now: datetime) -> None:
    """End a flow run that is known to be its owner's. Source: engine/ports.py.

    Raises:
        StopRunError: its numbers do not add up.
    """
    mine = flow_runs.c.id == underway.flow_run_id
    check_sum(underway.flow_run_id, counts_of(c.execute(select(flow_runs).where(mine)).one()))
    values: dict[str, Any] = {"status": ending.status, "error": ending.error, "ended_at": now, "checkpoint": None}
    if ending.cursor is not None:
        values["cursor_after"] = ending.cursor.value
        write_cursor(c, underway.key, ending.cursor, now, underway.run_id)
    c.execute(update(flow_runs).where(mine).values(values))
    if not ending.keep_marks:
        _drop_marks(c, underway)
    failures.release(c, underway.flow_run_id)


def _drop_marks(c: Connection, underway: Underway) -> None:
    """Drop the flow's marks; a rerun or a shadow drops its own only, since others still guard the next reading from the cursor."""
    shadow = c.execute(select(flow_runs.c.shadow).where(flow_runs.c.id == underway.flow_run_id)).scalar_one()
    if shadow or underway.trigger in BESIDE:
        c.execute(delete(marks).where(marks.c.flow_run_id == underway.flow_run_id))
        return
    living = _of_a_living_other(underway.key, underway.flow_run_id)
    c.execute(delete(marks).where(of_flow(marks, underway.key), not_(living)))


def read_cursor(c: Connection, key: FlowKey) -> Cursor | None:
    """Return how far the flow has read, or None when it never has."""
    row = c.execute(select(cursors.c.value, cursors.c.seen).where(of_flow(cursors, key))).first()
    return None if row is None else Cursor(row.value, bytes(row.seen))


def write_cursor(c: Connection, key: FlowKey, cursor: Cursor, now: datetime, run_id: str | None = None) -> None:
    """Move the flow's cursor."""
    fresh: dict[str, Any] = {"value": cursor.value, "seen": cursor.seen, "run_id": run_id, "updated_at": now}
    if run_id is None:  # a person set it, and so has looked
        fresh["restored_at"] = None
    row = {"project": key.project, "pipe": key.pipe, "flow": key.flow, **fresh}
    upsert = insert_into(c, cursors).values(row)
    c.execute(upsert.on_conflict_do_update(index_elements=["project", "pipe", "flow"], set_=fresh))


def clear_cursor(c: Connection, key: FlowKey) -> None:
    """Forget how far the flow has read."""
    c.execute(delete(cursors).where(of_flow(cursors, key)))
