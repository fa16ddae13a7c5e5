"""All that is kept of one project, to be deleted with it. Source: PRODUCT.md P8."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine

from integrator.store.airflow_purge import AirflowPurge
from integrator.store.console_files import Objects
from integrator.store.deleting import Deletion, choose
from integrator.store.forgetting import forget_project
from integrator.store.ledger import ALL, Deleted, Ledger


@dataclass(frozen=True, slots=True)
class KeptOfProject:
    """What a project's end takes.

    Args:
        objects: where console logs lie.
        airflow: purge of Airflow's rows; None where this process has no way to them, so that they stay until the daily purge.
        now: only what was there by then.
    """

    engine: Engine
    objects: Objects
    airflow: AirflowPurge | None
    project: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def going(self) -> int:
        """Return how many flow runs go on."""
        return self._deletion().going()

    def erase(self, by: str) -> dict[str, int]:
        """Delete runs, failures, selections, console logs, and Airflow's rows; the deletion is remembered before it begins."""
        Ledger(self.objects).note(Deleted(ALL, self.project, self.now, by))
        deletion = self._deletion()
        of_airflow = deletion.airflows(self.airflow) if self.airflow else {}  # first: ours say which run of Airflow's is meant
        return {**deletion.ours(), **{f"airflow_{what}": count for what, count in of_airflow.items()}}

    def forget(self) -> None:
        """Forget what the project wants, and every other row of it but the audit's."""
        forget_project(self.engine, self.project)

    def _deletion(self) -> Deletion:
        return Deletion(self.engine, self.objects, choose(self.engine, self.project, None, None, self.now))
