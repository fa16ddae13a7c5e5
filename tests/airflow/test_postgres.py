"""The wheel on PostgreSQL: two roles, of which ours sees our tables and nothing else."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from tests.services.demo import ROOT
from tests.services.deployment import Deployment

PIPE = "acme.orders"


def _run(deployment: Deployment, role: str, statement: str) -> list[Any]:
    password = deployment.variables[f"{role.upper()}_DB_PASSWORD"]
    engine = create_engine(deployment.postgres.url("airflow", role, password), poolclass=NullPool)
    with engine.begin() as connection:
        found = connection.execute(text(statement))
        return list(found) if found.returns_rows else []


def _trigger(deployment: Deployment, dag_id: str, conf: dict[str, Any] | None = None) -> dict[str, Any]:
    from datetime import UTC, datetime

    body = {"logical_date": datetime.now(UTC).isoformat(), "conf": conf or {}}
    status, run = deployment.api.call("POST", f"/dags/{dag_id}/dagRuns", body)
    assert status == 200, run
    return dict(
        deployment.wait_for(lambda: next((r for r in deployment.runs(dag_id) if r["dag_run_id"] == run["dag_run_id"]), None), 120)
    )


def test_the_wheel_is_what_runs(deployment: Deployment) -> None:
    code = "import integrator, pathlib; print(pathlib.Path(integrator.__file__).resolve())"
    said = subprocess.run([deployment.python, "-c", code], check=True, capture_output=True, text=True, cwd=deployment.home).stdout
    assert said.startswith(str(deployment.folder.resolve()))
    assert not (deployment.folder / "venv").joinpath("plugins").exists()


def test_orders_move_and_a_rerun_resolves_what_failed(deployment: Deployment) -> None:
    # The pipe's schedule starts its first run; nobody needs to.
    first = deployment.wait_for(lambda: deployment.runs(PIPE), 120)[-1]
    assert (first["run_type"], first["state"]) == ("scheduled", "success")
    rows = _run(deployment, "integrator", "SELECT entity_id FROM integrator_failures WHERE state = 'open'")
    assert len(rows) == 24
    assert (deployment.erp.counts()["distinct"], deployment.erp.counts()["refused"]) == (1_976, 24)
    deployment.erp.repair()
    assert _trigger(deployment, f"{PIPE}.rerun", {"which": "all open failures"})["state"] == "success"
    assert _run(deployment, "integrator", "SELECT count(*) FROM integrator_failures WHERE state = 'open'") == [(0,)]
    counts = deployment.erp.counts()
    assert (counts["orders"], counts["distinct"], counts["duplicates"]) == (2_000, 2_000, [])


@pytest.mark.parametrize("table", ["connection", "variable", "dag_run", "xcom", "ab_user", "serialized_dag"])
def test_our_role_cannot_read_airflows_tables(deployment: Deployment, table: str) -> None:
    assert _run(deployment, "airflow", f"SELECT count(*) >= 0 FROM {table}") == [(True,)]
    with pytest.raises(ProgrammingError, match="permission denied"):
        _run(deployment, "integrator", f"SELECT * FROM {table}")


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE mine (a int)", "DROP TABLE integrator_runs", "ALTER TABLE integrator_runs ADD COLUMN a int"]
)
def test_our_role_makes_and_changes_no_table(deployment: Deployment, statement: str) -> None:
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
        _run(deployment, "integrator", statement)


def test_the_demo_is_not_deployed_and_nothing_is_broken(deployment: Deployment) -> None:
    dags = deployment.api.call("GET", "/dags")[1]["dags"]
    assert {dag["dag_id"] for dag in dags} == {PIPE, f"{PIPE}.rerun", "integrator.upkeep", "integrator.retention"}
    assert deployment.api.call("GET", "/importErrors")[1]["total_entries"] == 0


@pytest.mark.parametrize(("part", "healthy"), [("api-server", 0), ("scheduler", 0), ("dag_processor", 0), ("triggerer", 1)])
def test_the_health_check_tells_which_part_is_up(deployment: Deployment, part: str, healthy: int) -> None:
    url = {"INTEGRATOR_HEALTH_URL": f"{deployment.api.url}/api/v2/monitor/health"}
    assert subprocess.run([deployment.python, ROOT / "deploy" / "healthy.py", part], env=url).returncode == healthy


def test_airflow_keeps_the_connections_encrypted(deployment: Deployment) -> None:
    rows = _run(deployment, "airflow", "SELECT is_extra_encrypted, extra, host FROM connection ORDER BY conn_id")
    assert [(row[0], row[1][:5]) for row in rows] == [(True, "gAAAA")] * 2
    answers = json.dumps(deployment.api.call("GET", "/connections")[1])
    for server in (deployment.shop, deployment.erp):
        extra = json.loads(next(iter(server.connection.values())))["extra"]
        assert extra.get("password", extra.get("token")) not in answers
