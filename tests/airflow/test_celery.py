"""The CeleryExecutor runs a pipe on a broker, a database and a worker of its own; every executor that we claim imports."""

from __future__ import annotations

import re
from importlib import import_module
from urllib.parse import urlsplit

import pytest
from redis import Redis

from tests.services.deployment import Deployment

EXECUTORS = {
    "LocalExecutor": "airflow.executors.local_executor",
    "CeleryExecutor": "airflow.providers.celery.executors.celery_executor",
}


@pytest.mark.parametrize(("name", "module"), EXECUTORS.items())
def test_every_executor_that_we_claim_imports(name: str, module: str) -> None:
    assert getattr(import_module(module), name)


def test_the_worker_ran_the_pipe(deployment: Deployment) -> None:
    first = deployment.wait_for(lambda: deployment.runs("acme.orders"), 120)[-1]
    path = f"/dags/acme.orders/dagRuns/{first['dag_run_id']}/taskInstances/orders"
    task = deployment.api.call("GET", path)[1]
    assert (task["state"], task["queue"], task["executor"]) == ("success", "default", None)
    log = str(deployment.api.call("GET", f"{path}/logs/1?full_content=true")[1])
    assert "2,000 read, 1,976 created, 24 failed" in log
    # Airflow knows of the task's end before the worker writes that its message is done.
    worker = deployment.logs / "worker.log"
    done = re.compile(r"execute_workload.*succeeded")
    deployment.wait_for(lambda: any(map(done.search, worker.read_text("utf-8", "replace").splitlines())), 30)


def test_the_broker_keeps_no_record_and_no_secret(deployment: Deployment) -> None:
    deployment.wait_for(lambda: deployment.runs("acme.orders"), 120)
    parts = urlsplit(deployment.environ("worker")["AIRFLOW__CELERY__BROKER_URL"])
    with Redis(host=parts.hostname or "", port=parts.port or 0, password=parts.password) as broker:
        kept = b"".join(repr(key).encode() + (broker.dump(key) or b"") for key in broker.scan_iter())
    assert b"100000" not in kept
    assert deployment.variables["AIRFLOW__CORE__FERNET_KEY"].encode() not in kept


def test_a_task_is_not_handed_out_again_while_it_may_still_run(deployment: Deployment) -> None:
    assert int(deployment.environ("worker")["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]) >= 7 * 86_400
