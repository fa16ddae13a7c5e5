"""Which pipes have a console log, and which logs were written and deleted. What was logged itself lies in an object store."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, and_, delete, insert, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from integrator.errors import ConfigError
from integrator.model.console import ConsoleLog, Content, LogState, Switch
from integrator.model.project import ConsolePolicy
from integrator.store.database import reading, writing
from integrator.store.projects import SqlProjects
from integrator.store.tables import console_logs, console_switches

HOURS_MAX = 24 * 31
MB_MAX = 1024


def utc_now() -> datetime:
    """Return the instant."""
    return datetime.now(UTC)


class SqlConsole:
    """Keeps switches and logs in the journal's database. Raises as `store.database.ours`."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] = utc_now) -> None:
        self._engine, self._now = engine, now
        self._projects = SqlProjects(engine)

    # -- switches

    def enable(self, switch: Switch, hours: float) -> Switch:
        """Switch a pipe's console log on.

        Raises:
            ConfigError: the project's policy forbids it, or asks for a reason; or a bound is out of range.
        """
        wants = self._projects.wants(switch.project)
        if wants.console is ConsolePolicy.FORBID:
            raise ConfigError(f"project {switch.project} forbids console logs (integrator project configure --console)")
        if wants.asks_reason and not _reason(switch.reason):
            raise ConfigError(f"project {switch.project} asks for a reason: say it with --reason")
        if not 0 < hours <= HOURS_MAX or not 1 <= switch.max_mb <= MB_MAX:
            raise ConfigError(f"a console log is on for up to {HOURS_MAX} hours, and holds 1 to {MB_MAX} MB a run")
        if not switch.contents:
            raise ConfigError("a console log without any content is none; name at least one: " + ", ".join(Content))
        made = replace(switch, enabled_at=self._now(), until_at=self._now() + timedelta(hours=hours))
        values = {
            "contents": ",".join(sorted(made.contents)), "until_at": made.until_at, "max_mb": made.max_mb,
            "enabled_by": made.enabled_by[:250], "enabled_at": made.enabled_at, "reason": made.reason,
        }  # fmt: skip
        with writing(self._engine) as c:
            c.execute(delete(console_switches).where(_of_pipe(console_switches, made.project, made.pipe)))
            c.execute(insert(console_switches).values(project=made.project, pipe=made.pipe, **values))
        return made

    def disable(self, project: str, pipe: str) -> bool:
        """Switch it off, at once also for runs under way; returns whether it was on."""
        with writing(self._engine) as c:
            return bool(c.execute(delete(console_switches).where(_of_pipe(console_switches, project, pipe))).rowcount)

    def switch(self, project: str, pipe: str) -> Switch | None:
        """Return a pipe's switch while it is on and its project allows it: a production project none without a reason, whenever it was switched on."""
        with reading(self._engine) as c:
            row = c.execute(select(console_switches).where(_of_pipe(console_switches, project, pipe))).one_or_none()
        if row is None or row.until_at <= self._now():
            return None
        wants = self._projects.wants(project)
        allowed = wants.console is not ConsolePolicy.FORBID and (_reason(row.reason) or not wants.production)
        return _switch(row) if allowed else None

    def switches(self, project: str | None = None) -> list[Switch]:
        """Return what is switched on."""
        with reading(self._engine) as c:
            rows = c.execute(select(console_switches).where(console_switches.c.until_at > self._now())).all()
        return [_switch(row) for row in rows if project in (None, row.project)]

    # -- logs

    def begin(self, project: str, pipe: str, run_id: str, flow: str) -> ConsoleLog:
        """Note that a flow run's log begins; each attempt has one of its own."""
        where = (console_logs.c.run_id == run_id) & (console_logs.c.flow == flow)
        for _try in range(5):
            with reading(self._engine) as c:
                before = c.scalars(select(console_logs.c.attempt).where(where)).all()
            log = ConsoleLog(
                str(uuid.uuid4()), project, pipe, run_id, flow, max(before, default=0) + 1, LogState.OPEN, self._now(), None, 0, 0, 0, 0, None
            )  # fmt: skip
            values = {name: getattr(log, name) for name in ConsoleLog.__dataclass_fields__}
            with writing(self._engine) as c:
                made: Any = postgresql.insert(console_logs) if c.dialect.name == "postgresql" else sqlite.insert(console_logs)
                if c.execute(made.values(values).on_conflict_do_nothing()).rowcount:
                    return log
        raise ConfigError("the console log could not be begun: others begin it at the same time, again and again")

    def may_write(self, log: ConsoleLog) -> bool:
        """Tell whether the log was not deleted, and is still switched on."""
        with reading(self._engine) as c:
            state = c.scalar(select(console_logs.c.state).where(console_logs.c.id == log.id))
        return state == LogState.OPEN and self.switch(log.project, log.pipe) is not None

    def note(self, log: ConsoleLog, *, objects: int, size: int, lines: int) -> bool:
        """Note what was written; False when the log was deleted meanwhile, so that it has to go again."""
        values = {
            "objects": console_logs.c.objects + objects,
            "bytes": console_logs.c.bytes + size,
            "lines": console_logs.c.lines + lines,
        }
        with writing(self._engine) as c:
            mine = (console_logs.c.id == log.id) & (console_logs.c.state == LogState.OPEN)
            return bool(c.execute(update(console_logs).where(mine).values(**values)).rowcount)

    def end(self, log: ConsoleLog, dropped: int, fault: str | None) -> None:
        """Note that a log is complete, as far as it goes."""
        mine = (console_logs.c.id == log.id) & (console_logs.c.state == LogState.OPEN)
        values = {"state": LogState.CLOSED, "ended_at": self._now(), "dropped": dropped, "fault": fault}
        with writing(self._engine) as c:
            c.execute(update(console_logs).where(mine).values(**values))

    def logs(self, project: str | None = None, pipe: str | None = None, run_id: str | None = None, before: datetime | None = None,
             *, deleted: bool = False) -> list[ConsoleLog]:  # fmt: skip
        """Return logs, the newest first."""
        asked = and_(
            true() if project is None else console_logs.c.project == project,
            true() if pipe is None else console_logs.c.pipe == pipe,
            true() if run_id is None else console_logs.c.run_id == run_id,
            true() if before is None else console_logs.c.started_at < before,
            true() if deleted else console_logs.c.state != LogState.DELETED,
        )
        with reading(self._engine) as c:
            rows = c.execute(
                select(console_logs).where(asked).order_by(console_logs.c.started_at.desc(), console_logs.c.id)
            ).all()
        return [_log(row) for row in rows]

    def mark_deleted(self, log: ConsoleLog) -> None:
        """Note that a log is deleted, before its objects go: from now on nothing is written to it."""
        with writing(self._engine) as c:
            c.execute(
                update(console_logs).where(console_logs.c.id == log.id).values(state=LogState.DELETED, ended_at=self._now())
            )

    def forget(self, log: ConsoleLog) -> None:
        """Forget a deleted log, once nothing of it can come back."""
        with writing(self._engine) as c:
            c.execute(delete(console_logs).where(console_logs.c.id == log.id, console_logs.c.state == LogState.DELETED))


def _of_pipe(table: Any, project: str, pipe: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = (table.c.project == project) & (table.c.pipe == pipe)
    return found


def _reason(text: str | None) -> bool:
    return bool((text or "").strip())


def _switch(row: Row[Any]) -> Switch:
    contents = frozenset(Content(one) for one in row.contents.split(",") if one)
    return Switch(row.project, row.pipe, contents, row.until_at, row.max_mb, row.enabled_by, row.enabled_at, row.reason)


def _log(row: Row[Any]) -> ConsoleLog:
    values = {name: getattr(row, name) for name in ConsoleLog.__dataclass_fields__}
    return ConsoleLog(**{**values, "state": LogState(row.state)})
