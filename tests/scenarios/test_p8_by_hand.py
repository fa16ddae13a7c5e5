"""P8: what a user deletes by hand goes for good: by run, pipe, project and date, of ours and of Airflow's, and nothing beside it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integrator.errors import ConfigError
from integrator.store.console import SqlConsole
from integrator.store.console_deleting import left_over
from integrator.store.console_files import FolderObjects
from integrator.store.deleting import choose
from integrator.store.ledger import Deleted, Ledger
from tests.services.airflow_schema import NOW, MakeAirflow
from tests.services.installation import Installation, audit


@pytest.fixture(params=["sqlite", "postgres"])
def there(request: pytest.FixtureRequest, new_airflow: MakeAirflow, tmp_path: Path) -> Installation:
    return Installation(new_airflow(request.param), tmp_path)


CHOICES: dict[str, tuple[tuple[str | None, str | None, str | None], float, set[str]]] = {
    "a run": ((None, None, "acme-sync-10"), -1, {"acme-sync-10"}),
    "a pipe": (("acme", "sync", None), -1, {"acme-sync-1", "acme-sync-10"}),
    "a project": (("acme", None, None), -1, {"acme-sync-1", "acme-sync-10", "acme-other-1", "acme-other-10"}),
    "what is older": (("acme", None, None), 5, {"acme-sync-10", "acme-other-10"}),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_what_is_chosen_goes_everywhere_and_nothing_else(there: Installation, choice: str) -> None:
    (project, pipe, run_id), days, gone = CHOICES[choice]
    before = there.left()
    chosen = choose(there.engine, project, pipe, run_id, NOW - timedelta(days=days))
    dry = there.delete(chosen, dry=True)
    assert there.left() == before
    assert there.delete(chosen) == dry
    after = there.left()
    # A run that goes on stays; its console log, and what is known of failed records, is as old as it is, and goes.
    beside = {"acme-sync-0"} if choice in ("a pipe", "a project") else set()
    for name, also in {"runs": set(), "flow_runs": set(), "failures": beside, "console_logs": beside}.items():
        assert set(before[f"integrator_{name}"]) - set(after[f"integrator_{name}"]) == gone | also, name
    assert set(before["objects"]) - set(after["objects"]) == gone | beside
    in_airflow = {f"{name.rpartition('-')[0].replace('-', '.')} manual__{name.rpartition('-')[2]}_success" for name in gone}
    for name in ("dag_run", "xcom"):
        assert set(before[name]) - set(after[name]) == in_airflow, name
    assert there.delete(chosen) == ({}, {})


def test_a_run_that_is_not_there_is_refused(there: Installation) -> None:
    for where in ((None, None, "nowhere"), ("foreign", None, "acme-sync-1"), ("acme", "other", "acme-sync-1")):
        with pytest.raises(ConfigError, match="there is no run"):
            choose(there.engine, *where, NOW)


def test_the_ledger_remembers_without_ids_and_forgets_what_no_backup_can_bring_back(tmp_path: Path) -> None:
    ledger = Ledger(FolderObjects(tmp_path))
    for days in (400, 3):
        ledger.note(
            Deleted("all", "acme", NOW - timedelta(days=days), "cli:x", run_id=f"r{days}", before=NOW - timedelta(days=days + 1))
        )
    (tmp_path / "_deletions" / "broken.json").write_bytes(b"{")
    assert [entry.run_id for _, entry in ledger.entries()] == ["r400", "r3"]
    assert ledger.forget(NOW - timedelta(days=365)) == 1
    [(_, entry)] = ledger.entries()
    assert entry.up_to == NOW - timedelta(days=4)


def test_the_command_asks_first_and_tells_what_went(installation: tuple[Installation, Any]) -> None:
    there, call = installation
    asked = call("delete", "acme/sync")
    assert (asked.returncode, "say so with --yes" in asked.stderr) == (2, True)
    assert call("delete").returncode == 2
    dry = json.loads(call("delete", "acme/sync", "--dry-run", "--json").stdout)
    done = call("delete", "acme/sync", "--yes", "--json")
    told = json.loads(done.stdout)
    assert (told["deleted"], told["still_going"], told["airflow"]) == (dry["deleted"], 1, True)
    assert (told["deleted"]["runs"], told["deleted"]["airflow_dag_run"], told["deleted"]["airflow_log"]) == (2, 2, 3)
    assert left_over(SqlConsole(there.engine), there.objects, None, None) == []
    [line] = audit(there).lines("acme")
    assert (line.line.action, line.line.target, line.line.came, line.line.detail["runs"]) == (
        "retention.delete",
        "acme/sync",
        "done",
        2,
    )
    [(_, entry)] = Ledger(there.objects).entries()
    assert (entry.what, entry.project, entry.pipe, entry.before) == ("all", "acme", "sync", None)
    assert datetime.now(UTC) - entry.at < timedelta(minutes=1)


def test_purge_tells_both_halves_and_says_where_it_has_no_way(installation: tuple[Installation, Any]) -> None:
    there, call = installation
    dry = json.loads(call("purge", "--dry-run", "--json").stdout)
    told = json.loads(call("purge", "--json").stdout)
    assert [one["deleted"] for one in told["airflow"]] == [one["deleted"] for one in dry["airflow"]]
    assert {one["project"] for one in told["airflow"]} == {one["project"] for one in told["ours"]} == {"acme", "foreign"}
    done = {one.line.target: (one.line.action, one.line.detail["plan"]) for one in audit(there).lines("acme")}
    assert done == dict.fromkeys(("ours", "airflow"), ("retention.purge", "standard"))
    assert {one.line.target: one.line.detail["projects"] for one in audit(there).lines("")} == {"ours": 2, "airflow": 2}
    assert audit(there).verify() == []
    without = call("purge", given={"INTEGRATOR_MAINTENANCE_CONN": "", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": ""})
    assert (without.returncode, "no maintenance connection here" in without.stderr) == (0, True)
    assert call("purge", "--only", "airflow", given={"INTEGRATOR_MAINTENANCE_CONN": ""}).returncode == 2
    lost = call("project", "configure", "acme", "--plan", "gold")
    assert (lost.returncode, "no plan 'gold'" in lost.stderr) == (2, True)
    gold = {"AIRFLOW__INTEGRATOR__PLANS": "gold: run_days=1 failure_days=1 console_days=1 audit_days=30"}
    assert call("project", "configure", "acme", "--plan", "gold", given=gold).returncode == 0
    gone = call("purge", "acme")
    assert (gone.returncode, "nothing of it was deleted" in gone.stderr) == (1, True)
