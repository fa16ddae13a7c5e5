"""What the platform does by itself: records that failed for a passing reason are tried again, and nothing else is."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.test_cli import Cli
from tests.services.moving import HASH_KEY, flow
from tests.services.system import System, record

RERUN = {"automatic": True, "attempts": 3, "back_off": "10m"}


def pass_minutes(journal: Path, minutes: int) -> None:
    """Let time pass: whatever was noted was noted so long ago."""
    with sqlite3.connect(journal) as database:
        for table, columns in (
            ("integrator_failures", ("first_failed_at", "last_failed_at")),
            ("integrator_flow_runs", ("started_at", "ended_at")),
            ("integrator_runs", ("started_at",)),
        ):
            changes = ", ".join(f"{name} = strftime('%Y-%m-%d %H:%M:%f', {name}, '-{minutes} minutes')" for name in columns)
            database.execute(f"UPDATE {table} SET {changes}")


@pytest.fixture
def cli(tmp_path: Path, system: System) -> Cli:
    made = Cli(tmp_path, system)
    system.records = [record(n) for n in range(10)]
    system.on_write = lambda one: {"r3": "error", "r5": "error", "r4": "refuse"}.get(one["ext"], "ok")
    made.environ["AIRFLOW__INTEGRATOR__ATTEMPTS"] = "1"
    made.pipe(flow(tolerate=5, rerun=RERUN))
    made.pipe(flow(tolerate=5), "by_hand")
    made.pipe(flow(tolerate=5, rerun=RERUN), "broken")
    return made


def failures(cli: Cli, pipe: str = "acme/sync") -> dict[str, tuple[str, int]]:
    return {one["entity_id"]: (one["error"], one["attempts"]) for one in cli("failures", pipe, "--json")}


def test_due_failures_are_rerun_and_only_they(cli: Cli, system: System) -> None:
    for pipe in ("sync", "by_hand", "broken"):
        cli("run", f"acme/{pipe}", "--json")
    assert failures(cli) == {"r3": ("RecordRefusedError", 1), "r4": ("RecordRefusedError", 1), "r5": ("RecordRefusedError", 1)}
    assert cli("rerun", "--due", "acme/sync", "--json") == []  # not yet
    pass_minutes(cli.home / "integrator.db", 10)
    cli.pipe({**flow(tolerate=5, rerun=RERUN), "map": {"ext": "nonsense("}}, "broken")
    system.on_write = lambda one: {"r3": "error", "r4": "refuse"}.get(one["ext"], "ok")
    [told] = cli("rerun", "--due", "--json", code=2)
    assert "acme/broken is not rerun" in cli.err
    assert (told["pipe"], told["flow"], told["read"], told["created"], told["failed"]) == ("sync", "items", 2, 1, 1)
    assert failures(cli) == {"r3": ("RecordRefusedError", 2), "r4": ("RecordRefusedError", 1)}
    assert failures(cli, "acme/by_hand")["r3"] == ("RecordRefusedError", 1)
    pass_minutes(cli.home / "integrator.db", 10)
    assert cli("rerun", "--due", "acme/sync", "--json") == []  # the second wait is twice as long
    system.on_write = lambda _one: "ok"
    pass_minutes(cli.home / "integrator.db", 10)
    [told] = cli("rerun", "--due", "acme/sync", "--json")
    assert (told["status"], told["created"]) == ("success", 1)
    assert set(failures(cli)) == {"r4"}


def test_reruns_that_find_the_system_away_come_at_doubled_distances(cli: Cli, system: System) -> None:
    from aiohttp import web

    cli("run", "acme/sync", "--json")
    system.on_read = lambda _request: web.Response(status=503)
    for minutes, expected in ((10, 1), (9, 0), (1, 1), (19, 0), (1, 1), (39, 0)):
        pass_minutes(cli.home / "integrator.db", minutes)
        assert len(cli("rerun", "--due", "acme/sync", "--json", code=expected)) == expected, minutes
    assert failures(cli)["r3"] == ("RecordRefusedError", 1)
    system.on_read, system.on_write = lambda _request: None, lambda _one: "ok"
    pass_minutes(cli.home / "integrator.db", 1)
    assert cli("rerun", "--due", "acme/sync", "--json")[0]["created"] == 2


def test_what_failed_in_a_pipe_that_is_gone_is_left_alone(cli: Cli) -> None:
    for pipe in ("sync", "broken"):
        cli("run", f"acme/{pipe}", "--json")
    (cli.dags / "acme" / "broken.yaml").unlink()
    pass_minutes(cli.home / "integrator.db", 10)
    assert [one["pipe"] for one in cli("rerun", "--due", "--json")] == ["sync"]
    cli("rerun", "--due", "--dags", "nowhere", code=2)


def test_automatic_reruns_need_a_way_to_read_by_id(cli: Cli) -> None:
    cli.pipe(flow(source={"by_id": None}, rerun=RERUN))
    [fault] = cli("check", "acme/sync", "--json", code=2)["faults"]
    assert fault["path"] == "flows.items.rerun"


TASKS = """
import json, sys, warnings
warnings.simplefilter("ignore")
from integrator.operators.upkeep import FindDue, RerunDue
lanes = FindDue(task_id="find_due", dags=sys.argv[1]).execute({})
done = [RerunDue(task_id="rerun_due", dags=sys.argv[1], flows=lane).execute({}) for lane in lanes]
print("RESULT", json.dumps([lanes, done]))
"""


def tasks(cli: Cli) -> Any:
    from tests.airflow.test_parsing import run_code

    environ = {name: value for name, value in cli.environ.items() if name.startswith("AIRFLOW_")}
    environ |= {
        "AIRFLOW__CORE__FERNET_KEY": "x" * 43 + "=",
        "AIRFLOW__INTEGRATOR__HASH_KEY": HASH_KEY,
        "AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": f"sqlite:///{cli.home / 'integrator.db'}",
    }
    return run_code(TASKS, cli.folder, str(cli.dags), **environ)


def test_the_upkeeps_tasks_hand_on_names_and_go_on_after_a_flow_that_fails(cli: Cli, system: System) -> None:
    cli.environ["AIRFLOW__INTEGRATOR__HASH_KEY"] = HASH_KEY
    for pipe in ("sync", "broken"):
        cli("run", f"acme/{pipe}", "--json")
    pass_minutes(cli.home / "integrator.db", 10)
    cli.pipe(flow(tolerate=5, rerun=RERUN, map={"ext": "id", "x": "vars.missing"}), "broken")
    system.on_write = lambda _one: "ok"
    lanes, done = tasks(cli)
    assert lanes == [[{"project": "acme", "pipe": name, "flow": "items"}] for name in ("broken", "sync")]
    assert done == [{"read": 0, "failed": 0}, {"read": 2, "failed": 0}]
    assert set(failures(cli)) == {"r4"}
    [run] = [one for one in cli("runs", "acme/sync", "--json") if one["trigger"] == "rerun"]
    assert run["dag_id"] is None
    with sqlite3.connect(cli.home / "integrator.db") as database:
        assert database.execute("SELECT actor FROM integrator_runs WHERE trigger = 'rerun'").fetchall() == [("upkeep",)]
    # What cannot be opened has not been tried, so it stays due; its pipe says why.
    assert tasks(cli) == [[[{"project": "acme", "pipe": "broken", "flow": "items"}]], [{"read": 0, "failed": 0}]]
