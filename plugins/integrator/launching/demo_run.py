"""The demo's first run: started once, waited for, and told in plain words."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from integrator.errors import IntegratorError
from integrator.launching.airflow_api import AirflowApi
from integrator.model.run import State
from integrator.settings import Settings
from integrator.store.database import open_engine
from integrator.store.journal import SqlJournal

PROJECT, PIPE = "demo", "orders"
DAG = f"{PROJECT}.{PIPE}"
APPEARS_S = 60.0
"""How long the demo's DAG may take to appear."""
RUNS_S = 180.0
"""How long its run may take."""


class DemoNotRunError(IntegratorError):
    """The demo pipe has not run to an end; the platform is up all the same."""


def first_run(api: AirflowApi, watch: Callable[[], None]) -> None:
    """Start the demo pipe unless Airflow already did, and wait for the end of its run.

    Args:
        api: the API server.
        watch: called while waiting; raises when a part has ended.

    Raises:
        DemoNotRunError: no run has ended; the message says what is in the way.
        requests.RequestException: the API server does not answer.
    """
    if not _wait(lambda: api.call("GET", f"/dags/{DAG}")[0] == 200, APPEARS_S, watch):
        raise DemoNotRunError(f"the DAG {DAG} has not appeared; Airflow's page of import errors says why")
    if not _runs(api):
        status, answer = api.call("POST", f"/dags/{DAG}/dagRuns", {"logical_date": datetime.now(UTC).isoformat()})
        if status >= 300:
            raise DemoNotRunError(f"the DAG {DAG} could not be started: {(answer or {}).get('detail', status)}")
    if not _wait(lambda: any(run["state"] in ("success", "failed") for run in _runs(api)), RUNS_S, watch):
        raise DemoNotRunError(f"the run of {DAG} has not ended yet; see it in Airflow")


def told(settings: Settings) -> list[str]:
    """Return what the journal says of the demo's first run, a line per flow: read, created, ..., failed.

    Raises:
        IntegratorError: the journal cannot be read.
    """
    run = min(_journal(settings).runs(PROJECT, PIPE), key=lambda row: row.started_at, default=None)
    return [in_words(flow, counts) for flow, counts in run.flows.items()] if run else []


def open_failures(settings: Settings) -> int:
    """Return how many of the demo's orders have failed and are not resolved.

    Raises:
        IntegratorError: the journal cannot be read.
    """
    return len(_journal(settings).failures(PROJECT, PIPE, states=[State.OPEN]))


def in_words(flow: str, counts: dict[str, Any]) -> str:
    """Return a flow's counts as a sentence: `orders: 2,000 read, 1,976 created, 24 failed`."""
    names = ("created", "updated", "deleted", "skipped", "waiting", "failed", "unknown")
    parts = [f"{counts.get('read', 0):,} read", *(f"{counts[name]:,} {name}" for name in names if counts.get(name))]
    return f"{flow}: {', '.join(parts)}"


def _journal(settings: Settings) -> SqlJournal:
    return SqlJournal(open_engine(settings.database_url), stale_after_s=settings.stale_after_s)


def _runs(api: AirflowApi) -> list[dict[str, Any]]:
    status, answer = api.call("GET", f"/dags/{DAG}/dagRuns?limit=10")
    return list(answer["dag_runs"]) if status == 200 else []


def _wait(done: Callable[[], bool], limit_s: float, watch: Callable[[], None]) -> bool:
    until = time.monotonic() + limit_s
    while not done():
        watch()
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
    return True
