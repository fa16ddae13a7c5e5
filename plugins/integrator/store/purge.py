"""Deletes what a project's plan no longer keeps, a thousand rows at a time, so that no lock lasts and no memory grows. Source: PRODUCT.md P8."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, delete, exists, func, select

from integrator.errors import IntegratorError
from integrator.model.project import DEFAULT_PLAN, PLANS, Plan
from integrator.model.run import State, Status
from integrator.store.console import SqlConsole
from integrator.store.console_deleting import delete_logs
from integrator.store.console_files import Objects
from integrator.store.database import reading, writing
from integrator.store.projects import SqlProjects
from integrator.store.tables import console_logs, failures, flow_runs, runs, selection_ids, selections

AT_ONCE = 1000
ANNOUNCED = timedelta(hours=48)
"""How long before its end an open failure is announced."""
OPEN = (State.OPEN, State.WAITING, State.RETRYING)


@dataclass(slots=True)
class Purged:
    """What went of one project, or would go.

    Attributes:
        deleted: how many of what.
        expiring: open failures that go within 48 hours.
        fault: why something could not be deleted.
    """

    project: str
    plan: str
    deleted: dict[str, int] = field(default_factory=dict)
    expiring: int = 0
    fault: str | None = None


class Purge:
    """Purges by plan.

    Args:
        engine: of the journal's database.
        objects: where console logs lie.
        dry: whether to count only.
    """

    def __init__(self, engine: Engine, objects: Objects, *, dry: bool = False, now: datetime | None = None) -> None:
        self._engine, self._objects, self._dry = engine, objects, dry
        self._now = now or datetime.now(UTC)
        self._console = SqlConsole(engine, lambda: self._now)

    def projects(self) -> list[str]:
        """Return every project of which anything is kept."""
        found: set[str] = set()
        with reading(self._engine) as c:
            for table in (runs, failures, selections, console_logs):
                found.update(c.scalars(select(table.c.project).distinct()))
        return sorted(found)

    def every(self) -> list[Purged]:
        """Purge every project, whether its pipes are paused or not."""
        wants = SqlProjects(self._engine)
        return [self.one(project, wants.wants(project).plan) for project in self.projects()]

    def one(self, project: str, plan_name: str) -> Purged:
        """Purge one project."""
        plan = PLANS.get(plan_name, PLANS[DEFAULT_PLAN])
        told = Purged(project, plan_name)
        told.expiring = self._expiring(project, plan)
        for what, table, where in self._rules(project, plan):
            told.deleted[what] = self._counted(table, where) if self._dry else self._deleted(table, where)
        told.deleted["console_logs"] = self._logs(told, project, plan)
        told.deleted = {what: count for what, count in told.deleted.items() if count}
        return told

    def _rules(self, project: str, plan: Plan) -> Iterable[tuple[str, Any, ColumnElement[bool]]]:
        """Yield what goes, in an order in which nothing is left pointing at what is gone."""
        kept_runs, kept_failures = self._before(plan.run_days), self._before(plan.failure_days)
        of = failures.c.project == project
        yield "failures_settled", failures, of & failures.c.state.not_in(OPEN) & (failures.c.last_failed_at < kept_failures)
        yield "failures_expired", failures, of & failures.c.state.in_(OPEN) & (failures.c.last_failed_at < kept_failures)
        at = func.coalesce(flow_runs.c.ended_at, flow_runs.c.heartbeat_at)
        over = (flow_runs.c.status != Status.RUNNING) & (at < kept_runs)
        yield "flow_runs", flow_runs, (flow_runs.c.project == project) & over
        alone = ~exists(select(flow_runs.c.id).where(flow_runs.c.run_id == runs.c.id, ~over))
        yield "runs", runs, (runs.c.project == project) & (runs.c.started_at < kept_runs) & alone
        old = (selections.c.project == project) & (selections.c.created_at < kept_runs)
        yield "selected_ids", selection_ids, selection_ids.c.selection_id.in_(select(selections.c.id).where(old))
        yield "selections", selections, old

    def _before(self, days: int) -> datetime:
        return self._now - timedelta(days=days)

    def _expiring(self, project: str, plan: Plan) -> int:
        soon = self._before(plan.failure_days) + ANNOUNCED
        where = (failures.c.project == project) & failures.c.state.in_(OPEN) & (failures.c.last_failed_at < soon)
        return self._counted(failures, where & (failures.c.last_failed_at >= self._before(plan.failure_days)))

    def _counted(self, table: Any, where: ColumnElement[bool]) -> int:
        with reading(self._engine) as c:
            return int(c.scalar(select(func.count()).select_from(table).where(where)) or 0)

    def _deleted(self, table: Any, where: ColumnElement[bool]) -> int:
        """Delete in steps, each a short transaction of its own; returns how many rows went."""
        keys = list(table.primary_key.columns)
        some: Select[Any] = select(*keys).where(where).limit(AT_ONCE)
        count = 0
        while True:
            with writing(self._engine) as c:
                gone = c.execute(delete(table).where(_among(keys, some))).rowcount
            count += gone
            if gone < AT_ONCE:
                return count

    def _logs(self, told: Purged, project: str, plan: Plan) -> int:
        old = self._console.logs(project, before=self._before(plan.console_days), deleted=True)
        if self._dry:
            return len(old)
        try:
            delete_logs(self._console, self._objects, old)
        except IntegratorError as fault:
            told.fault = str(fault)  # tried again by the next purge: what was marked stays marked
            return 0
        for log in old:
            self._console.forget(log)
        return len(old)


def _among(keys: list[Any], some: Select[Any]) -> ColumnElement[bool]:
    if len(keys) == 1:
        found: ColumnElement[bool] = keys[0].in_(some)
        return found
    from sqlalchemy import tuple_

    return tuple_(*keys).in_(some)
