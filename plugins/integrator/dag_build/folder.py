"""The DAGs of one folder. In a worker, only the pipe that is asked for is read."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.sdk import get_parsing_context

from integrator.authoring.checking import CheckedPipe
from integrator.authoring.library import RERUN, check_all, faults_of, pipe_files, project_of, transform_faults
from integrator.authoring.reading import Fault
from integrator.dag_build.building import dags_of_pipe, faulty_dag
from integrator.dag_build.zones import Zones, of_no_matter
from integrator.engine.running import calm_collector

STUB = "load_pipes.py"
log = logging.getLogger(__name__)


def dags_folder(stub: Path) -> Path:
    """Return the folder of the projects: Airflow's own, or the one above the topmost folder that has a stub."""
    try:
        configured = Path(conf.get("core", "dags_folder")).resolve()
        if configured in stub.resolve().parents:
            return configured
    except (ValueError, OSError):
        log.debug("no dags folder is set")
    folder = stub.resolve().parent
    while (folder.parent / STUB).is_file():
        folder = folder.parent
    return folder.parent


def build(stub_name: str) -> dict[str, Any]:
    """Return DAG id -> DAG for the pipes beside a stub."""
    with calm_collector():
        return _built(Path(stub_name))


def _built(stub: Path) -> dict[str, Any]:
    dags, made, zones = dags_folder(stub), dict[str, Any](), Zones()
    in_worker = bool(get_parsing_context().dag_id)
    for checked in _wanted(stub.resolve(), dags):
        try:
            built = (
                [faulty_dag(checked, rerun=False), faulty_dag(checked, rerun=True)]
                if checked.faults
                else dags_of_pipe(checked, dags, of_no_matter if in_worker else zones.of)
            )
        except Exception as fault:  # noqa: BLE001 - an error here would mark every good DAG of the folder as stale
            checked.faults.append(
                Fault(checked.shown, 1, "", f"Airflow cannot build it ({type(fault).__name__})", "please report this pipe")
            )
            built = [faulty_dag(checked, rerun=False)]
        made.update({dag.dag_id: dag for dag in built})
    return made


def _wanted(stub: Path, dags: Path) -> list[CheckedPipe]:
    files = list(pipe_files(dags, stub.parent))
    asked = get_parsing_context().dag_id
    if not asked:
        return check_all(dags, files)
    project, _, name = asked.removesuffix(f".{RERUN}").partition(".")
    could = [
        file for file in files if f"{name}_".startswith(f"{file.name.rsplit('.', 1)[0]}_") and project_of(file, dags) == project
    ]
    return check_all(dags, could, {name})


def all_faults(stub_name: str) -> list[str]:
    """Return every fault of every pipe, a line each."""
    dags = Path(stub_name).resolve().parent
    return list(dict.fromkeys(map(str, [*transform_faults(dags), *faults_of(check_all(dags))])))
