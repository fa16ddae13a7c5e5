"""Deletes what a project's plan no longer keeps, in short steps, so that no lock lasts and no memory grows. Source: PRODUCT.md P8."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, exists, func, select

from integrator.errors import IntegratorError
from integrator.model.project import Plan
from integrator.model.retention import Expiring, Purged
from integrator.model.run import Status
from integrator.store.console import SqlConsole
from integrator.store.console_deleting import delete_logs
from integrator.store.console_files import Objects
from integrator.store.database import reading
from integrator.store.expiring import OPEN, Expiry
from integrator.store.in_steps import Steps
from integrator.store.projects import SqlProjects
from integrator.store.tables import console_logs, failures, flow_runs, runs, selection_ids, selections


class Purge:
    """Purges our own tables and console logs by plan.

    Args:
        engine: of the journal's database.
        objects: where console logs lie.
        plans: every plan there is, by name (`model.project.plans_of`).
        dry: whether to count only.
        notice: False takes open failures without having announced them: after a restore, they were announced before.
        tell: told of every announcement; one that it raises on is announced again by the next purge.
    """

    def __init__(
        self, engine: Engine, objects: Objects, plans: Mapping[str, Plan], *, dry: bool = False, notice: bool = True,
        now: datetime | None = None, tell: Callable[[Expiring], None] = lambda _one: None,
    ) -> None:  # fmt: skip
        self._engine, self._objects, self._plans = engine, objects, plans
        self._dry, self._notice, self._tell = dry, notice, tell
        self._now = now or datetime.now(UTC)
        self._console = SqlConsole(engine, lambda: self._now)
        self.steps = Steps(engine)

    def projects(self) -> list[str]:
        """Return every project of which anything is kept."""
        found: set[str] = set()
        with reading(self._engine) as c:
            for table in (runs, failures, selections, console_logs):
                found.update(c.scalars(select(table.c.project).distinct()))
        return sorted(found)

    def every(self, only: str | None = None) -> list[Purged]:
        """Purge every project, or one: whether its pipes are paused or not, and whether there are any left."""
        wants = SqlProjects(self._engine)
        return [self.one(project, wants.wants(project).plan) for project in self.projects() if only in (None, project)]

    def one(self, project: str, plan_name: str) -> Purged:
        """Purge one project. Where its plan is not there any more nothing is deleted: another plan might keep less."""
        told, plan = Purged(project, plan_name), self._plans.get(plan_name)
        if plan is None:
            told.fault = no_plan(project, plan_name, self._plans)
            return told
        expiry = Expiry(self._engine, project, plan, self._now)
        told.announced = expiry.due() if self._dry else expiry.announce(self._tell)
        for what, table, where in self._rules(project, plan, expiry):
            told.deleted[what] = self.steps.count(table, where) if self._dry else gone(self.steps, table, where)
        told.deleted["console_logs"] = self._logs(told, project, plan)
        told.deleted = {what: count for what, count in told.deleted.items() if count}
        told.expiring = expiry.announced()
        return told

    def _rules(self, project: str, plan: Plan, expiry: Expiry) -> Iterable[tuple[str, Any, ColumnElement[bool]]]:
        """Yield what goes, in an order in which nothing is left pointing at what is gone."""
        kept_runs, kept_failures = self._before(plan.run_days), self._before(plan.failure_days)
        settled = (failures.c.project == project) & failures.c.state.not_in(OPEN)
        yield "failures_settled", failures, settled & (failures.c.last_failed_at < kept_failures)
        yield "failures_expired", failures, expiry.expired(notice=self._notice)
        over = ended_before(kept_runs)
        yield "flow_runs", flow_runs, (flow_runs.c.project == project) & over
        alone = ~exists(select(flow_runs.c.id).where(flow_runs.c.run_id == runs.c.id, ~over))
        yield "runs", runs, (runs.c.project == project) & (runs.c.started_at < kept_runs) & alone
        old = (selections.c.project == project) & (selections.c.created_at < kept_runs)
        yield "selected_ids", selection_ids, selection_ids.c.selection_id.in_(select(selections.c.id).where(old))
        yield "selections", selections, old

    def _before(self, days: int) -> datetime:
        return self._now - timedelta(days=days)

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


def gone(steps: Steps, table: Any, where: ColumnElement[bool]) -> int:
    """Delete rows of a table of ours; returns how many."""
    keys = tuple(table.primary_key.columns.keys())
    return steps.walk(table, keys[0], where) if len(keys) == 1 else steps.delete(table, keys, where)


def ended_before(at: datetime) -> ColumnElement[bool]:
    """Return which flow runs are over, and were so before that."""
    ended = func.coalesce(flow_runs.c.ended_at, flow_runs.c.heartbeat_at)
    return (flow_runs.c.status != Status.RUNNING) & (ended < at)


def no_plan(project: str, plan: str, plans: Mapping[str, Plan]) -> str:
    """Return what is told of a project whose plan is not there."""
    return (
        f"project {project} has the plan {plan!r}, which there is not (known: {', '.join(plans)}); nothing of it was deleted. "
        f"Define it in [integrator] plans, or choose another: integrator project configure {project} --plan PLAN"
    )
