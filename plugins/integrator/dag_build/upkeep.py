"""The DAG of what the platform does by itself. Parsing it reads no pipe and opens no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, DeltaTriggerTimetable

from integrator.operators.upkeep import CheckExpectations, FindDue, PurgeExpired, RerunDue

DAG_ID = "integrator.upkeep"
START = datetime(2025, 1, 1, tzinfo=UTC)
EVERY = timedelta(minutes=5)
RETENTION_ID = "integrator.retention"


def build(stub: str) -> DAG:
    """Return the DAG for a stub in the folder of the projects."""
    dags = str(Path(stub).resolve().parent)
    dag = DAG(
        DAG_ID,
        description="Reruns failures that are due, and tells which expectations of pipes are not met",
        schedule=DeltaTriggerTimetable(EVERY),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags={"integrator"},
        default_args={"owner": "integrator", "retries": 0},
    )
    with dag:
        find = FindDue(task_id="find_due", dags=dags)
        RerunDue.partial(task_id="rerun_due", dags=dags).expand(flows=find.output)
        CheckExpectations(task_id="expectations", dags=dags)
    return dag


def build_retention() -> DAG:
    """Return the DAG that deletes, once a day, what the projects' plans no longer keep."""
    dag = DAG(
        RETENTION_ID,
        description="Deletes runs, failures and console logs that are older than their project's plan keeps them",
        schedule="17 2 * * *",
        start_date=START,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags={"integrator"},
        default_args={"owner": "integrator", "retries": 2, "retry_delay": timedelta(minutes=10)},
    )
    with dag:
        PurgeExpired(task_id="purge")
    return dag
