"""The command line as other programs rely on it: JSON alone on standard output, exit codes, the same journal everywhere."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.services import warm
from tests.services.demo import ROOT
from tests.services.move_process import Process
from tests.services.moving import MATCH, flow
from tests.services.system import System, record

FLOW_KEYS = [
    "status",
    "read",
    "created",
    "updated",
    "deleted",
    "skipped",
    "waiting",
    "failed",
    "unknown",
    "api_calls",
    "retries",
    "seconds",
]


class Cli:
    """A home, a dags folder and a shell to type in; with `cold`, each command starts Python, as a shell does."""

    cold = False

    def __init__(self, folder: Path, system: System) -> None:
        self.folder, self.dags, self.home = folder, folder / "dags", folder / "home"
        connection = {"conn_type": "integrator_none", "host": system.url, "extra": {"plain_http": True}}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "INTEGRATOR_"))}
        self.environ = {
            **kept,
            "AIRFLOW_CONN_ACME__THERE": json.dumps(connection),
            "AIRFLOW__INTEGRATOR__BACK_OFF_S": "0.01",
            "PYTHONPATH": str(ROOT / "plugins"),
        }

    def pipe(self, made: dict[str, Any], name: str = "sync", **more: Any) -> None:
        (self.dags / "acme").mkdir(parents=True, exist_ok=True)
        (self.dags / "acme" / f"{name}.yaml").write_text(yaml.safe_dump({"flows": {"items": made}, **more}, sort_keys=False))

    def start(self, *arguments: str) -> Process:
        env = {**self.environ, "INTEGRATOR_HOME": str(self.home)}
        if not self.cold:
            return warm.start("integrator.cli", *arguments, cwd=self.folder, env=env)
        command, pipe = [sys.executable, "-m", "integrator.cli", *arguments], subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=env, stdout=pipe, stderr=pipe, text=True)

    def __call__(self, *arguments: str, code: int = 0) -> Any:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, f"{arguments} -> {process.returncode}\n{out}\n{err}"
        self.err = err
        return json.loads(out) if "--json" in arguments and out else out


@pytest.fixture
def cli(tmp_path: Path, system: System) -> Cli:
    made = Cli(tmp_path, system)
    system.records = [record(n) for n in range(20)]
    system.on_write = lambda one: "refuse" if one["ext"] == "r3" else "ok"
    made.pipe(flow(tolerate=1))
    return made


def test_run_failures_rerun_runs(cli: Cli, system: System) -> None:
    cli.cold = True
    report = cli("run", "acme/sync", "--json")
    assert report["status"] == "partial"
    assert list(report["flows"]["items"]) == FLOW_KEYS
    assert (report["flows"]["items"]["read"], report["flows"]["items"]["failed"]) == (20, 1)
    [failure] = cli("failures", "acme/sync", "--json")
    assert list(failure)[:4] == ["entity_id", "flow", "stage", "error"]
    assert (
        failure["entity_id"],
        failure["error"],
        failure["http_status"],
        failure["code"],
        failure["attempts"],
        failure["state"],
    ) == ("r3", "RecordRefusedError", 422, "BAD_RECORD", 1, "open")
    assert failure["run_id"] == report["run_id"]
    system.on_write = lambda _one: "ok"
    again = cli("rerun", "acme/sync", "--run", report["run_id"], "--json")
    assert again["flows"]["items"]["created"] == 1
    assert cli("failures", "acme/sync", "--json") == []
    assert [one["state"] for one in cli("failures", "acme/sync", "--state", "resolved", "--json")] == ["resolved"]
    runs = cli("runs", "--json")
    assert [(one["trigger"], one["status"]) for one in runs] == [("rerun", "success"), ("manual", "partial")]
    assert system.duplicates() == []


def test_exit_codes(cli: Cli, system: System) -> None:
    cli("run", "acme/sync", "--json")
    cli.pipe(flow())
    cli("run", "acme/sync", "--json", code=1)  # one failed record, none tolerated
    cli("run", "acme/nope", "--json", code=2)
    cli("run", "nope/sync", code=2)
    cli("run", "sync", code=2)
    cli("run", code=2)
    cli("run", "acme/sync", "--flow", "nope", code=2)
    cli("run", "acme/sync", "--full", "--from", "2026-01-01", code=2)
    cli("run", "acme/sync", "--from", "2026-01-01", code=2)
    cli("rerun", "acme/sync", code=2)
    cli("nonsense", code=2)
    cli.pipe({**flow(), "map": {"a": "loer(x)"}}, "faulty")
    cli("run", "acme/faulty", code=2)
    assert "did you mean 'lower'" in cli.err
    del cli.environ["AIRFLOW_CONN_ACME__THERE"]
    assert cli("run", "acme/sync", "--json", code=2)["status"] == "failed"
    assert "AIRFLOW_CONN_ACME__THERE" in cli.err


def test_standard_output_holds_json_alone_when_a_run_fails(cli: Cli, system: System) -> None:
    cli.cold = True
    system.on_write = lambda _one: "unauthorized"
    report = cli("run", "acme/sync", "--json", code=1)
    assert report["status"] == report["flows"]["items"]["status"] == "failed"
    assert "refuses the credential" in cli.err


def test_interrupted_is_130(cli: Cli, system: System) -> None:
    cli.cold = True
    system.latency_s = 0.2
    cli.pipe(flow(destination={"in_flight": 1}))
    process = cli.start("run", "acme/sync", "--json")
    while len(system.stored) < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, _err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(out)["flows"]["items"]["status"] == "cancelled"
    [run] = cli("runs", "--json")
    assert run["status"] == "cancelled"
    assert run["flows"]["items"]["created"] == len(system.stored)


def test_preview_writes_and_keeps_nothing(cli: Cli, system: System) -> None:
    system.stored = [{"ext": "r1", "name": "old"}]
    cli.pipe(
        flow(
            where='id != "r2"',
            map={"ext": "id", "name": "name", "n": "10 / (amount - 3)"},
            destination={"match": {**MATCH, "found": "update"}},
        )
    )
    rows = cli("preview", "acme/sync", "--limit", "4", "--json")
    assert [(row["entity_id"], row["would"]) for row in rows] == [
        ("r0", "create"),
        ("r1", "update"),
        ("r2", "skip"),
        ("r3", "fail"),
    ]
    assert rows[1]["changes"]["name"] == {"from": "old", "to": "name 1"}
    assert len(system.stored) == 1
    assert cli("runs", "--json") == []
    assert "r1: " in cli("preview", "acme/sync", "--limit", "2")


def test_check(cli: Cli) -> None:
    assert cli("check", "--json") == {"pipes": ["acme.sync"], "faults": []}
    cli.pipe({**flow(), "map": {"a": "loer(x)", "b": "__class__"}}, "faulty")
    found = cli("check", "--json", code=2)
    assert found["pipes"] == ["acme.sync"]
    assert [list(fault) for fault in found["faults"]] == [["file", "line", "path", "message", "cure"]] * 2
    assert {fault["file"] for fault in found["faults"]} == {"acme/faulty.yaml"}
    assert cli("check", "acme/sync.yaml", "--json")["faults"] == []
    assert cli("check", "dags/acme/faulty.yaml", "--json", code=2)["faults"]
    cli("check", "nothing.yaml", code=2)
    cli("check", "--dags", "nowhere", code=2)


def test_cursor(cli: Cli, system: System) -> None:
    cli.pipe(flow(source={"params": {"since": "{since}"}, "since": {"field": "updated_at"}}, tolerate=1))
    assert cli("cursor", "show", "acme/sync", "--json") == {"items": None}
    cli("run", "acme/sync")
    assert cli("cursor", "show", "acme/sync", "--json") == {"items": "2026-01-01T00:00:19Z"}
    assert cli("cursor", "set", "acme/sync", "2026-01-01T00:00:10Z", "--json") == {"items": "2026-01-01T00:00:10Z"}
    assert cli("run", "acme/sync", "--json")["flows"]["items"]["read"] == 10
    cli("cursor", "set", "acme/sync", "soon", code=2)
    cli("cursor", "set", "acme/sync", "none")
    assert cli("cursor", "show", "acme/sync", "--json") == {"items": None}


def test_init_makes_a_good_pipe_and_overwrites_nothing(cli: Cli) -> None:
    cli("init", "dags/shop_two")
    assert "shop_two.orders" in cli("check", "--json")["pipes"]
    cli("init", "dags/shop_two", code=2)
    cli("init", "dags/Bad-Name", code=2)


def test_the_home_and_its_files_are_private(cli: Cli) -> None:
    cli("run", "acme/sync")
    assert stat.S_IMODE(cli.home.stat().st_mode) == 0o700
    for file in cli.home.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_a_full_disk_is_told_and_nothing_that_was_kept_is_lost(cli: Cli, system: System) -> None:
    """The SQLite file may not grow any more: the run ends with words, and what was noted stays."""
    import sqlite3

    cli("run", "acme/sync", "--json")
    system.records = [record(n, id="x" * 240 + str(n)) for n in range(3000)]
    system.on_write = lambda _one: "refuse"
    cli.pipe(flow(tolerate="100%"))
    limit = cli.home / "integrator.db"
    with sqlite3.connect(limit) as database:
        before = database.execute("select count(*) from integrator_failures").fetchone()[0]
    # A process may write files up to a size only; SQLite sees it as a full disk.
    size = sum(f.stat().st_size for f in cli.home.iterdir()) + 200_000
    command = f"ulimit -f {size // 512}; exec {sys.executable} -m integrator.cli run acme/sync --json"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=cli.folder,
        env={**cli.environ, "INTEGRATOR_HOME": str(cli.home)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    with sqlite3.connect(limit) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        assert database.execute("select count(*) from integrator_failures").fetchone()[0] >= before
    report = cli("run", "acme/sync", "--json")
    assert report["flows"]["items"]["read"] == 3000


def test_help_of_every_command(cli: Cli) -> None:
    from integrator.cli import COMMANDS

    for name in COMMANDS:
        assert "Usage:" in cli(name, "--help")
