"""The upkeep and project variables on a real Airflow: due failures are rerun by mapped tasks, and silence turns a task red."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from integrator.settings import MAINTENANCE_VARIABLE
from tests.airflow.test_live_pipes import LIVE_S, tags, until
from tests.services.platform import Platform

PIPE = """\
with: {{kind: [fresh, stale]}}
description: The demo's orders, with a project variable, reruns and an expectation
flows:
  orders:
    source:
      connector: rest
      credential: shop
      path: /rest/V1/orders
      params: {{updated_min: "2026-01-01 00:00:00"}}
      records: items
      entity_id: increment_id
      pages: {{by: page_number, per_page: 200, total: total_count}}
      by_id: {{path: "/rest/V1/orders/{{entity_id}}"}}
    where: increment_id == vars.{variable}
    map: {{note: {{text: "{{vars.{variable}}}-{{with.kind}}"}}}}  # without a number the ERP refuses it, repaired or not
    destination: {{connector: rest, credential: erp, path: /sales-orders}}
    tolerate: 100%
    rerun: {{automatic: true}}
    expect: {{success_every: 1h}}
"""
HOPE = """UPDATE integrator_failures SET error = 'UnavailableError', http_status = NULL,
last_failed_at = strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 day') WHERE pipe = 'kept_fresh'"""


@pytest.fixture
def kept(embedded_platform: Platform) -> Iterator[Platform]:
    """The pipes demo.kept_fresh and demo.kept_stale, whose variable is in Airflow's store."""
    platform, file = embedded_platform, embedded_platform.dags / "demo" / "kept.yaml"
    with sqlite3.connect(f"file:{platform.home / 'airflow.db'}?mode=ro", uri=True) as database:
        failed = database.execute("SELECT entity_id FROM integrator_failures WHERE pipe = 'orders' ORDER BY id").fetchone()[0]
    assert platform.api("POST", "/variables", {"key": "demo__wanted", "value": json.dumps(failed)})[0] == 201
    file.write_text(PIPE.format(variable="wanted"), "utf-8")
    until(lambda: all("demo" in tags(platform, f"demo.kept_{kind}") for kind in ("fresh", "stale")), LIVE_S)
    yield platform
    file.unlink()
    platform.api("DELETE", "/variables/demo__wanted")


def states(platform: Platform, run: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    listed = platform.api("GET", f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances")[1]["task_instances"]
    for one in listed:
        found.setdefault(one["task_id"], []).append(one["state"])
    return found


def upkeep(platform: Platform) -> dict[str, Any]:
    return platform.run_dag("integrator.upkeep")


def test_the_upkeep_reruns_what_is_due_and_tells_of_silence(kept: Platform) -> None:
    run = upkeep(kept)
    assert states(kept, run)["expectations"] == ["success"]  # the file is new
    assert kept.run_dag("demo.kept_fresh")["state"] == "success"  # which takes the variable from Airflow's store
    before = json.loads(kept.integrator("runs", "demo/kept_fresh", "--json"))
    assert before[0]["flows"]["orders"]["failed"] + before[0]["flows"]["orders"]["created"] == 1
    assert json.loads(kept.integrator("preview", "demo/kept_fresh", "--json"))[0]["would"] == "skip"
    with sqlite3.connect(kept.home / "airflow.db", timeout=30) as database:
        if not database.execute(HOPE).rowcount:
            pytest.fail("the ERP took a record without a number; nothing can be due")
    file = kept.dags / "demo" / "kept.yaml"
    long_ago = time.time() - 7200
    os.utime(file, (long_ago, long_ago))
    run = upkeep(kept)
    assert run["state"] == "failed"
    assert states(kept, run) == {"find_due": ["success"], "rerun_due": ["success"], "expectations": ["failed"]}
    log = kept.task_log("integrator.upkeep", run["dag_run_id"], "expectations")
    assert "demo/kept_stale, orders: it has never run" in log
    assert "kept_fresh" not in log
    reruns = [one for one in json.loads(kept.integrator("runs", "demo/kept_fresh", "--json")) if one["trigger"] == "rerun"]
    assert [one["flows"]["orders"]["read"] for one in reruns] == [1]


def test_what_is_no_longer_kept_goes_once_a_day(embedded_platform: Platform) -> None:
    run = embedded_platform.run_dag("integrator.retention")
    assert run["state"] == "success"
    told = embedded_platform.api(
        "GET", f"/dags/integrator.retention/dagRuns/{run['dag_run_id']}/taskInstances/purge/xcomEntries/return_value"
    )[1]
    assert told["value"]["projects"] >= 1
    assert "demo (standard): nothing to delete" in embedded_platform.task_log("integrator.retention", run["dag_run_id"], "purge")


def test_what_airflow_keeps_of_a_run_goes_by_the_plan_and_airflow_goes_on(embedded_platform: Platform) -> None:
    platform = embedded_platform
    old, new = (platform.run_dag("integrator.retention")["dag_run_id"] for _ in range(2))
    logs = platform.home / "logs" / "dag_id=integrator.retention"
    age = "UPDATE {} SET {} = datetime({}, '-40 days') WHERE dag_id = 'integrator.retention' AND run_id = ?"
    with sqlite3.connect(platform.home / "airflow.db", timeout=30) as database:
        for table, at in (("dag_run", "end_date"), ("log", "dttm")):
            assert database.execute(age.format(table, at, at), [old]).rowcount
    for file in (logs / f"run_id={old}").rglob("*.log"):
        os.utime(file, (0, 0))
    dry = json.loads(platform.integrator("purge", "--only", "airflow", "--dry-run", "--json"))["airflow"]
    told = json.loads(platform.integrator("purge", "--only", "airflow", "--json"))["airflow"]
    assert told == dry
    deleted = next(one["deleted"] for one in told if one["project"] == "integrator")
    assert {name: deleted[name] for name in ("dag_run", "task_instance", "xcom", "log_files")} == {
        "dag_run": 1, "task_instance": 1, "xcom": 1, "log_files": 1,
    }  # fmt: skip
    assert deleted["log"] >= 2
    with sqlite3.connect(f"file:{platform.home / 'airflow.db'}?mode=ro", uri=True) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: [row[1] for row in database.execute(f"PRAGMA table_info({name})")] for name in names}
        left = {
            name: database.execute(f"SELECT count(*) FROM {name} WHERE {column} = ?", [old]).fetchone()[0]
            for name in names
            for column in ("run_id", "source_run_id", "dag_run_id", "last_updated_by_run_id")
            if column in columns[name]
        }
    assert {name: count for name, count in left.items() if count} == {}
    assert not (logs / f"run_id={old}").exists()
    assert (logs / f"run_id={new}").exists()
    assert platform.api("GET", f"/dags/integrator.retention/dagRuns/{old}")[0] == 404
    assert platform.api("GET", f"/dags/integrator.retention/dagRuns/{new}")[1]["state"] == "success"
    assert platform.run_dag("integrator.retention")["state"] == "success"


def test_only_the_purge_runs_beside_airflow_and_no_task_is_handed_its_connection(embedded_platform: Platform) -> None:
    assert embedded_platform.process is not None
    parts = psutil.Process(embedded_platform.process.pid).children()
    # The DAG integrator.retention, which ran above, fails where a task can see it.
    assert [one.cmdline()[-1] for one in parts if MAINTENANCE_VARIABLE in one.environ()] == ["integrator.daily_purge"]
    assert len(parts) >= 7
