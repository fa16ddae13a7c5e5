"""Settings of the embedded platform: Airflow's own configuration, as variables. Source: docs/decisions, AIRFLOW facts."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy.engine import URL

from integrator.launching.home import Home
from integrator.sign_in import NAME as SIGN_IN

WITHOUT_DEMO = "AIRFLOW__CORE__MIGHT_CONTAIN_DAG_CALLABLE"
PARTS_MOST = 8

_DEFAULTS = {
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__AUTH_MANAGER": SIGN_IN,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__DEFAULT_TIMEZONE": "utc",
    "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
    "AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX": "glob",
    # With the default of 30 a change that is made soon after another is silently lost.
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    # Unchanged stubs are left alone; the watcher touches the ones whose pipes changed.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    "AIRFLOW__DAG_PROCESSOR__FILE_PARSING_SORT_MODE": "modified_time",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    # A pipe that was deleted goes at the next look; by default its DAG would stay, and run, until the stub is read again.
    "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "1",
    "AIRFLOW__SCHEDULER__PARSING_CLEANUP_INTERVAL": "5",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__SCHEDULER__CATCHUP_BY_DEFAULT": "False",
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__API__HOST": "127.0.0.1",
    "AIRFLOW__API__EXPOSE_STACKTRACE": "False",
    "AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME": "900",
    "AIRFLOW__FAB__SESSION_BACKEND": "database",
    "AIRFLOW__FAB__SESSION_LIFETIME_MINUTES": "60",
    "AIRFLOW__FAB__SESSION_MAX_LIFETIME_MINUTES": "720",
    "AIRFLOW__FAB__CACHE_TTL": "5",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    # It would write a few lines at each look into the folder, every few seconds.
    "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "airflow.dag_processing.manager.DagFileProcessorManager=WARNING",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}


def defaults() -> dict[str, str]:
    """Return what a person may change in the env file; the launcher leaves such a change alone."""
    parallel = min(PARTS_MOST, 2 * (os.cpu_count() or 2))
    return {**_DEFAULTS, "AIRFLOW__CORE__PARALLELISM": str(parallel)}


def placed(home: Home, checkout: Path, api_port: int) -> dict[str, str]:
    """Return what follows from where things are, written anew at each start."""
    database = URL.create("sqlite", database=str(home.database)).render_as_string(hide_password=False)
    return {
        "AIRFLOW_HOME": str(home.path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(checkout / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(checkout / "plugins"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{api_port}/execution/",
        "AIRFLOW__API__PORT": str(api_port),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home.logs),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home.logs / "dag_processor"),
        "AIRFLOW__FAB__CONFIG_FILE": str(home.path / "webserver_config.py"),
    }


def without_demo(demo: bool) -> dict[str, str | None]:
    """Return the setting that hides dags/demo from Airflow when the demo's servers are not there."""
    return {WITHOUT_DEMO: None if demo else "integrator.launching.discovery.without_demo"}
