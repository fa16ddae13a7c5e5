"""The failed records of one flow, as a task."""

from __future__ import annotations

from typing import Any

from integrator.engine.move import Asked
from integrator.errors import ConfigError
from integrator.model.run import Selection, Trigger
from integrator.operators.flow_task import FlowTask, last_try
from integrator.wiring import Parts

ALL, ONE_RUN, ONE_ERROR, THESE_IDS = "all open failures", "failures of one run", "failures of one error class", "these IDs"
CHOICES = (ALL, ONE_RUN, ONE_ERROR, THESE_IDS)
IDS_MAX = 1000
"""Most IDs that may be typed into Airflow's form, which keeps them in the run's conf; more go through a selection."""


class RerunFailed(FlowTask):
    """Moves exactly the records that failed, as the form says. Takes FlowTask's parameters."""

    def asked(self, context: Any, parts: Parts) -> Asked | None:
        """Return the selection that was made in the form, or by its ID; nothing for a flow that was not chosen."""
        params = context["params"]
        flow = params.get("flow") or self.flow
        if flow != self.flow:
            return None  # the form names another flow
        if params.get("selection"):
            _flow, ids = parts.journal.selection_ids(str(params["selection"]))
            return Asked(selection=Selection(entity_ids=ids), last_try=last_try(context))
        return Asked(selection=selection_of(params), last_try=last_try(context))

    def trigger_of(self, context: Any) -> Trigger:
        """Return rerun, whoever started it."""
        del context
        return Trigger.RERUN


def selection_of(params: Any) -> Selection:
    """Return the selection of the form.

    Raises:
        ConfigError: what the choice needs was not filled in.
    """
    which = params.get("which") or ALL
    if which == ONE_RUN:
        if not params.get("run_id"):
            raise ConfigError("give the run's ID, as `integrator runs` lists it")
        return Selection(run_id=str(params["run_id"]).strip())
    if which == ONE_ERROR:
        if not params.get("error"):
            raise ConfigError("give the error class, such as RecordRefusedError")
        return Selection(error=str(params["error"]).strip())
    if which == THESE_IDS:
        ids = tuple(dict.fromkeys(str(one).strip() for one in params.get("entity_ids") or () if str(one).strip()))
        if not ids or len(ids) > IDS_MAX:
            raise ConfigError(f"give 1 to {IDS_MAX} IDs, one a line")
        return Selection(entity_ids=ids)
    return Selection()
