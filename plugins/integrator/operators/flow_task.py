"""What the operators share: the checks at the door, the parts, and errors turned into Airflow's without their origin."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.sdk import BaseHook, BaseOperator, Variable
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException, AirflowRescheduleException
from airflow.sdk.log import mask_secret
from cryptography.fernet import Fernet

from integrator.authoring.checking import CheckedPipe
from integrator.authoring.library import find_pipe, version_of
from integrator.engine.move import Asked
from integrator.engine.running import run_to_end
from integrator.errors import ConfigError, IntegratorError, LaterError, TryAgainError
from integrator.hooks.integrator_hook import credential_of, load_settings
from integrator.model.credential import Credential
from integrator.model.run import COUNT_NAMES, FlowReport, RunKey, Status, Trigger
from integrator.wiring import Parts, for_airflow

PARKS_MAX = 50
"""How often one try of a task gives its worker back for a long wait; after that a wait costs one of its retries."""
PARK_MIN_S = 10.0
XCOM = tuple(name for name in COUNT_NAMES if name not in ("throttled_s", "bytes_read", "bytes_sent"))


class FlowTask(BaseOperator):
    """Base of the operators that run one flow.

    :param project: the pipe's project.
    :param pipe: the pipe.
    :param flow: the flow in it.
    :param dags: the folder that holds the projects.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, project: str, pipe: str, flow: str, dags: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project, self.pipe, self.flow, self.dags = project, pipe, flow, dags

    def asked(self, context: Any, parts: Parts) -> Asked | None:
        """Return what this task is to move, or None for nothing."""
        raise NotImplementedError

    def trigger_of(self, context: Any) -> Trigger:
        """Return what started the run."""
        raise NotImplementedError

    def execute(self, context: Any) -> dict[str, Any]:
        """Move the records; returns numbers and the run's ID, never a record."""
        asked: Asked | None = None
        try:
            refuse_without_fernet_key()
            parts = airflow_parts()
            asked = self.asked(context, parts)
            if asked is None:
                return {}
            asked = replace(asked, later_s=longest_park_s(context, parts.settings.park_max_s))
            checked = find_pipe(Path(self.dags), self.project, self.pipe)
            report = run_to_end(parts.move(checked.plans[self.flow], self._run_key(context, checked), asked))
        except LaterError as fault:
            raise self._parked(fault, asked.later_s if asked else 0.0) from None
        except TryAgainError as fault:
            raise AirflowException(str(fault)) from None
        except IntegratorError as fault:
            raise AirflowFailException(str(fault)) from None
        except asyncio.CancelledError:
            raise AirflowException("interrupted; what was settled is noted") from None
        return self._told(report, shadow=checked.plans[self.flow].spec.shadow)

    def _parked(self, fault: LaterError, longest_s: float) -> AirflowException:
        """Return what lets Airflow run this task again once the wait is over, with its worker free and no try used up."""
        if not longest_s:
            return AirflowException(f"{fault}; a retry is used for it")
        if fault.after_s > longest_s:
            return AirflowFailException(f"{fault}; that is longer than [integrator] park_max_s ({longest_s:,.0f} s) allows")
        wait_s = max(fault.after_s, PARK_MIN_S)
        self.log.info("%s: %s; the worker is given back for %s s, and no retry is used", self.flow, fault, f"{wait_s:,.0f}")
        return AirflowRescheduleException(datetime.now(UTC) + timedelta(seconds=wait_s))

    def _run_key(self, context: Any, checked: CheckedPipe) -> RunKey:
        dag_run = context["dag_run"]
        return RunKey(
            str(uuid.uuid4()), self.trigger_of(context), dag_run.dag_id, dag_run.run_id, None, version_of(checked.file), "airflow"
        )

    def _told(self, report: FlowReport, *, shadow: bool = False) -> dict[str, Any]:
        counts = report.counts.as_dict()
        words = ", ".join(f"{counts[name]:,} {name}" for name in XCOM[:8] if counts[name] or name == "read")
        status = f"shadow: nothing was written, {report.status.value}" if shadow else report.status.value
        self.log.info("%s: %s (%s, %.1f s)", self.flow, words, status, report.seconds)
        if report.status is Status.FAILED:
            raise AirflowFailException(
                f"{self.flow}: {words}; more than the flow tolerates. Their IDs are kept: rerun them with {self.project}.{self.pipe}.rerun"
            )
        return {"run_id": report.run_id, "status": report.status.value, **{name: counts[name] for name in XCOM}}


def last_try(context: Any) -> bool:
    """Tell whether Airflow will not try this task again."""
    task_instance = context["ti"]
    return bool(task_instance.try_number > task_instance.max_tries)


def longest_park_s(context: Any, park_max_s: float) -> float:
    """Return the longest wait for which this task may give its worker back, or 0 when it has done so often enough."""
    return park_max_s if int(context.get("task_reschedule_count") or 0) < PARKS_MAX else 0.0


def refuse_without_fernet_key() -> None:
    """Refuse to open credentials that would be kept as plain text.

    A worker that was given a key of its own for tokens has none of Airflow's: credentials come to it from the API server, which
    does not start without.

    Raises:
        ConfigError: there is no Fernet key, or it is none.
    """
    own = load_settings().token_key
    try:
        for one in (own or conf.get("core", "fernet_key", fallback="") or "").split(","):
            Fernet(one.strip())
    except ValueError:
        which = "[integrator] token_key is" if own else "[core] fernet_key is missing or"
        cure = "AIRFLOW__INTEGRATOR__TOKEN_KEY" if own else "AIRFLOW__CORE__FERNET_KEY"
        raise ConfigError(f"{which} not a Fernet key, so credentials or tokens would be kept as plain text; set {cure}") from None


def airflow_parts() -> Parts:
    """Return the parts of a task: Airflow's connections, and the journal's own database.

    Raises:
        ConfigError: the journal's database is not set; a task cannot reach Airflow's.
    """
    settings = load_settings()
    if not settings.sql_alchemy_conn:
        raise ConfigError(
            "[integrator] sql_alchemy_conn is not set; tasks cannot reach Airflow's database, so the journal needs its own URL"
        )
    return for_airflow(settings, get_credential, get_variable, conf.get("core", "fernet_key", fallback="") or "", mask_secret)


def get_credential(project: str, name: str) -> Credential | None:
    """Return a project's credential from Airflow's store, or None when there is none."""
    try:
        return credential_of(BaseHook.get_connection(f"{project}__{name}"))
    except AirflowNotFoundException:
        return None


def get_variable(project: str, name: str) -> str | None:
    """Return a project variable's text from Airflow, or None when it is not set."""
    found = Variable.get(f"{project}__{name}", default=None)
    return None if found is None else str(found)
