"""How soon an edited pipe is live: the dag-processor and the watcher as the launcher starts them, over pipes that nobody changes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bench.dags import make
from bench.running import plain_environ
from integrator.launching import sessions
from integrator.launching.platform_env import defaults

EDITS = 3
PATIENCE_S = 600.0


def edit_to_live_s(pipes: int) -> float:
    """Return the longest time, of a few edits, from writing a pipe's file to its DAG having changed in Airflow's database."""
    with tempfile.TemporaryDirectory(prefix="bench-live-") as place:
        home = Path(place).resolve()
        dags, database = home / "dags", home / "airflow.db"
        make(dags, pipes)
        environ = plain_environ() | defaults() | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
        }  # fmt: skip
        airflow = [sys.executable, "-m", "airflow"]
        subprocess.run([*airflow, "db", "migrate"], env=environ, check=True, capture_output=True)
        with (home / "out").open("wb") as out:
            parts = [
                subprocess.Popen(
                    command, env=environ, cwd=home, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
                )
                for command in ([*airflow, "dag-processor"], [sys.executable, "-m", "integrator.watcher", str(dags)])
            ]
        try:
            _wait(lambda: _one(database, "SELECT count(*) FROM serialized_dag") >= 2 * pipes, parts)
            time.sleep(5)  # until the files that were just written count as unchanged
            return round(max(_edited(dags / "project_0" / "pipe_0.yaml", database, parts, number) for number in range(EDITS)), 1)
        finally:
            sessions.end([part.pid for part in parts])
            for part in parts:
                part.wait(20)


def _edited(file: Path, database: Path, parts: list[subprocess.Popen[bytes]], number: int) -> float:
    text = file.read_text().partition("# edited\n")[2] or file.read_text()
    began = time.monotonic()
    file.write_text(f"description: edit {number}\n# edited\n{text}")
    wanted = "SELECT count(*) FROM dag WHERE dag_id = 'project_0.pipe_0' AND description = ?"
    _wait(lambda: _one(database, wanted, f"edit {number}") == 1, parts)
    return time.monotonic() - began


def _one(database: Path, query: str, *values: str) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        return int(connection.execute(query, values).fetchone()[0])


def _wait(done: Callable[[], bool], parts: list[subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > until or any(part.poll() is not None for part in parts):
            raise RuntimeError("the pipes did not become DAGs")
        time.sleep(0.05)
