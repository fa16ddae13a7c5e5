"""One flow of a pipe, as a task."""

from __future__ import annotations

from typing import Any

from integrator.engine.move import Asked
from integrator.model.run import Trigger
from integrator.operators.flow_task import FlowTask, last_try
from integrator.wiring import Parts


class MoveRecords(FlowTask):
    """Moves what is new since the last run. Takes FlowTask's parameters."""

    def asked(self, context: Any, parts: Parts) -> Asked:
        """Return: whatever the cursor says is new."""
        del parts
        return Asked(last_try=last_try(context))

    def trigger_of(self, context: Any) -> Trigger:
        """Return manual for a run that a person or the API started, else schedule."""
        return Trigger.MANUAL if str(context["dag_run"].run_type).endswith("manual") else Trigger.SCHEDULE
