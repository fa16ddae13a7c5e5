"""Purges what Airflow keeps of our pipes' runs: rows, and files of task logs. Source: docs/decisions/043."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, select

from integrator.errors import IntegratorError
from integrator.model.project import Plan
from integrator.model.retention import Purged
from integrator.store.airflow_dags import PLATFORM, OurDag, our_dags
from integrator.store.airflow_rows import OVER, AirflowRows, Scope
from integrator.store.airflow_tables import TABLES
from integrator.store.database import reading
from integrator.store.projects import SqlProjects
from integrator.store.purge import no_plan
from integrator.store.task_logs import TaskLogs


class AirflowPurge:
    """Purges by plan, or one scope by hand.

    Args:
        airflow: of Airflow's database, by the maintenance connection.
        journal: of ours, which knows the projects' plans.
        logs: Airflow's folder of logs; None where it is not known.
        plans: every plan there is.
        platform_plan: plan of the platform's own DAGs.
    """

    def __init__(self, airflow: Engine, journal: Engine, logs: Path | None, plans: Mapping[str, Plan], platform_plan: str, *,
                 dry: bool = False, now: datetime | None = None) -> None:  # fmt: skip
        self._airflow, self._journal, self._plans, self._platform_plan = airflow, journal, plans, platform_plan
        self._now = now or datetime.now(UTC)
        self.rows = AirflowRows(airflow, dry=dry)
        self._logs = None if logs is None else TaskLogs(logs, dry=dry)

    def dags(self) -> dict[str, list[OurDag]]:
        """Return our DAGs by project."""
        found: dict[str, list[OurDag]] = {}
        for dag in our_dags(self._airflow, self._journal):
            found.setdefault(dag.project, []).append(dag)
        return found

    def every(self, only: str | None = None) -> list[Purged]:
        """Purge every project's rows, or one's."""
        wants = SqlProjects(self._journal)
        return [
            self._one(project, dags, self._platform_plan if project == PLATFORM else wants.wants(project).plan)
            for project, dags in self.dags().items()
            if only in (None, project)
        ]

    def _one(self, project: str, dags: list[OurDag], plan_name: str) -> Purged:
        told, plan = Purged(project, plan_name), self._plans.get(plan_name)
        if plan is None:
            told.fault = no_plan(project, plan_name, self._plans)
            return told
        try:
            told.deleted = self.scope(dags, self._now - timedelta(days=plan.run_days))
        except IntegratorError as fault:
            told.fault = str(fault)
        return told

    def scope(self, dags: Sequence[OurDag], before: datetime, run_id: str | None = None) -> dict[str, int]:
        """Delete what these DAGs left before a time; returns how much of what."""
        names = [dag.dag_id for dag in dags]
        told = self.rows.purge(Scope(names, [dag.dag_id for dag in dags if dag.lives], before, run_id))
        if self._logs is not None and (files := self._logs.purge(names, before, self._going(names), run_id)):
            told["log_files"] = files
        return told

    def _going(self, names: Iterable[str]) -> set[tuple[str, str]]:
        d = TABLES["dag_run"]
        with reading(self._airflow) as c:
            rows = c.execute(select(d.c.dag_id, d.c.run_id).where(d.c.dag_id.in_(list(names)), d.c.state.not_in(OVER)))
            return {(row.dag_id, row.run_id) for row in rows}
