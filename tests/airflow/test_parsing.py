"""What Airflow makes of stubs, each in a process of its own; no platform is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.services.demo import ROOT
from tests.services.moving import flow
from tests.services.warm import with_airflow

CODE = """
import json, sys, warnings
warnings.simplefilter("ignore")
from integrator.dag_build import dags_of
made = dags_of(sys.argv[1])
print("RESULT", json.dumps({name: sorted(dag.tags) for name, dag in made.items()}))
"""


def run_code(code: str, folder: Path, *arguments: str, cold: bool = False, **environ: str) -> Any:
    """Run Python text that prints RESULT and JSON, in a home of its own; `cold`: in a Python that has imported nothing."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "INTEGRATOR_", "_AIRFLOW"))}
    env = {
        **kept, "AIRFLOW_HOME": str(folder / "af"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"), "PYTHONPATH": str(ROOT / "plugins"), **environ,
    }  # fmt: skip
    if cold:
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=120)
        out, err = done.stdout, done.stderr
    else:
        (folder / "code.py").write_text(code, "utf-8")
        out, err = with_airflow().start(str(folder / "code.py"), *arguments, cwd=folder, env=env).communicate(120)
    lines = [line for line in out.splitlines() if line.startswith("RESULT ")]
    assert lines, err[-3000:]
    return json.loads(lines[-1].removeprefix("RESULT "))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    acme = tmp_path / "dags" / "acme"
    acme.mkdir(parents=True)
    (acme / "load_pipes.py").write_text("from integrator.dag_build import dags_of\nglobals().update(dags_of(__file__))\n")
    made = {"with": {"shop": ["us", "eu"]}, "flows": {"items": flow(source={"path": "/{with.shop}"})}}
    (acme / "sync.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
    after = {"with": {"shop": ["us", "uk"]}, "schedule": {"after": ["sync_{with.shop}"]}, "flows": {"items": flow()}}
    (acme / "late.yaml").write_text(yaml.safe_dump(after, sort_keys=False))
    return tmp_path


def test_a_repeated_file_is_a_dag_for_each_pipe(folder: Path) -> None:
    made = run_code(CODE, folder, str(folder / "dags/acme/load_pipes.py"), cold=True)
    assert set(made) == {f"acme.{name}{end}" for name in ("sync_us", "sync_eu", "late_us", "late_uk") for end in ("", ".rerun")}
    assert [name for name, tags in made.items() if "faulty" in tags] == ["acme.late_uk", "acme.late_uk.rerun"]


@pytest.mark.parametrize("asked", ["acme.sync_eu", "acme.late_us.rerun", "acme.late_uk"])
def test_a_worker_builds_only_the_pipe_it_runs(folder: Path, asked: str) -> None:
    made = run_code(CODE, folder, str(folder / "dags/acme/load_pipes.py"), _AIRFLOW_PARSING_CONTEXT_DAG_ID=asked)
    assert set(made) == {asked.removesuffix(".rerun"), f"{asked.removesuffix('.rerun')}.rerun"}


UPKEEP = """
import json, sys, warnings
warnings.simplefilter("ignore")
import runpy, airflow.sdk
before = set(sys.modules)
for _ in range(2):
    dag = runpy.run_path(sys.argv[1])["dag"]
loaded = {name.partition(".")[2].partition(".")[0] for name in set(sys.modules) - before if name.startswith("integrator.")}
heavy = [name for name in ("pydantic", "aiohttp", "yaml", "alembic") if name in set(sys.modules) - before]
tasks = {task.task_id: (type(task).__name__, sorted(task.downstream_task_ids)) for task in dag.tasks}
print("RESULT", json.dumps([dag.dag_id, sorted(dag.tags), dag.catchup, dag.max_active_runs, tasks, sorted(loaded), heavy]))
"""


def test_the_upkeep_is_one_light_dag(folder: Path) -> None:
    made = run_code(UPKEEP, folder, str(ROOT / "dags" / "upkeep.py"), cold=True)
    dag_id, tags, catchup, runs, tasks, loaded, heavy = made
    assert (dag_id, tags, catchup, runs) == ("integrator.upkeep", ["integrator"], False, 1)
    assert tasks["find_due"] == ["FindDue", ["rerun_due"]]
    assert tasks["rerun_due"][0] == "MappedOperator"
    assert loaded == ["dag_build", "operators"]
    assert heavy == []
