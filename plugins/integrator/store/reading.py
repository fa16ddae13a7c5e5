"""What the journal shows: runs, failures, selections. Each function is given the connection of its transaction."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from integrator.model.run import FailureRow, RunRow, State, Status, Trigger, derive
from integrator.store.failures import read_parts
from integrator.store.flow_runs import counts_of
from integrator.store.rules import chunks, no_selection
from integrator.store.tables import failures, flow_runs, runs, selection_ids, selections


def run_rows(c: Connection, project: str | None, pipe: str | None, limit: int, now: datetime) -> list[RunRow]:
    """Return the newest runs first, at most `limit`."""
    query = select(runs).order_by(runs.c.started_at.desc(), runs.c.id.desc()).limit(limit)
    if project is not None:
        query = query.where(runs.c.project == project)
    if pipe is not None:
        query = query.where(runs.c.pipe == pipe)
    found = c.execute(query).all()
    flows: dict[str, dict[str, dict[str, Any]]] = {row.id: {} for row in found}
    for some in chunks(flows):
        parts = select(flow_runs).where(flow_runs.c.run_id.in_(some)).order_by(flow_runs.c.started_at, flow_runs.c.ordinal)
        for part in c.execute(parts):
            flows[part.run_id][part.flow] = _shown(part, now)  # of several attempts the last one counts
    return [_run_row(row, flows[row.id]) for row in found]


def _shown(row: Row[Any], now: datetime) -> dict[str, Any]:
    return flow_shown(
        Status(row.status), counts_of(row).as_dict(), row.started_at, row.ended_at, now,
        error=row.error, cursor_before=row.cursor_before, cursor_after=row.cursor_after, shadow=row.shadow,
    )  # fmt: skip


def flow_shown(
    status: Status, counts: dict[str, Any], started_at: datetime, ended_at: datetime | None, now: datetime, **more: Any
) -> dict[str, Any]:
    """Return a flow run as `RunRow.flows` shows it."""
    seconds = ((ended_at or now) - started_at).total_seconds()
    return {"status": status, **counts, "started_at": started_at, "ended_at": ended_at, "seconds": seconds, **more}


def run_end(flows: dict[str, dict[str, Any]]) -> tuple[Status, datetime | None]:
    """Return a run's status and end as its flow runs have them; no end while one runs."""
    status = derive([flow["status"] for flow in flows.values()])
    ends = [flow["ended_at"] for flow in flows.values() if flow["ended_at"] is not None]
    return status, None if status is Status.RUNNING or not ends else max(ends)


def _run_row(row: Row[Any], flows: dict[str, dict[str, Any]]) -> RunRow:
    status, ended_at = run_end(flows)
    return RunRow(
        run_id=row.id,
        project=row.project,
        pipe=row.pipe,
        trigger=Trigger(row.trigger),
        status=status,
        started_at=row.started_at,
        ended_at=ended_at,
        dag_id=row.dag_id,
        dag_run_id=row.dag_run_id,
        parent_run_id=row.parent_run_id,
        pipe_version=row.pipe_version,
        flows=flows,
    )


def failure_rows(c: Connection, project: str, pipe: str, flow: str | None, states: Sequence[State]) -> list[FailureRow]:
    """Return a pipe's failures in these states, in the order in which their entities first failed."""
    query = select(failures).where(
        failures.c.project == project, failures.c.pipe == pipe, failures.c.state.in_([str(state) for state in states])
    )
    if flow is not None:
        query = query.where(failures.c.flow == flow)
    return [_failure_row(row) for row in c.execute(query.order_by(failures.c.id))]


def _failure_row(row: Row[Any]) -> FailureRow:
    return FailureRow(
        entity_id=row.entity_id,
        flow=row.flow,
        stage=row.stage,
        error=row.error,
        http_status=row.http_status,
        code=row.code,
        field=row.field,
        attempts=row.attempts,
        state=State(row.state),
        run_id=row.run_id,
        first_failed_at=row.first_failed_at,
        last_failed_at=row.last_failed_at,
        resolved_run_id=row.resolved_run_id,
        parts=read_parts(row.parts),
    )


def add_selection(
    c: Connection, project: str, pipe: str, flow: str | None, entity_ids: Sequence[str], created_by: str, now: datetime
) -> str:
    """Keep which failures a rerun is to take; returns the selection's ID."""
    selection_id = str(uuid.uuid4())
    values = {"id": selection_id, "project": project, "pipe": pipe, "flow": flow}
    c.execute(insert(selections).values(values | {"created_at": now, "created_by": created_by}))
    rows = [
        {"selection_id": selection_id, "ordinal": ordinal, "entity_id": entity_id}
        for ordinal, entity_id in enumerate(dict.fromkeys(entity_ids))
    ]
    if rows:
        c.execute(insert(selection_ids), rows)
    return selection_id


def read_selection(c: Connection, selection_id: str) -> tuple[str | None, tuple[str, ...]]:
    """Return a selection's flow (None: every flow) and entity IDs.

    Raises:
        ConfigError: there is no such selection.
    """
    row = c.execute(select(selections.c.flow).where(selections.c.id == selection_id)).first()
    if row is None:
        raise no_selection(selection_id)
    ids = select(selection_ids.c.entity_id).where(selection_ids.c.selection_id == selection_id)
    return row.flow, tuple(c.execute(ids.order_by(selection_ids.c.ordinal)).scalars())
