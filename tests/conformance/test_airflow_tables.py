"""Airflow's tables as its models declare them: whatever tells of a run is purged, or named with the reason why it stays."""

from __future__ import annotations

from integrator.store.airflow_tables import BY_AGE, OF_BACKFILL, OF_RUN, OF_VERSION, STAYS, TABLES
from tests.services.airflow_schema import Schema

TELLS = {"dag_id", "run_id", "dag_run_id", "dagrun_id", "ti_id", "ti_history_id", "dag_version_id"}
RUNS = {
    "dag",
    "dag_run",
    "task_instance",
    "task_instance_history",
    "dag_version",
    "serialized_dag",
    "backfill",
    "deadline",
    "asset_event",
}
PURGED = {rule.table for rule in (*OF_RUN, *BY_AGE)} | {name for name, _ in (*OF_VERSION, *OF_BACKFILL)}


def test_every_table_that_tells_of_dags_or_runs_is_purged_or_stays_for_a_reason(airflow_schema: Schema) -> None:
    telling = {
        name
        for name, table in airflow_schema.tables.items()
        if TELLS & {*table["columns"]}
        or RUNS & {*table["points_at"]}
        or any(c.endswith(("_dag_id", "_run_id")) for c in table["columns"])
    }
    assert telling - PURGED - {*STAYS} == set()
    assert {*STAYS} & PURGED == set()
    assert {*STAYS} - telling == set()


def test_we_name_only_what_airflow_has(airflow_schema: Schema) -> None:
    for name, table in TABLES.items():
        assert {column.name for column in table.columns} - {*airflow_schema.tables[name]["columns"]} == set(), name
