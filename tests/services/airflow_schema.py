"""A database as Airflow makes it, without a platform: `python -m tests.services.airflow_schema URL ...` makes the tables and prints what they are."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, MetaData, Table, create_engine, insert, select, types

from integrator.store.database import open_engine, upgrade
from tests.services.demo import ROOT
from tests.services.platform import launcher_environ
from tests.services.postgres import PostgresServer

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
_TASK = ("dag_id", "task_id", "run_id", "map_index")


def _describe() -> None:
    import airflow.models
    from airflow.models.base import Base
    from airflow.providers.fab.auth_manager.models import Model

    airflow.models.import_all_models()
    told = {}
    for metadata in (Base.metadata, Model.metadata):
        for url in sys.argv[1:]:
            engine = create_engine(url)
            metadata.create_all(engine)
            engine.dispose()
        for table in metadata.tables.values():
            told[table.name] = {
                "columns": [column.name for column in table.columns],
                "points_at": sorted({key.column.table.name for key in table.foreign_keys}),
            }
    print("RESULT", json.dumps(told))


@dataclass(frozen=True, slots=True)
class Schema:
    """Databases with Airflow's tables and ours, to be copied; `tables` says what Airflow's are."""

    tables: dict[str, Any]
    file: Path
    postgres: PostgresServer
    template: str


@pytest.fixture(scope="session")
def airflow_schema(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Schema:
    """Airflow's tables, made once by Airflow itself."""
    folder = tmp_path_factory.mktemp("airflow_schema")
    url = postgres.new_database()
    urls = [f"sqlite:///{folder / 'airflow.db'}", url.replace("+psycopg:", "+psycopg2:")]
    environ = {
        **{name: value for name, value in launcher_environ().items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(folder / "af"), "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")]),
    }  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-m", "tests.services.airflow_schema", *urls]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    upgrade(urls[0])
    upgrade(url)
    told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("RESULT")).partition(" ")[2])
    return Schema(told, folder / "airflow.db", postgres, url.rpartition("/")[2])


