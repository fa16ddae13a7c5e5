"""An installation with runs of two projects: in our tables, Airflow's and the console store, and the command line over it."""

from __future__ import annotations

import base64
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text

from integrator import cli
from integrator.model.project import plans_of
from integrator.store.airflow_purge import AirflowPurge
from integrator.store.audit import SqlAudit
from integrator.store.console import SqlConsole
from integrator.store.console_files import FolderObjects
from integrator.store.database import writing
from integrator.store.deleting import Chosen, Deletion
from integrator.store.ledger import PLACE
from integrator.store.tables import console_logs, cursors, failures, flow_runs, runs, selections
from tests.services.airflow_schema import NOW, AirflowDatabase, MakeAirflow
from tests.services.moving import HASH_KEY
from tests.services.platform import launcher_environ

OURS = (runs, flow_runs, failures, selections, console_logs)


class Installation:
    """Runs of two pipes and another project, in our tables, Airflow's and the console store."""

    def __init__(self, airflow: AirflowDatabase, folder: Path) -> None:
        self.airflow, self.engine, self.objects, self.folder = airflow, airflow.engine, FolderObjects(folder / "console"), folder
        for project, pipe in (("acme", "sync"), ("acme", "other"), ("foreign", "sync")):
            airflow.dag(f"{project}.{pipe}", "integrator", project)
            for days in (1, 10):
                self.run(project, pipe, days)
            with writing(self.engine) as c:
                c.execute(insert(cursors).values(project=project, pipe=pipe, flow="items", value="1", seen=b"", updated_at=NOW))
        self.run("acme", "sync", 0, status="running")

    def run(self, project: str, pipe: str, days: float, status: str = "success") -> None:
        at, name = NOW - timedelta(days=days), f"{project}-{pipe}-{days}"
        dag_id = f"{project}.{pipe}"
        dag_run = self.airflow.run(dag_id, days, status)
        place = {"project": project, "pipe": pipe}
        with writing(self.engine) as c:
            c.execute(
                insert(runs).values(
                    id=name, **place, dag_id=dag_id, dag_run_id=dag_run, trigger="schedule", pipe_version="1", started_at=at
                )
            )
            c.execute(insert(flow_runs).values(id=name, run_id=name, **place, flow="items", ordinal=0, status=status, owner="x", heartbeat_at=at, started_at=at,
                                               ended_at=None if status == "running" else at))  # fmt: skip
            c.execute(insert(failures).values(**place, flow="items", entity_id=name, stage="load", error="E", attempts=1, first_failed_at=at, last_failed_at=at,
                                              first_run_id=name, run_id=name, flow_run_id=name, state="open"))  # fmt: skip
            c.execute(insert(selections).values(id=name, **place, created_at=at, created_by="x"))
            c.execute(
                insert(console_logs).values(
                    id=name,
                    **place,
                    run_id=name,
                    flow="items",
                    attempt=1,
                    state="closed",
                    started_at=at,
                    objects=1,
                    bytes=1,
                    lines=1,
                    dropped=0,
                )
            )
        [log] = SqlConsole(self.engine).logs(run_id=name)
        self.objects.put(log.key(0), b"x")

    def left(self, cursors_kept: int = 3) -> dict[str, Any]:
        """Return what is left, by table and run."""
        with self.engine.connect() as c:
            found: dict[str, Any] = {t.name: sorted(c.scalars(select(t.c.run_id if t is failures else t.c.id))) for t in OURS}
            found["dag_run"] = sorted(f"{a} {b}" for a, b in c.execute(text("SELECT dag_id, run_id FROM dag_run")))
            found["xcom"] = sorted(f"{a} {b}" for a, b in c.execute(text("SELECT dag_id, run_id FROM xcom")))
            assert c.scalar(select(func.count()).select_from(cursors)) == cursors_kept
        found["objects"] = sorted(name.split("/")[2] for name in self.objects.names("") if not name.startswith(PLACE))
        return found

    def delete(self, chosen: Chosen, *, dry: bool = False) -> tuple[dict[str, int], dict[str, int]]:
        made = Deletion(self.engine, self.objects, chosen, dry=dry)
        airflow = AirflowPurge(self.engine, self.engine, None, plans_of(""), "standard", dry=dry)
        return made.airflows(airflow), made.ours()


@dataclass(frozen=True, slots=True)
class Said:
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def installation(new_airflow: MakeAirflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Installation, Any]:
    """An installation on SQLite, and what runs a command over it, in this process and as if nobody sat there."""
    there = Installation(new_airflow("sqlite"), tmp_path)
    environ = {
        **launcher_environ(), "INTEGRATOR_HOME": str(tmp_path), "AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": there.airflow.url,
        "INTEGRATOR_MAINTENANCE_CONN": there.airflow.url, "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path / "logs"),
        "AIRFLOW__INTEGRATOR__HASH_KEY": HASH_KEY,
    }  # fmt: skip

    def call(*arguments: str, given: dict[str, str] | None = None) -> Said:
        code, out, err = 0, StringIO(), StringIO()
        with monkeypatch.context() as here, redirect_stdout(out), redirect_stderr(err):
            here.setattr(os, "environ", environ | (given or {}))
            here.setattr(sys, "argv", ["integrator", *arguments])
            here.setattr(sys, "stdin", StringIO())
            try:
                cli.main()
            except SystemExit as end:
                code = int(end.code or 0)
        return Said(code, out.getvalue(), err.getvalue())

    return there, call


def audit(there: Installation) -> SqlAudit:
    return SqlAudit(there.engine, base64.urlsafe_b64decode(HASH_KEY + "==")[:64], there.folder / "audit.log")
