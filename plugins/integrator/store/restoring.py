"""What a restored backup brings back and must not stay so: runs that nobody moves, old tokens, cursors that may be behind. Source: docs/decisions/044."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, column, delete, func, select, table, update

from integrator.errors import ConfigError
from integrator.model.console import LogState
from integrator.model.run import FlowKey, State, Status
from integrator.store import failures as statements
from integrator.store.console import SqlConsole
from integrator.store.console_deleting import left_over
from integrator.store.console_files import Objects
from integrator.store.database import reading, writing
from integrator.store.flow_runs import of_flow
from integrator.store.tables import audit_lines, console_switches, cursors, failures, flow_runs, sessions, tokens

RESTORED = "RestoredError"
"""Error of a flow run that was under way when the backup was made."""
FAULT = "restored"


@dataclass(frozen=True, slots=True)
class RestoredCursor:
    """A cursor that came out of a backup and nobody has looked at since."""

    key: FlowKey
    value: str
    restored_at: datetime


def backup_at(engine: Engine) -> datetime | None:
    """Return the newest instant that the database knows of, which is about when the backup was made; None of an empty one."""
    with reading(engine) as c:
        instants = [
            c.scalar(select(func.max(one)))
            for one in (flow_runs.c.heartbeat_at, audit_lines.c.at, tokens.c.updated_at, cursors.c.updated_at)
        ]
    return max((one for one in instants if one is not None), default=None)


def refuse_while_moving(engine: Engine, now: datetime, stale_after_s: float) -> None:
    """Refuse while something moves records: its runs must not be ended under it.

    Raises:
        ConfigError: there was a sign of life just now.
    """
    alive = (flow_runs.c.status == Status.RUNNING) & (flow_runs.c.heartbeat_at > now - timedelta(seconds=stale_after_s))
    with reading(engine) as c:
        row = c.execute(select(flow_runs.c.project, flow_runs.c.pipe).where(alive).limit(1)).first()
    if row is not None:
        raise ConfigError(
            f"{row.project}/{row.pipe} is moving records: stop the platform first, then run this before it starts again"
        )


def end_runs(engine: Engine) -> int:
    """End flow runs that were under way in the backup, and give back what reruns had taken; returns how many there were."""
    with writing(engine) as c:
        running = list(c.scalars(select(flow_runs.c.id).where(flow_runs.c.status == Status.RUNNING)))
        ended = {"status": Status.FAILED, "error": RESTORED, "ended_at": flow_runs.c.heartbeat_at, "checkpoint": None}
        c.execute(update(flow_runs).where(flow_runs.c.status == Status.RUNNING).values(ended))
        taken = select(failures.c.lease_flow_run_id).where(failures.c.state == State.RETRYING).distinct()
        for flow_run_id in [one for one in c.scalars(taken) if one is not None]:
            statements.release(c, flow_run_id)
    return len(running)


def drop_tokens(engine: Engine) -> list[str]:
    """Forget all that sign-ins earned before the backup: it may have been replaced since; returns whose it was."""
    with writing(engine) as c:
        names = {*c.scalars(select(tokens.c.credential)), *c.scalars(select(sessions.c.credential))}
        c.execute(delete(tokens))
        c.execute(delete(sessions))
    return sorted(names)


def remove_connection(airflow: Engine, conn_id: str) -> bool:
    """Remove a connection from Airflow's database, by the maintenance connection; returns whether it was there."""
    connection = table("connection", column("conn_id"))
    with writing(airflow) as c:
        return bool(c.execute(delete(connection).where(connection.c.conn_id == conn_id)).rowcount)


def switch_off(engine: Engine) -> int:
    """Switch console logs off: one that was switched off since the backup would be on again."""
    with writing(engine) as c:
        return int(c.execute(delete(console_switches)).rowcount)


def tidy_console(console: SqlConsole, objects: Objects) -> int:
    """Close logs that nobody writes any more, and delete objects of which the database knows nothing: no plan would reach them."""
    for log in console.logs():
        if log.state == LogState.OPEN:
            console.end(log, 0, FAULT)
    return sum(objects.delete(name) for name in left_over(console, objects, None, None))


def mark_cursors(engine: Engine, now: datetime) -> int:
    """Mark every cursor as one that somebody has to look at; returns how many."""
    with writing(engine) as c:
        return int(c.execute(update(cursors).values(restored_at=now)).rowcount)


def restored_cursors(engine: Engine, project: str | None = None, pipe: str | None = None) -> list[RestoredCursor]:
    """Return the cursors that wait to be looked at."""
    asked = select(cursors).where(cursors.c.restored_at.is_not(None)).order_by(cursors.c.project, cursors.c.pipe, cursors.c.flow)
    if project is not None:
        asked = asked.where(cursors.c.project == project)
    if pipe is not None:
        asked = asked.where(cursors.c.pipe == pipe)
    with reading(engine) as c:
        return [RestoredCursor(FlowKey(row.project, row.pipe, row.flow), row.value, row.restored_at) for row in c.execute(asked)]


def keep_cursors(engine: Engine, keys: Iterable[FlowKey]) -> int:
    """Note that somebody has looked, and the values are right; returns how many waited for it."""
    with writing(engine) as c:
        return sum(
            c.execute(
                update(cursors).where(of_flow(cursors, key), cursors.c.restored_at.is_not(None)).values(restored_at=None)
            ).rowcount
            for key in keys
        )
