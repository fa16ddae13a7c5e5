"""The rerun form moves exactly the failures that it names, and leaves no record behind in Airflow."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.services.platform import Platform

PIPE, RERUN = "demo.orders", "demo.orders.rerun"
NUMBERS = {
    "read",
    "created",
    "updated",
    "deleted",
    "skipped",
    "waiting",
    "failed",
    "unknown",
    "parts",
    "parts_failed",
    "api_calls",
    "retries",
}


@pytest.fixture(scope="module")
def failed(embedded_platform: Platform) -> Iterator[tuple[Platform, list[str]]]:
    """The platform after a partial run, its ERP repaired since; and the IDs that failed."""
    embedded_platform.erp.reset()
    embedded_platform.erp.break_()
    embedded_platform.integrator("run", "demo/orders", "--full")
    ids = open_ids(embedded_platform)
    assert len(ids) == 24
    embedded_platform.erp.repair()
    yield embedded_platform, ids
    embedded_platform.erp.repair()


def open_ids(platform: Platform) -> list[str]:
    return sorted(one["entity_id"] for one in json.loads(platform.integrator("failures", "demo/orders", "--json")))


def rerun(platform: Platform, **form: Any) -> dict[str, Any]:
    """Trigger the rerun DAG as the form does, wait for its end; returns what its task told."""
    run = platform.run_dag(RERUN, {"which": "all open failures", **form})
    assert run["state"] == "success"
    told = platform.api("GET", f"/dags/{RERUN}/dagRuns/{run['dag_run_id']}/taskInstances/orders/xcomEntries/return_value")
    return dict(told[1]["value"])


def test_these_ids_moves_exactly_these(failed: tuple[Platform, list[str]]) -> None:
    platform, ids = failed
    before = platform.erp.counts()["distinct"]
    chosen = [ids[3], ids[17]]
    told = rerun(platform, which="these IDs", entity_ids=[*chosen, f" {chosen[0]} ", ""])
    assert (told["read"], told["created"], told["failed"]) == (2, 2, 0)
    assert open_ids(platform) == sorted({*ids} - {*chosen})
    assert platform.erp.counts()["distinct"] == before + 2


def test_an_error_class_without_failures_moves_nothing_and_one_with_failures_moves_its_own(
    failed: tuple[Platform, list[str]],
) -> None:
    platform, _ = failed
    before = open_ids(platform)
    assert rerun(platform, which="failures of one error class", error="MappingError")["read"] == 0
    assert open_ids(platform) == before


def test_all_open_failures_moves_the_rest_and_each_order_is_there_once(failed: tuple[Platform, list[str]]) -> None:
    platform, _ = failed
    left = len(open_ids(platform))
    told = rerun(platform)
    assert (told["read"], told["created"]) == (left, left)
    assert open_ids(platform) == []
    counts = platform.erp.counts()
    assert (counts["orders"], counts["distinct"], counts["duplicates"]) == (2_000, 2_000, [])
    assert rerun(platform)["read"] == 0


def test_the_failures_of_one_run_are_its_own(failed: tuple[Platform, list[str]]) -> None:
    platform, ids = failed
    platform.erp.reset()
    platform.erp.break_()
    runs = [platform.integrator("run", "demo/orders", "--id", entity_id, "--json", may_fail=True) for entity_id in ids[:2]]
    platform.erp.repair()
    assert open_ids(platform) == ids[:2]
    told = rerun(platform, which="failures of one run", run_id=json.loads(runs[0])["run_id"])
    assert told["read"] == 1
    assert open_ids(platform) == [ids[1]]


def test_a_form_that_is_not_filled_in_is_refused(failed: tuple[Platform, list[str]]) -> None:
    platform, _ = failed
    run = platform.run_dag(RERUN, {"which": "these IDs", "entity_ids": None})
    assert run["state"] == "failed"
    assert "give 1 to 1000 IDs, one a line" in platform.task_log(RERUN, run["dag_run_id"], "orders")
    status, answer = platform.trigger(RERUN, {"which": "everything"})
    assert status in (400, 422), answer


def test_airflow_keeps_counts_and_run_ids_only(failed: tuple[Platform, list[str]]) -> None:
    platform, _ = failed
    with closing(sqlite3.connect(f"file:{platform.home / 'airflow.db'}?mode=ro", uri=True)) as database:
        kept = [value for (value,) in database.execute("SELECT value FROM xcom WHERE dag_id LIKE 'demo.orders%'")]
        rendered = database.execute("SELECT rendered_fields FROM rendered_task_instance_fields WHERE dag_id LIKE 'demo.orders%'")
        fields = [json.loads(one) for (one,) in rendered]
        states = database.execute("SELECT count(*) FROM task_state").fetchone() if _has(database, "task_state") else (0,)
    assert kept
    for text in kept:
        value = json.loads(text)
        value = json.loads(value) if isinstance(value, str) else value
        assert {*value} == {"run_id", "status", *NUMBERS}
        assert {type(value[name]) for name in NUMBERS} == {int}
        assert value["status"] in ("success", "partial")
        assert len(value["run_id"]) == 36
    assert [one for one in fields if one] == []
    assert states == (0,)


def _has(database: sqlite3.Connection, table: str) -> bool:
    return bool(database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone())