@dataclass
class AirflowDatabase:
    """A database of Airflow with short ways to put rows into it."""

    url: str
    engine: Engine
    tables: dict[str, Table]
    asset: int = 0
    bundle: bool = False
    numbers: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, /, **values: Any) -> dict[str, Any]:
        """Add a row; what must be there and is not given is made up."""
        table, row = self.tables[name], dict(values)
        for column in table.columns:
            if column.name not in row and (not column.nullable or column.primary_key) and column.server_default is None:
                row[column.name] = self._made_up(name, column)
        with self.engine.begin() as c:
            c.execute(insert(table).values(row))
        return row

    def _made_up(self, name: str, column: Any) -> Any:
        kind = column.type
        if isinstance(kind, types.Uuid) or (isinstance(kind, types.CHAR) and kind.length == 32):
            return uuid4() if isinstance(kind, types.Uuid) else uuid4().hex
        if isinstance(kind, types.Boolean):
            return False
        if isinstance(kind, (types.Integer, types.Numeric)):
            self.numbers[name] = self.numbers.get(name, 0) + 1
            return self.numbers[name] if column.primary_key or column.unique else 0
        if isinstance(kind, types.DateTime):
            return self.time(NOW)
        if isinstance(kind, types.JSON) or "JSON" in str(kind):
            return {}
        return b"" if isinstance(kind, types.LargeBinary) else "x"

    def time(self, at: datetime) -> datetime:
        """Return an instant as this database keeps it."""
        return at if self.engine.dialect.name == "postgresql" else at.replace(tzinfo=None)

    def ago(self, days: float) -> datetime:
        """Return an instant so many days ago."""
        return self.time(NOW - timedelta(days=days))

    def dag(self, dag_id: str, *tags: str, stale: bool = False) -> None:
        """Add a DAG with tags."""
        if not self.bundle:
            self.bundle = True
            self.add("dag_bundle", name="dags-folder")
        self.add("dag", dag_id=dag_id, bundle_name="dags-folder", is_stale=stale)
        for tag in tags:
            self.add("dag_tag", name=tag, dag_id=dag_id)

    def version(self, dag_id: str, days: float) -> Any:
        """Add a version of a DAG, with its code and its serialized form; returns its key."""
        number = self.numbers["version"] = self.numbers.get("version", 0) + 1
        made = self.add(
            "dag_version", dag_id=dag_id, version_number=number, created_at=self.ago(days), last_updated=self.ago(days)
        )
        self.add("dag_code", dag_version_id=made["id"], dag_id=dag_id)
        serialized = self.add("serialized_dag", dag_version_id=made["id"], dag_id=dag_id)
        self.add("deadline_alert", serialized_dag_id=serialized["id"])
        return made["id"]

    def run(self, dag_id: str, days: float, state: str = "success", kind: str = "manual", version: Any = None) -> str:
        """Add a run that ended so many days ago, with a row in every table that hangs on it; returns Airflow's name of it."""
        at, run_id = self.ago(days), f"{kind}__{days}_{state}"
        run = self.add("dag_run", id=self._number("dag_run"), dag_id=dag_id, run_id=run_id, state=state, run_type=kind, logical_date=at, run_after=at,
                       start_date=at, end_date=at if state in ("success", "failed") else None, conf={"ids": ["e1"]}, created_dag_version_id=version,
                       log_template_id=None)  # fmt: skip
        pair = {"dag_id": dag_id, "run_id": run_id, "task_id": "items", "map_index": -1}
        task = self.add("task_instance", **pair, state=state, dag_version_id=version, start_date=at)
        before = self.add("task_instance_history", **pair, try_number=1, dag_version_id=version)
        self.add("task_instance_note", ti_id=task["id"])
        self.add("hitl_detail", ti_id=task["id"])
        self.add("hitl_detail_history", ti_history_id=before["task_instance_id"])
        self.add("task_reschedule", id=self._number("task_reschedule"), ti_id=task["id"])
        self.add("rendered_task_instance_fields", **pair)
        self.add("task_map", **pair, length=1)
        self.add("xcom", **pair, dag_run_id=run["id"], key="return_value")
        self.add("task_state_store", id=self._number("tss"), dag_run_id=run["id"], **pair, key="k")
        self.add("dag_run_note", dag_run_id=run["id"])
        callback = self.add("callback", created_at=at)
        self.add("deadline", dagrun_id=run["id"], callback_id=callback["id"])
        self.add("asset_partition_dag_run", id=self._number("apdr"), created_dag_run_id=run["id"], target_dag_id=dag_id)
        self._beside(dag_id, run_id, run["id"], at)
        return run_id

    def _beside(self, dag_id: str, run_id: str, number: int, at: datetime) -> None:
        if not self.asset:
            self.asset = self._number("asset")
            self.add("asset", id=self.asset, name="a", uri="x-a:1")
        event = self.add(
            "asset_event", id=self._number("event"), asset_id=self.asset, source_dag_id=dag_id, source_run_id=run_id, timestamp=at
        )
        self.add("dagrun_asset_event", dag_run_id=number, event_id=event["id"])
        self.add("log", id=self._number("log"), dag_id=dag_id, run_id=run_id, dttm=at, event="trigger", extra="e1")
        self.add("job", id=self._number("job"), dag_id=dag_id, latest_heartbeat=at, end_date=at)
        self.add(
            "partitioned_asset_key_log",
            id=self._number("pakl"),
            target_dag_id=dag_id,
            created_at=at,
            asset_partition_dag_run_id=10**6,
        )
        self.add(
            "asset_state_store",
            asset_id=self.asset,
            key=f"{dag_id}{run_id}",
            last_updated_by_dag_id=dag_id,
            last_updated_by_run_id=run_id,
            updated_at=at,
        )

    def _number(self, name: str) -> int:
        self.numbers[f"id of {name}"] = self.numbers.get(f"id of {name}", 0) + 1
        return self.numbers[f"id of {name}"]

    def left(self) -> dict[str, int]:
        """Return how many rows each of Airflow's tables has."""
        with self.engine.connect() as c:
            return {name: len(c.execute(select(table)).all()) for name, table in self.tables.items()}


@pytest.fixture
def new_airflow(airflow_schema: Schema, tmp_path: Path) -> Any:
    """Make databases of Airflow, of either kind."""
    made: list[tuple[Engine, str]] = []

    def make(kind: str) -> AirflowDatabase:
        if kind == "sqlite":
            shutil.copyfile(airflow_schema.file, tmp_path / "airflow.db")
            url = f"sqlite:///{tmp_path / 'airflow.db'}"
        else:
            name = f"t_{secrets.token_hex(6)}"
            airflow_schema.postgres.run(f"CREATE DATABASE {name} TEMPLATE {airflow_schema.template}")
            url = airflow_schema.postgres.url(name)
        engine = open_engine(url)
        reflected = MetaData()
        reflected.reflect(engine, only=list(airflow_schema.tables))
        made.append((engine, url))
        return AirflowDatabase(url, engine, dict(reflected.tables))

    yield make
    for engine, url in made:
        engine.dispose()
        if url.startswith("postgresql"):
            airflow_schema.postgres.drop_database(url)


MakeAirflow = Callable[[str], AirflowDatabase]

if __name__ == "__main__":
    _describe()
