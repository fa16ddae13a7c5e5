"""What the upkeep asks the journal: which flows have something due, and when each last moved records."""

from __future__ import annotations

from datetime import datetime
from itertools import takewhile

from sqlalchemy import ColumnElement, Connection, and_, func, not_, or_, select

from integrator.model.run import RERUNS_SEEN, Due, FlowKey, Pulse, State, Trigger
from integrator.store.failures import leased, of_flow
from integrator.store.hope import due_now, hopeful
from integrator.store.rules import GOOD, REGULAR, SYNTHETIC
from integrator.store.tables import failures, flow_runs, runs


def hopeful_flows(c: Connection, now: datetime) -> list[FlowKey]:
    """Return the flows with failures that may get better, in order of their names."""
    columns = (failures.c.project, failures.c.pipe, failures.c.flow)
    found = c.execute(select(*columns).where(hopeful(), _free(now)).distinct().order_by(*columns))
    return [FlowKey(row.project, row.pipe, row.flow) for row in found]


def count_due(c: Connection, key: FlowKey, due: Due, now: datetime) -> int:
    """Return how many of a flow's failures are to be tried again now."""
    real = not_(failures.c.entity_id.startswith(SYNTHETIC, autoescape=True))
    query = select(func.count()).select_from(failures).where(of_flow(key), _free(now), real, due_now(due, now))
    return int(c.execute(query).scalar_one())


def _free(now: datetime) -> ColumnElement[bool]:
    abandoned = and_(failures.c.state == State.RETRYING, not_(leased(now)))
    return or_(failures.c.state == State.OPEN, abandoned)


def pulse(c: Connection, key: FlowKey) -> Pulse:
    """Return when a flow first and last moved records by schedule or by hand, and how many reruns an error ended since."""
    mine = and_(flow_runs.c.project == key.project, flow_runs.c.pipe == key.pipe, flow_runs.c.flow == key.flow)
    joined = flow_runs.join(runs, runs.c.id == flow_runs.c.run_id)
    regular = and_(mine, runs.c.trigger.in_(sorted(REGULAR)))
    first = select(func.min(flow_runs.c.started_at)).select_from(joined).where(regular)
    good = select(func.max(flow_runs.c.ended_at)).select_from(joined).where(regular, flow_runs.c.status.in_(sorted(GOOD)))
    newest = (flow_runs.c.started_at.desc(), flow_runs.c.ordinal.desc(), flow_runs.c.run_id.desc())
    last = (
        select(flow_runs.c.read, flow_runs.c.ended_at)
        .select_from(joined)
        .where(regular, flow_runs.c.ended_at.is_not(None))
        .order_by(*newest)
        .limit(1)
    )
    rerun = (
        select(flow_runs.c.error, flow_runs.c.started_at)
        .select_from(joined)
        .where(mine, runs.c.trigger == Trigger.RERUN, flow_runs.c.ended_at.is_not(None))
        .order_by(*newest)
        .limit(RERUNS_SEEN)
    )
    row = c.execute(last).first()
    stopped = list(takewhile(lambda one: one.error is not None, c.execute(rerun)))
    return Pulse(
        first_started_at=c.execute(first).scalar_one(),
        last_good_at=c.execute(good).scalar_one(),
        last_read=row.read if row else None,
        last_ended_at=row.ended_at if row else None,
        reruns_stopped=len(stopped),
        rerun_stopped_at=stopped[0].started_at if stopped else None,
    )
