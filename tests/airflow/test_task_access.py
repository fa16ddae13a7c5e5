"""Tasks keep to their project: the Execution API gives a task no connection and no variable of another. Source: issue "Projects", P10."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import jwt
import pytest
import requests

from tests.services.platform import Platform

AUDIENCE = "urn:airflow.apache.org:task"
CONNECTIONS = ("demo__probe", "other__probe", "loose", "OTHER__crm")
VARIABLES = ("demo__rate", "other__rate", "loose_rate")


@pytest.fixture(scope="module")
def platform(embedded_platform: Platform) -> Iterator[Platform]:
    for name in CONNECTIONS:
        status, told = embedded_platform.api(
            "POST", "/connections", {"connection_id": name, "conn_type": "http", "host": "x.example"}
        )
        assert status == 201, told
    for name in VARIABLES:
        assert embedded_platform.api("POST", "/variables", {"key": name, "value": "1"})[0] == 201
    yield embedded_platform
    for name in CONNECTIONS:
        embedded_platform.api("DELETE", f"/connections/{name}")
    for name in VARIABLES:
        embedded_platform.api("DELETE", f"/variables/{name}")


def task_of(platform: Platform, dag_id: str) -> str:
    """Return the ID of some task instance of a DAG."""
    found: list[Any] = []

    def there() -> bool:
        nonlocal found
        found = platform.api("GET", f"/dags/{dag_id}/dagRuns/~/taskInstances?limit=1")[1]["task_instances"]
        return bool(found)

    platform.wait_for(there, 120)
    return str(found[0]["id"])


def asked(platform: Platform, task: str, path: str, method: str = "GET", body: Any = None) -> tuple[int, str]:
    now = int(time.time())
    claims = {"sub": task, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 600}
    token = jwt.encode(claims, platform.env["AIRFLOW__API_AUTH__JWT_SECRET"], algorithm="HS512")
    answer = requests.request(
        method, f"{platform.url}/execution/{path}", json=body, headers={"Authorization": f"Bearer {token}"}, timeout=30
    )
    return answer.status_code, answer.text


def test_a_task_gets_connections_of_its_own_project_and_of_none(platform: Platform) -> None:
    task = task_of(platform, "demo.orders")
    assert asked(platform, task, "connections/demo__probe")[0] == 200
    assert asked(platform, task, "connections/loose")[0] == 200
    assert asked(platform, task, "connections/other__missing")[0] == 403, "nor does it learn which there are"
    for name in (
        "other__probe",
        "OTHER__probe",
        "Other__probe",
        "other%5F%5Fprobe",
        "OTHER__crm",
        "ｏther__probe",
        "other__probe%00",
    ):
        status, text = asked(platform, task, f"connections/{name}")
        assert status in (403, 404), name
        assert "x.example" not in text, name
    status, text = asked(platform, task, "connections/other__probe")
    assert (status, "of project other" in text) == (403, True)


def test_a_task_reads_and_writes_variables_of_its_own_project_and_of_none(platform: Platform) -> None:
    task = task_of(platform, "demo.orders")
    for name, status in (("demo__rate", 200), ("loose_rate", 200), ("other__rate", 403), ("OTHER__rate", 403)):
        assert asked(platform, task, f"variables/{name}")[0] == status, name
    assert asked(platform, task, "variables/other__rate", "PUT", {"val": "2"})[0] == 403
    assert asked(platform, task, "variables/other__rate", "DELETE")[0] == 403
    assert platform.api("GET", "/variables/other__rate")[1]["value"] == "1"


def test_the_platforms_own_dags_work_for_every_project(platform: Platform) -> None:
    task = task_of(platform, "integrator.upkeep")
    for name in ("demo__probe", "other__probe"):
        assert asked(platform, task, f"connections/{name}")[0] == 200


def test_a_task_that_nobody_knows_gets_nothing_of_a_project(platform: Platform) -> None:
    assert asked(platform, str(uuid4()), "connections/demo__probe")[0] == 403


def test_the_doctor_asks_too(platform: Platform) -> None:
    assert "tasks open connections of their own project only" in platform.integrator("doctor")
