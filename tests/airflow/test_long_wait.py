"""A system that asks for a long wait: the task gives its worker back, uses no retry, and goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.airflow.test_live_pipes import LIVE_S, tags, until
from tests.services.moving import flow
from tests.services.platform import WAIT_MAX_S, Platform
from tests.services.system import System, record

ASKED_S = WAIT_MAX_S + 4
"""The wait that the system asks for."""


@pytest.fixture
def impatient(embedded_platform: Platform, system: System) -> Iterator[Platform]:
    """The platform, whose workers sit through short waits only, with the pipe demo.polite, which makes one call at a time."""
    platform, file = embedded_platform, embedded_platform.dags / "demo" / "polite.yaml"
    connection = {"connection_id": "demo__there", "conn_type": "integrator_none", "host": system.url}
    assert platform.api("POST", "/connections", {**connection, "extra": json.dumps({"plain_http": True})})[0] == 201
    file.write_text(yaml.safe_dump({"flows": {"items": flow(destination={"in_flight": 1})}}), "utf-8")
    until(lambda: "demo" in tags(platform, "demo.polite"), LIVE_S)
    yield platform
    file.unlink()
    platform.api("DELETE", "/connections/demo__there")


def test_the_worker_is_given_back_and_the_flow_run_goes_on(impatient: Platform, system: System) -> None:
    system.records = [record(n) for n in range(10)]
    asked_at: list[float] = []

    def busy(one: dict[str, Any]) -> str:
        if one["ext"] != "r5":
            return "ok"
        asked_at.append(time.monotonic())
        return "later" if len(asked_at) == 1 else "ok"

    system.on_write = busy
    system.answers_more = {"later": lambda: web.Response(status=429, headers={"Retry-After": str(ASKED_S)})}
    status, run = impatient.trigger("demo.polite")
    assert status == 200, run
    place = f"/dags/demo.polite/dagRuns/{run['dag_run_id']}"

    def task() -> dict[str, Any]:
        return dict(impatient.api("GET", f"{place}/taskInstances/items")[1])

    impatient.wait_for(lambda: task().get("state") == "up_for_reschedule", 60)
    assert len(system.stored) == 5
    impatient.wait_for(lambda: impatient.api("GET", place)[1]["state"] in ("success", "failed"), 90)
    assert len(asked_at) == 2
    assert asked_at[1] - asked_at[0] >= ASKED_S
    done = task()
    assert (done["state"], done["try_number"]) == ("success", 1)
    assert system.duplicates() == []
    kept = impatient.api("GET", f"{place}/taskInstances/items/xcomEntries/return_value")[1]["value"]
    told = kept if isinstance(kept, dict) else json.loads(kept)
    assert (told["status"], told["created"]) == ("success", 10)
