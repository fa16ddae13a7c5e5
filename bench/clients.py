"""The clients that move the records: the product itself, and peers in their own environments."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.records import entity_id, is_refused
from bench.running import ROOT, Cost, Servers, measure, plain_environ
from bench.workloads import Workload

ENVS = ROOT / "bench" / ".envs"
PIPE = "bench/orders"
ACCOUNT = {"username": "BENCH\\mover", "password": "bench-password"}


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of one client."""

    cost: Cost
    well: bool
    said: str = ""
    """In words, how it ended."""
    failed_ids: frozenset[str] | None = field(default=None, repr=False)
    """Which records it says have failed; None where it cannot say."""


Client = Callable[[Workload, Servers, Path, int], Ran]


def integrator(workload: Workload, servers: Servers, folder: Path, records: int) -> Ran:
    """Run the product: its command line, a pipe in YAML, a new SQLite journal. Its numbers must add up."""
    project = folder / "dags" / "bench"
    project.mkdir(parents=True)
    (project / "orders.yaml").write_text(workload.pipe())
    environ = plain_environ() | {"INTEGRATOR_HOME": str(folder / "home")}
    for name, url in (("SHOP", servers.source), ("ERP", servers.destination)):
        kind, extra = "integrator_bearer", dict[str, Any](token="0123456789abcdef")
        if name == "ERP" and workload.ntlm_slots:
            kind, extra = "integrator_ntlm", {**ACCOUNT, "connections": workload.ntlm_slots}
        value = {"conn_type": kind, "host": url, "extra": {**extra, "plain_http": True}}
        environ[f"AIRFLOW_CONN_BENCH__{name}"] = json.dumps(value)
    command = [sys.executable, "-m", "integrator.cli"]
    with logged(workload.console, command, environ, folder):
        cost = measure([*command, "run", PIPE, "--json"], environ, folder)
    try:
        told = json.loads(cost.out)["flows"]["orders"]
    except (ValueError, KeyError):
        return Ran(cost, well=False, said=(cost.err.strip().splitlines() or ["nothing on standard output"])[-1])
    accounted = sum(told[name] for name in ("created", "updated", "deleted", "skipped", "waiting", "failed", "unknown"))
    well = cost.code == 0 and told["read"] == accounted == records and told["unknown"] == 0
    failed = frozenset[str]()
    if told["failed"]:
        listed = subprocess.run([*command, "failures", PIPE, "--json"], env=environ, cwd=folder, capture_output=True, check=False)
        failed = frozenset(row["entity_id"] for row in json.loads(listed.stdout or b"[]"))
    return Ran(cost, well, f"{told['status']}: {told['read']} read, {told['created']} created, {told['failed']} failed", failed)


@contextmanager
def logged(where: str, command: list[str], environ: dict[str, str], folder: Path) -> Iterator[None]:
    """Switch a console log of everything on; `away` is a port that takes connections and says nothing."""
    if not where:
        yield
        return
    with socket.create_server(("127.0.0.1", 0)) as silent:
        if where == "away":
            keys = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret", "AWS_EC2_METADATA_DISABLED": "true"}
            place = {"STORE": "s3://bench/logs", "ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}", "REGION": "us-east-1"}
            environ |= keys | {f"AIRFLOW__INTEGRATOR__CONSOLE_{name}": value for name, value in place.items()}
        subprocess.run(
            [*command, "console", "enable", PIPE, "--all", "--max-mb", "500"],
            env=environ,
            cwd=folder,
            capture_output=True,
            check=True,
        )
        yield


def peer(name: str) -> Client:
    """Return the client that runs a peer's script with the Python of its own environment."""

    def run(workload: Workload, servers: Servers, folder: Path, _records: int) -> Ran:
        asked: dict[str, Any] = {
            "source": servers.source,
            "destination": servers.destination,
            "bulk": workload.bulk,
            "mapped": workload.mapped,
        }
        script = str(ROOT / "bench" / "peers" / f"{name}_client.py")
        environ = plain_environ() | {"HOME": str(folder), "BENCH": json.dumps(asked), "RUNTIME__DLTHUB_TELEMETRY": "false"}
        cost = measure([str(python_of(name)), script], environ, folder)
        said = (cost.err.strip().splitlines() or [""])[-1][:200]
        try:
            failed = frozenset(json.loads(cost.out)["failed"])
        except (ValueError, KeyError, TypeError):
            failed = None
        return Ran(cost, cost.code == 0, said if cost.code else "ended well", failed)

    return run


def python_of(name: str) -> Path:
    """Return the Python of a peer's environment, which `scripts/bench --peers` makes."""
    return ENVS / name / "bin" / "python"


def expected_failures(workload: Workload, records: int) -> frozenset[str]:
    """Return the IDs that must be named as failed: these and no others."""
    return frozenset(entity_id(n) for n in range(records) if workload.refuses and is_refused(n))


PEERS = {"dlt": "dlt", "singer": "Singer SDK", "requests": "plain requests loop"}
