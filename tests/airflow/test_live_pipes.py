"""Pipes that come, go and break while the platform runs: each is live in seconds, and a faulty one harms no other."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services.platform import Platform

LIVE_S = 8.0
FAULTY = """\
description: A pipe with two faults
flows:
  orders:
    source: {connector: rest, credential: shop, path: /orders, entity_id: id, pages: {by: page_numbr}}
    map: {number: "decimals(total, 2)"}
    destination: {connector: rest, credential: erp, path: /orders}
"""
REPAIRED = FAULTY.replace("page_numbr", "page_number").replace("decimals", "decimal")
TICK = """\
description: A pipe that runs every ten seconds
schedule: {every: 10s}
flows:
  orders:
    source:
      connector: rest
      credential: shop
      path: /rest/V1/orders
      params: {updated_min: "2999-01-01 00:00:00"}
      records: items
      entity_id: increment_id
      pages: {by: page_number, per_page: 200, total: total_count}
    map: {external_no: increment_id}
    destination: {connector: rest, credential: erp, path: /sales-orders}
"""
FOLLOWS = TICK.replace("every: 10s", "after: [tick]").replace("runs every ten seconds", "runs after tick")


def until(done: Callable[[], Any], limit_s: float) -> Any:
    """Return the first true answer; fail when there is none in time."""
    end = time.monotonic() + limit_s
    while not (answer := done()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return answer


@pytest.fixture
def pipe(embedded_platform: Platform) -> Iterator[Callable[[str], Path]]:
    """Write dags/demo/broken.yaml; it is gone after the test."""
    file = embedded_platform.dags / "demo" / "broken.yaml"

    def write(text: str) -> Path:
        file.write_text(text, "utf-8")
        return file

    yield write
    file.unlink(missing_ok=True)


def _dag(platform: Platform, dag_id: str) -> dict[str, Any] | None:
    status, dag = platform.api("GET", f"/dags/{dag_id}")
    return dag if status == 200 else None


def tags(platform: Platform, dag_id: str) -> set[str]:
    """Return a DAG's tags; none when it is gone."""
    dag = _dag(platform, dag_id) or {"is_stale": True}
    return set() if dag["is_stale"] else {tag["name"] for tag in dag["tags"]}


def _errors(platform: Platform) -> list[dict[str, Any]]:
    return list(platform.api("GET", "/importErrors")[1]["import_errors"])


def test_a_faulty_pipe_says_so_everywhere_and_harms_no_other(embedded_platform: Platform, pipe: Callable[[str], Path]) -> None:
    platform = embedded_platform
    pipe(FAULTY)
    until(lambda: "faulty" in tags(platform, "demo.broken"), LIVE_S)
    error = until(lambda: _errors(platform), LIVE_S)
    assert [one["filename"] for one in error] == ["faults.py"]
    for words in ("demo/broken.yaml:4", "page_number", "demo/broken.yaml:5", "decimal"):
        assert words in error[0]["stack_trace"]
    orders = _dag(platform, "demo.orders")
    assert orders
    assert (orders["is_stale"], orders["has_import_errors"], tags(platform, "demo.orders")) == (
        False,
        False,
        {"integrator", "demo"},
    )

    run = platform.run_dag("demo.broken")
    assert run["state"] == "failed"
    log = platform.task_log("demo.broken", run["dag_run_id"], "faulty")
    assert "demo/broken.yaml:4" in log
    assert "demo/broken.yaml:5" in log

    pipe(REPAIRED)
    until(lambda: "faulty" not in tags(platform, "demo.broken") and not _errors(platform), LIVE_S)
    assert tags(platform, "demo.broken") == {"integrator", "demo"}


def test_a_file_that_is_no_yaml_at_all_is_a_faulty_pipe_too(embedded_platform: Platform, pipe: Callable[[str], Path]) -> None:
    pipe("flows: [\n\tthis: is\n  not: yaml")
    until(lambda: "faulty" in tags(embedded_platform, "demo.broken") and _errors(embedded_platform), LIVE_S)
    pipe(REPAIRED).unlink()
    until(
        lambda: not _errors(embedded_platform) and (_dag(embedded_platform, "demo.broken") or {"is_stale": True})["is_stale"], 20
    )


@pytest.fixture
def timed(embedded_platform: Platform) -> Iterator[Platform]:
    """A project of its own, with connections in Airflow's store and two pipes on schedules."""
    platform, folder = embedded_platform, embedded_platform.dags / "timed"
    for name in ("shop", "erp"):
        made = json.loads(platform.env[f"AIRFLOW_CONN_DEMO__{name.upper()}"])
        body = {**made, "connection_id": f"timed__{name}", "extra": json.dumps(made["extra"])}
        assert platform.api("POST", "/connections", body)[0] == 201
    new = platform.home / "timed.new"
    new.mkdir()
    shutil.copy(platform.dags / "demo" / "load_pipes.py", new)
    (new / "tick.yaml").write_text(TICK, "utf-8")
    (new / "follows.yaml").write_text(FOLLOWS, "utf-8")
    new.rename(folder)
    yield platform
    shutil.rmtree(folder)
    for name in ("shop", "erp"):
        platform.api("DELETE", f"/connections/timed__{name}")


def _ended(platform: Platform, dag_id: str) -> list[dict[str, Any]]:
    status, answer = platform.api("GET", f"/dags/{dag_id}/dagRuns?order_by=-run_after")
    return [run for run in answer["dag_runs"] if run["state"] in ("success", "failed")] if status == 200 else []


def test_a_new_project_runs_by_its_schedules_with_connections_from_airflows_store(timed: Platform) -> None:
    ticks = until(lambda: len(runs := _ended(timed, "timed.tick")) >= 2 and runs, 90)
    assert {(run["run_type"], run["state"]) for run in ticks} == {("scheduled", "success")}
    follows = until(lambda: _ended(timed, "timed.follows"), 40)
    assert {(run["run_type"], run["state"]) for run in follows} == {("asset_triggered", "success")}
    runs = json.loads(timed.integrator("runs", "timed/follows", "--json"))
    assert (runs[0]["trigger"], runs[0]["status"]) == ("schedule", "success")


def test_a_project_s_new_zone_reaches_the_schedule_within_seconds(
    embedded_platform: Platform, pipe: Callable[[str], Path]
) -> None:
    platform = embedded_platform

    def due() -> str | None:
        return (_dag(platform, "demo.broken") or {}).get("next_dagrun_run_after")

    pipe(TICK.replace("{every: 10s}", '"30 6 * * *"').replace("description:", "paused: true\ndescription:"))
    try:
        assert "T06:30:00" in until(due, 60)
        platform.integrator("project", "configure", "demo", "--zone", "Asia/Tokyo")
        begun = time.monotonic()
        until(lambda: "T21:30:00" in str(due()), 60)
        assert time.monotonic() - begun < 2 * LIVE_S
        platform.integrator("project", "configure", "demo", "--zone", "UTC")
        until(lambda: "T06:30:00" in str(due()), 60)
    finally:
        platform.integrator("project", "configure", "demo", "--zone", "UTC")
