"""P15: who did what, from where and when, for every change, every use of a credential and every look at a log."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from cryptography.fernet import Fernet

from integrator.cli import cli
from integrator.errors import IntegratorError
from tests.services.moving import flow
from tests.services.system import System, record

SECRET = "a-password-that-nobody-sees"


class Line:
    """The command line of one person, in one home."""

    def __init__(self, folder: Path, system: System) -> None:
        self.home, self.dags = folder / "home", folder / "dags"
        (self.dags / "acme").mkdir(parents=True)
        (self.dags / "acme" / "sync.yaml").write_text(yaml.safe_dump({"flows": {"items": flow()}}))
        extra = {"plain_http": True, "token": SECRET}
        self.environ = {
            "AIRFLOW_CONN_ACME__THERE": json.dumps({"conn_type": "integrator_bearer", "host": system.url, "extra": extra}),
            "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(), "SSH_CONNECTION": "192.0.2.7 50000 192.0.2.1 22", "USER": "ann", "LOGNAME": "ann",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}",
        }  # fmt: skip

    def __call__(self, *words: str, dags: bool = False, code: int = 0) -> Result:
        more = ["--dags", str(self.dags)] if dags else []
        made = CliRunner().invoke(cli, [*words, *more, "--home", str(self.home)], env=self.environ)
        if isinstance(made.exception, IntegratorError):
            assert code == 2, made.exception
        else:
            assert made.exit_code == code, f"{made.output}{made.exception!r}"
        return made

    def audit(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self("audit", "list", *words, "--json").stdout)
        return found


@pytest.fixture
def ann(tmp_path: Path, system: System) -> Line:
    system.records = [record(n) for n in range(3)]
    return Line(tmp_path, system)


def test_what_a_person_does_is_noted(ann: Line) -> None:
    ann("project", "configure", "acme", "--console", "reason")
    ann("console", "enable", "acme/sync", dags=True, code=2)  # the project wants a reason
    ann("console", "enable", "acme/sync", "--reason", "ticket 4711", dags=True)
    ann("run", "acme/sync", "--json", dags=True)
    ann("preview", "acme/sync", dags=True)
    run_id = ann.audit("--action", "pipe.run")[0]["detail"]["run"]
    ann("console", "show", "acme/sync")
    ann("console", "disable", "acme/sync")
    ann("console", "delete", "acme/sync", "--run", run_id, "--yes")
    ann("credential", "test", "acme/there", code=0)
    told = [(one["action"], one["came"], one["target"]) for one in reversed(ann.audit())]
    assert told == [
        ("project.configure", "done", "acme"),
        ("console.enable", "refused", "acme/sync"),
        ("console.enable", "done", "acme/sync"),
        ("pipe.run", "done", "acme/sync"),
        ("pipe.preview", "done", "acme/sync"),
        ("console.show", "done", "acme/sync"),
        ("console.disable", "done", "acme/sync"),
        ("console.delete", "done", "acme/sync"),
        ("credential.test", "done", "acme/there"),
    ]
    assert {one["actor"] for one in ann.audit()} == {"cli:ann"}
    assert {one["origin"].partition(" from ")[2] for one in ann.audit()} == {"192.0.2.7"}
    enabled = ann.audit("acme", "--action", "console.enable")[0]["detail"]
    assert (enabled["reason"], enabled["contents"]) == ("ticket 4711", "call")
    deleted = ann.audit("--action", "console.delete")[0]["detail"]
    assert deleted == {"run": run_id, "logs": 1, "objects": 1}


def test_nothing_of_a_record_or_a_secret_stands_in_it(ann: Line) -> None:
    ann("run", "acme/sync", dags=True)
    ann("credential", "test", "acme/there")
    ann("rerun", "acme/sync", "--id", "=cmd|' /C calc'!A0", "--json", dags=True)
    text = ann("audit", "list", "--json").stdout + (ann.home / "audit.log").read_text()
    assert SECRET not in text
    assert "name-1" not in text
    assert "=cmd" not in text


def test_it_is_exported_for_other_programs_and_inert_in_a_spreadsheet(ann: Line) -> None:
    ann.environ |= {"USER": "=1+1", "LOGNAME": "=1+1"}
    ann("project", "configure", "acme", "--plan", "trial")
    ann.environ["SSH_CONNECTION"] = ""
    ann("project", "configure", "acme", "--plan", "business")
    rows = list(csv.DictReader(io.StringIO(ann("audit", "list", "acme", "--csv", "--all").stdout)))
    assert [one["action"] for one in rows] == ["project.configure"] * 2
    assert rows[0]["detail"] == "plan business"
    assert not [cell for one in rows for cell in one.values() if cell.startswith(("=", "+", "-", "@"))]


def test_verify_tells_what_was_done_to_it(ann: Line) -> None:
    for plan in ("trial", "business", "trial"):
        ann("project", "configure", "acme", "--plan", plan)
    whole = ann("audit", "verify", "--json")
    assert json.loads(whole.stdout) == {"whole": True, "tampered": [], "compared_with": str((ann.home / "audit.log").resolve())}
    with sqlite3.connect(ann.home / "integrator.db") as c:
        c.execute("UPDATE integrator_audit SET actor = 'cli:eve' WHERE number = 2")
        c.execute("DELETE FROM integrator_audit WHERE number = 3")
    c.close()
    told = json.loads(ann("audit", "verify", "--json", code=1).stdout)
    assert [one["number"] for one in told["tampered"]] == [2, 3]
    (ann.home / "audit.log").unlink()
    said = ann("audit", "verify", code=1)
    assert "acme, line 2: this line was changed or put in" in said.output
    assert "no log outside the database" in said.output


def test_an_audit_that_cannot_be_written_keeps_the_link_and_the_look_from_anybody(ann: Line) -> None:
    ann("console", "enable", "acme/sync", dags=True)
    ann("run", "acme/sync", dags=True)
    with sqlite3.connect(ann.home / "integrator.db") as c:
        c.execute("DROP TABLE integrator_audit")
    c.close()
    made = CliRunner().invoke(cli, ["console", "show", "acme/sync", "--home", str(ann.home)], env=ann.environ)
    assert isinstance(made.exception, IntegratorError)
    assert made.stdout == ""
