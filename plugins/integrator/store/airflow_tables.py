"""Airflow's tables, as far as rows in them belong to DAGs: which rows go with a run, which by their age, and which stay and why.

Airflow is not imported here: the columns are named as Airflow 3.3 names them, and a test holds its models against this file,
so that a table of a later Airflow that tells of runs cannot be overlooked.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import column, table

from integrator.store.columns import UtcDateTime

ARCHIVE_PREFIXES = ("_airflow_deleted__", "_xcom_archive")
"""Tables into which `airflow db clean` and an upgrade from Airflow 2 copy rows."""


class Through(StrEnum):
    """By what a row says which run it belongs to."""

    RUN = "dag_run.id"
    PAIR = "dag_run's dag_id and run_id"
    TASK = "task_instance.id"
    TASK_HISTORY = "task_instance_history.task_instance_id"
    DEADLINE = "deadline.callback_id"


class OfRun(NamedTuple):
    """Rows that go with their run.

    Attributes:
        columns: those that name the run.
        keys: the primary key.
    """

    table: str
    through: Through
    columns: tuple[str, ...]
    keys: tuple[str, ...]


class ByAge(NamedTuple):
    """Rows that name a DAG and a time, and go once that is past.

    Attributes:
        dag: column with the DAG's ID.
        at: column with the time.
        run: column with the run's ID, where there is one.
        pending: column that must be set, or the row is still waited for.
        awaited_by: column that names a run which is still to be made of the row.
    """

    table: str
    dag: str
    at: str
    keys: tuple[str, ...]
    run: str | None = None
    pending: str | None = None
    awaited_by: str | None = None


_TASK = ("dag_id", "task_id", "run_id", "map_index")

OF_RUN = (
    OfRun("task_instance_note", Through.TASK, ("ti_id",), ("ti_id",)),
    OfRun("hitl_detail", Through.TASK, ("ti_id",), ("ti_id",)),
    OfRun("hitl_detail_history", Through.TASK_HISTORY, ("ti_history_id",), ("ti_history_id",)),
    OfRun("task_reschedule", Through.TASK, ("ti_id",), ("id",)),
    OfRun("rendered_task_instance_fields", Through.PAIR, ("dag_id", "run_id"), _TASK),
    OfRun("task_map", Through.PAIR, ("dag_id", "run_id"), _TASK),
    OfRun("xcom", Through.PAIR, ("dag_id", "run_id"), ("dag_run_id", "task_id", "map_index", "key")),
    OfRun("task_state_store", Through.RUN, ("dag_run_id",), ("id",)),
    OfRun("task_instance_history", Through.PAIR, ("dag_id", "run_id"), ("task_instance_id",)),
    OfRun("task_instance", Through.PAIR, ("dag_id", "run_id"), ("id",)),
    OfRun("callback", Through.DEADLINE, ("id",), ("id",)),  # which takes its deadline with it
    OfRun("dagrun_asset_event", Through.RUN, ("dag_run_id",), ("dag_run_id", "event_id")),
    OfRun("dag_run_note", Through.RUN, ("dag_run_id",), ("dag_run_id",)),
    OfRun("asset_partition_dag_run", Through.RUN, ("created_dag_run_id",), ("id",)),
)
"""In an order in which nothing is left pointing at what is gone; `dag_run` itself comes last."""

BY_AGE = (
    ByAge("log", "dag_id", "dttm", ("id",), run="run_id"),
    ByAge("job", "dag_id", "latest_heartbeat", ("id",), pending="end_date"),
    ByAge("asset_event", "source_dag_id", "timestamp", ("id",), run="source_run_id"),
    ByAge("asset_dag_run_queue", "target_dag_id", "created_at", ("asset_id", "target_dag_id")),
    ByAge("asset_state_store", "last_updated_by_dag_id", "updated_at", ("asset_id", "key"), run="last_updated_by_run_id"),
    ByAge("partitioned_asset_key_log", "target_dag_id", "created_at", ("id",),
          awaited_by="asset_partition_dag_run_id"),
)  # fmt: skip

OF_VERSION = (
    ("deadline_alert", ("id",)),
    ("serialized_dag", ("id",)),
    ("dag_code", ("id",)),
    ("dag_version", ("id",)),
)
"""What a DAG looked like once: goes when it is old, is not the newest, and no run that stays was made from it."""

OF_BACKFILL = (("backfill_dag_run", ("id",)), ("backfill", ("id",)))

STAYS = {
    "dag": "what there is now, and whether it is paused; the scheduler works by it",
    "dag_tag": "what there is now",
    "dag_owner_attributes": "what there is now",
    "dag_favorite": "a person's choice, and of no run",
    "dag_warning": "what is wrong now; Airflow removes it",
    "dag_schedule_asset_reference": "what there is now",
    "dag_schedule_asset_alias_reference": "what there is now",
    "dag_schedule_asset_name_reference": "what there is now",
    "dag_schedule_asset_uri_reference": "what there is now",
    "task_inlet_asset_reference": "what there is now",
    "task_outlet_asset_reference": "what there is now",
    "dag_run": "goes last, by a rule of its own: the newest scheduled run of a DAG stays, without its tasks",
    "deadline": "goes with its callback",
    "asset_alias_asset_event": "goes with its asset event",
}
"""Tables that name DAGs, runs or tasks, and need no rule."""

_COLUMNS = {
    "dag_run": ("id", "dag_id", "run_id", "state", "run_type", "backfill_id", "created_dag_version_id"),
    "task_instance": ("id", "dag_id", "run_id", "dag_version_id"),
    "task_instance_history": ("task_instance_id", "dag_id", "run_id", "dag_version_id"),
    "dag_version": ("id", "dag_id"),
    "serialized_dag": ("id", "dag_version_id"),
    "dag_code": ("id", "dag_version_id"),
    "deadline_alert": ("id", "serialized_dag_id"),
    "deadline": ("id", "dagrun_id", "callback_id"),
    "backfill": ("id", "dag_id"),
    "backfill_dag_run": ("id", "backfill_id"),
    "dag": ("dag_id", "is_stale"),
    "dag_tag": ("dag_id", "name"),
}
_TIMES = {
    "dag_run": ("end_date", "start_date", "run_after", "logical_date"),
    "dag_version": ("created_at",),
    "backfill": ("completed_at",),
}


def _made() -> dict[str, Any]:
    named: dict[str, set[str]] = {name: set(columns) for name, columns in _COLUMNS.items()}
    times: dict[str, set[str]] = {name: set(columns) for name, columns in _TIMES.items()}
    for of_run in OF_RUN:
        named.setdefault(of_run.table, set()).update(of_run.columns, of_run.keys)
    for rule in BY_AGE:
        named.setdefault(rule.table, set()).update(
            {rule.dag, *rule.keys}, filter(None, (rule.run, rule.pending, rule.awaited_by))
        )
        times.setdefault(rule.table, set()).add(rule.at)
    return {
        name: table(name, *map(column, sorted(columns)), *(column(one, UtcDateTime()) for one in sorted(times.get(name, ()))))
        for name, columns in named.items()
    }


TABLES: dict[str, Any] = _made()
"""Airflow's tables by name, with the columns that we ask for."""
