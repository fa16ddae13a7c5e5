"""A system that asks for a long wait: the task gives its worker back, uses no retry, and goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.services.moving import flow
from tests.services.platform import Platform
from tests.services.system import System, record


@pytest.fixture
def impatient(tmp_path: Path, system: System) -> Iterator[Platform]:
    """A platform whose workers sit through waits of a second only, with the pipe demo.polite."""
    platform = Platform(tmp_path)
    connection = {"conn_type": "integrator_none", "host": system.url, "extra": {"plain_http": True}}
    platform.home.mkdir(mode=0o700)
    (platform.home / "env").write_text(
        f"AIRFLOW__INTEGRATOR__WAIT_MAX_S=1\nAIRFLOW__INTEGRATOR__IN_FLIGHT_MAX=1\nAIRFLOW_CONN_DEMO__THERE={json.dumps(connection)}\n"
    )
    (platform.home / "env").chmod(0o600)
    (platform.dags / "demo" / "polite.yaml").write_text(yaml.safe_dump({"flows": {"items": flow()}}), "utf-8")
    try:
        yield platform.start()
    finally:
        platform.stop()


def test_the_worker_is_given_back_and_the_flow_run_goes_on(impatient: Platform, system: System) -> None:
    system.records = [record(n) for n in range(10)]
    system.on_write = lambda one: "later" if one["ext"] == "r5" else "ok"
    system.answers_more = {"later": lambda: web.Response(status=429, headers={"Retry-After": "14"})}
    status, run = impatient.trigger("demo.polite")
    assert status == 200, run
    place = f"/dags/demo.polite/dagRuns/{run['dag_run_id']}"

    def task() -> dict[str, Any]:
        return dict(impatient.api("GET", f"{place}/taskInstances/items")[1])

    impatient.wait_for(lambda: task().get("state") == "up_for_reschedule", 60)
    asked_at = time.monotonic()
    assert len(system.stored) == 5
    system.on_write = lambda _one: "ok"
    impatient.wait_for(lambda: impatient.api("GET", place)[1]["state"] in ("success", "failed"), 90)
    assert time.monotonic() - asked_at > 8
    done = task()
    assert (done["state"], done["try_number"]) == ("success", 1)
    assert system.duplicates() == []
    kept = impatient.api("GET", f"{place}/taskInstances/items/xcomEntries/return_value")[1]["value"]
    told = kept if isinstance(kept, dict) else json.loads(kept)
    assert (told["status"], told["created"]) == ("success", 10)
