"""Deletes by hand: a project's, a pipe's or a run's, older than a time or up to now. Source: PRODUCT.md P8."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, exists, select, true

from integrator.errors import ConfigError
from integrator.model.run import Status
from integrator.store.airflow_purge import AirflowPurge
from integrator.store.console import SqlConsole
from integrator.store.console_deleting import delete_logs
from integrator.store.console_files import Objects
from integrator.store.database import reading
from integrator.store.in_steps import Steps
from integrator.store.purge import ended_before, gone
from integrator.store.tables import failures, flow_runs, runs, selection_ids, selections


@dataclass(frozen=True, slots=True)
class Chosen:
    """What somebody wants to have deleted.

    Attributes:
        before: only what is older; usually now.
        dag_id, dag_run_id: Airflow's names of the run, where it was Airflow's.
    """

    project: str
    pipe: str | None
    run_id: str | None
    before: datetime
    dag_id: str | None = None
    dag_run_id: str | None = None


def choose(engine: Engine, project: str | None, pipe: str | None, run_id: str | None, before: datetime) -> Chosen:
    """Return what is meant, with the names that a run's ID stands for.

    Raises:
        ConfigError: the run is not known, or of another pipe.
    """
    if run_id is None:
        assert project is not None  # noqa: S101 - the command asks for one of the two
        return Chosen(project, pipe, None, before)
    with reading(engine) as c:
        row = c.execute(select(runs).where(runs.c.id == run_id)).one_or_none()
    if row is None or project not in (None, row.project) or pipe not in (None, row.pipe):
        of = f" of {'/'.join(filter(None, (project, pipe)))}" if project else ""
        raise ConfigError(f"there is no run {run_id}{of}; `integrator runs` lists them")
    return Chosen(row.project, row.pipe, run_id, before, row.dag_id, row.dag_run_id)


class Deletion:
    """One deletion by hand; may be begun again at any time.

    Args:
        engine: of the journal.
        objects: where console logs lie.
        dry: whether to count only.
    """

    def __init__(self, engine: Engine, objects: Objects, chosen: Chosen, *, dry: bool = False) -> None:
        self._engine, self._objects, self._chosen, self._dry = engine, objects, chosen, dry
        self._steps, self._console = Steps(engine), SqlConsole(engine)

    def ours(self) -> dict[str, int]:
        """Delete our rows and console logs; what still goes on stays. Returns how much of what."""
        told = {"console_logs": self._logs()}
        for what, table, where in self._rules():
            told[what] = self._steps.count(table, where) if self._dry else gone(self._steps, table, where)
        return {what: count for what, count in told.items() if count}

    def airflows(self, airflow: AirflowPurge) -> dict[str, int]:
        """Delete what Airflow keeps of the runs; returns how much of what."""
        chosen = self._chosen
        dags = airflow.dags().get(chosen.project, [])
        if chosen.run_id is not None:
            dags = [dag for dag in dags if dag.dag_id == chosen.dag_id]
        elif chosen.pipe is not None:
            name = f"{chosen.project}.{chosen.pipe}"
            dags = [dag for dag in dags if dag.dag_id in (name, f"{name}.rerun")]
        return airflow.scope(dags, chosen.before, chosen.dag_run_id) if dags else {}

    def going(self) -> int:
        """Return how many flow runs still go on, and stay."""
        return self._steps.count(flow_runs, self._of(flow_runs, "run_id") & (flow_runs.c.status == Status.RUNNING))

    def open_failures(self) -> int:
        """Return how many of the failures could still be rerun."""
        return self._steps.count(failures, self._failures() & failures.c.state.in_(("open", "waiting", "retrying")))

    def _of(self, table: Any, run: str | None) -> ColumnElement[bool]:
        chosen = self._chosen
        return and_(
            table.c.project == chosen.project,
            true() if chosen.pipe is None else table.c.pipe == chosen.pipe,
            true() if chosen.run_id is None or run is None else table.c[run] == chosen.run_id,
        )

    def _failures(self) -> ColumnElement[bool]:
        return self._of(failures, "run_id") & (failures.c.last_failed_at < self._chosen.before)

    def _rules(self) -> Iterator[tuple[str, Any, ColumnElement[bool]]]:
        before = self._chosen.before
        yield "failures", failures, self._failures()
        over = ended_before(before)
        yield "flow_runs", flow_runs, self._of(flow_runs, "run_id") & over
        alone = ~exists(select(flow_runs.c.id).where(flow_runs.c.run_id == runs.c.id, ~over))
        yield "runs", runs, self._of(runs, "id") & (runs.c.started_at < before) & alone
        if self._chosen.run_id is None:
            old = self._of(selections, None) & (selections.c.created_at < before)
            yield "selected_ids", selection_ids, selection_ids.c.selection_id.in_(select(selections.c.id).where(old))
            yield "selections", selections, old

    def _logs(self) -> int:
        chosen = self._chosen
        logs = self._console.logs(chosen.project, chosen.pipe, chosen.run_id, chosen.before, deleted=True)
        if not self._dry:
            delete_logs(self._console, self._objects, logs)
            for log in logs:
                self._console.forget(log)
        return len(logs)
