"""The upkeep's tasks: find what is due, rerun it. Heavy imports wait until a task runs, since the stub is parsed often."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

LANES = 4
"""Most tasks among which the flows that are due are dealt out; each reruns its own one after the other."""


class FindDue(BaseOperator):
    """Returns the flows with failures that are due again, dealt out to a few tasks: names only.

    :param dags: the folder that holds the projects.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, dags: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dags = dags

    def execute(self, context: Any) -> list[list[dict[str, str]]]:
        """Look, and log what kept a pipe from being looked at."""
        from integrator.engine.upkeep import due_flows
        from integrator.errors import IntegratorError
        from integrator.operators.flow_task import airflow_parts

        del context
        try:
            found = due_flows(airflow_parts().journal, Path(self.dags))
        except IntegratorError as fault:
            raise AirflowFailException(str(fault)) from None
        for problem in found.problems:
            self.log.warning("%s", problem)
        for one in found.flows:
            self.log.info("%s/%s, %s: %d due", one.key.project, one.key.pipe, one.key.flow, one.records)
        names = [{"project": one.key.project, "pipe": one.key.pipe, "flow": one.key.flow} for one in found.flows]
        return [names[lane::LANES] for lane in range(min(LANES, len(names)))]


class RerunDue(BaseOperator):
    """Reruns what is due of some flows. A flow that fails is logged, and the others go on.

    :param dags: the folder that holds the projects.
    :param flows: project, pipe and flow of each.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, dags: str, flows: list[dict[str, str]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dags, self.flows = dags, flows

    def execute(self, context: Any) -> dict[str, int]:
        """Rerun them; returns how many records were tried, and how many of them are in step now."""
        import asyncio

        from integrator.engine.upkeep import due_flows
        from integrator.errors import IntegratorError
        from integrator.model.run import FlowKey
        from integrator.operators.flow_task import airflow_parts, refuse_without_fernet_key

        del context
        told = {"read": 0, "failed": 0}
        try:
            refuse_without_fernet_key()
            parts = airflow_parts()
            found = due_flows(parts.journal, Path(self.dags), [FlowKey(**one) for one in self.flows])
        except IntegratorError as fault:
            raise AirflowFailException(str(fault)) from None
        for one in found.flows:
            try:
                counts = self._rerun(parts, one)
            except IntegratorError as fault:
                self.log.warning("%s/%s, %s: %s", one.key.project, one.key.pipe, one.key.flow, fault)
                continue
            except asyncio.CancelledError:
                raise AirflowException("interrupted; what was settled is noted") from None
            told["read"] += counts.read
            told["failed"] += counts.failed + counts.unknown
        return told

    def _rerun(self, parts: Any, one: Any) -> Any:
        import uuid

        from integrator.authoring.library import version_of
        from integrator.engine.move import Asked
        from integrator.engine.running import run_to_end
        from integrator.engine.upkeep import ACTOR
        from integrator.model.run import RunKey, Selection, Trigger

        run = RunKey(str(uuid.uuid4()), Trigger.RERUN, pipe_version=version_of(one.pipe.file), actor=ACTOR)
        plan = one.pipe.plans[one.key.flow]
        report = run_to_end(parts.move(plan, run, Asked(selection=Selection(due=one.due))))
        self.log.info(
            "%s/%s, %s: %d read, %d failed (%s)",
            one.key.project, one.key.pipe, one.key.flow, report.counts.read, report.counts.failed + report.counts.unknown, report.status.value,
        )  # fmt: skip
        return report.counts


class CheckExpectations(BaseOperator):
    """Fails with a line for each expectation of a pipe that is not met; attach a notifier to hear of it.

    :param dags: the folder that holds the projects.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, dags: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dags = dags

    def execute(self, context: Any) -> dict[str, int]:
        """Look; returns how many flows something is expected of."""
        from integrator.engine.expectations import look
        from integrator.errors import IntegratorError
        from integrator.operators.flow_task import airflow_parts

        del context
        try:
            looked = look(airflow_parts().journal, Path(self.dags))
        except IntegratorError as fault:
            raise AirflowFailException(str(fault)) from None
        for problem in looked.problems:
            self.log.warning("%s", problem)
        if looked.unmet:
            raise AirflowFailException("\n".join(["expectations that are not met:", *map(str, looked.unmet)]))
        return {"flows": looked.flows}


class PurgeExpired(BaseOperator):
    """Deletes what the projects' plans no longer keep of our own; logs counts, and fails where something could not be deleted.

    What Airflow keeps of the pipes' runs is out of a task's reach, and goes by `integrator.daily_purge`.
    """

    template_fields: Sequence[str] = ()

    def execute(self, context: Any) -> dict[str, int]:
        """Purge every project; returns how much went."""
        import os
        from functools import partial

        from integrator.errors import IntegratorError
        from integrator.model.project import plans_of
        from integrator.operators.flow_task import airflow_parts
        from integrator.settings import MAINTENANCE_VARIABLE
        from integrator.store.console_objects import objects_of
        from integrator.store.database import open_engine
        from integrator.store.purge import Purge

        del context
        if MAINTENANCE_VARIABLE in os.environ:
            raise AirflowFailException(f"{MAINTENANCE_VARIABLE} is set where tasks run, so that any task reaches Airflow's database; hand it to the service `retention` alone")  # fmt: skip
        try:
            parts = airflow_parts()
            engine = open_engine(parts.settings.database_url)
            told = Purge(
                engine, objects_of(parts.settings), plans_of(parts.settings.plans), tell=partial(self._announce, parts.settings)
            ).every()
            self._note(engine, parts, told)
        except IntegratorError as fault:
            raise AirflowFailException(str(fault)) from None
        for one in told:
            self.log.info("%s (%s): %s", one.project, one.plan, one.deleted or "nothing to delete")
        faults = [f"{one.project}: {one.fault}" for one in told if one.fault]
        if faults:
            raise AirflowFailException("\n".join(faults))
        return {
            "projects": len(told),
            "deleted": sum(sum(one.deleted.values()) for one in told),
            "announced": sum(each.count for one in told for each in one.announced),
            "expiring": sum(one.expiring for one in told),
        }

    def _announce(self, settings: Any, one: Any) -> None:
        from integrator.notifiers.alert import tell_expiring

        # Without their IDs: this log is kept longer than they are.
        self.log.warning(
            "%s/%s, %s: %d open failures go from %s on, unless they are rerun or ignored: integrator failures %s/%s",
            one.project, one.pipe, one.flow, one.count, one.goes_at.isoformat(timespec="minutes"), one.project, one.pipe,
        )  # fmt: skip

        tell_expiring(settings, one, self.log.warning)

    def _note(self, engine: Any, parts: Any, told: list[Any]) -> None:
        from integrator.engine.upkeep import ACTOR
        from integrator.store.audit import SqlAudit, heads_file
        from integrator.store.purge_notes import OURS, Who, note_purge

        settings = parts.settings
        audit = SqlAudit(engine, parts.hash_key, heads_file(settings.audit_log, settings.home))
        note_purge(engine, audit, Who(ACTOR, self.dag_id), OURS, told)
