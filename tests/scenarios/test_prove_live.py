"""`integrator prove-no-copy --pipe`: a real pipe is run, and what flowed is searched for; a copy of it would be found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from integrator.cli import cli
from tests.services.moving import flow
from tests.services.system import System, record

NOTE = "Ünusual words of customer {n}"


class Office:
    """A pipe between two real servers, in a home of its own."""

    def __init__(self, folder: Path, system: System) -> None:
        self.home, self.dags, self.system = folder / "home", folder / "dags", system
        (self.dags / "acme").mkdir(parents=True)
        changes: dict[str, Any] = {"map": {"ext": "id", "name": "name", "note": "note", "when": "updated_at"}, "tolerate": 100}
        (self.dags / "acme" / "sync.yaml").write_text(yaml.safe_dump({"flows": {"items": flow(**changes)}}))
        system.records = [
            record(n, id=f"order-{n}-2026", note=NOTE.format(n=n), updated_at="2026-01-02T03:04:05Z") for n in range(20)
        ]
        there = {"conn_type": "integrator_none", "host": system.url, "extra": {"plain_http": True}}
        self.environ = {"AIRFLOW_CONN_ACME__THERE": json.dumps(there), "AIRFLOW_HOME": str(folder / "airflow")}

    def prove(self, *more: str) -> tuple[int, Any, Any]:
        words = ["prove-no-copy", "--pipe", "acme/sync", "--dags", str(self.dags), "--home", str(self.home), *more]
        made = CliRunner().invoke(cli, words, env=self.environ)
        told = json.loads(made.stdout) if "--json" in more and made.stdout else made.stdout
        return made.exit_code, told, made.exception


@pytest.fixture
def office(tmp_path: Path, system: System, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.chdir(tmp_path)
    return Office(tmp_path, system)


def test_a_real_pipe_leaves_nothing_also_where_records_fail(office: Office) -> None:
    office.system.on_write = lambda one: "refuse" if one["ext"].startswith("order-1") else "ok"
    code, told, fault = office.prove("--json")
    assert code == 0, (told, fault)
    assert (told["hits"], told["complete"]) == (0, True)
    assert told["values"] >= 20
    assert [one["stage"] for one in told["stages"]] == ["run of items"]
    assert len(office.system.stored) == 9
    assert sum(one["bytes"] for one in told["searched"]) > 10_000


@pytest.mark.parametrize("how", ["a file", "a table"])
def test_a_copy_of_what_flows_would_be_found(office: Office, how: str) -> None:
    assert office.prove("--json")[0] == 0
    if how == "a file":
        (office.home / "task.log").write_text("\n".join(NOTE.format(n=n) for n in range(20)), "utf-8")
    else:
        import sqlite3

        with sqlite3.connect(office.home / "integrator.db") as c:
            c.execute("CREATE TABLE xcom (value TEXT)")
            c.executemany("INSERT INTO xcom VALUES (?)", [(NOTE.format(n=n),) for n in range(20)])
        c.close()
    code, told, _fault = office.prove("--json")
    assert code == 1
    assert told["hits"] >= 20
    code, report, _fault = office.prove("--yes")
    assert "MARKS WERE FOUND" in report
    assert "customer" not in report  # a report never shows what it has found


def test_ids_and_dates_that_are_kept_by_right_are_no_hits(office: Office) -> None:
    office.system.on_write = lambda _one: "refuse"
    code, told, _fault = office.prove("--json")
    assert (code, told["hits"]) == (0, 0), told
    assert b"order-3-2026" in b"".join(one.read_bytes() for one in office.home.rglob("*") if one.is_file())


def test_nothing_to_move_proves_nothing_and_nobody_is_run_without_being_asked(office: Office) -> None:
    office.system.records = []
    code, _told, fault = office.prove("--json")
    assert code == 1
    assert "nothing flowed" in str(fault)
    code, _told, fault = office.prove()
    assert "say so with --yes" in str(fault)
