"""The DAG of what the platform does by itself. Parsing it reads no pipe and opens no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, DeltaTriggerTimetable

from integrator.operators.upkeep import CheckExpectations, FindDue, RerunDue

DAG_ID = "integrator.upkeep"
START = datetime(2025, 1, 1, tzinfo=UTC)
EVERY = timedelta(minutes=5)


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
