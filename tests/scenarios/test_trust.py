"""Trust in a cut-over: look at one record on both sides, compare all of them, preview what would be done; nothing is written or kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from integrator.cli import cli
from tests.services.office import Served


def write(dags: Path, name: str, flows: dict[str, Any]) -> None:
    (dags / "acme").mkdir(parents=True, exist_ok=True)
    (dags / "acme" / f"{name}.yaml").write_text(yaml.safe_dump({"flows": flows}))


class Shell:
    """The command line in a home of its own."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *systems: Served) -> None:
        self.dags, self.home = tmp_path / "dags", tmp_path / "home"
        for one in systems:
            value = {"conn_type": "integrator_none", "host": one.url, "extra": {"plain_http": True}}
            monkeypatch.setenv(f"AIRFLOW_CONN_ACME__{one.name.upper()}", json.dumps(value))

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(cli, [*words, "--dags", str(self.dags), "--home", str(self.home)])

    def json(self, *words: str) -> Any:
        made = self.run(*words, "--json")
        assert made.stdout, made.stderr
        return json.loads(made.stdout)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Served, erp: Served) -> Shell:
    made = Shell(tmp_path, monkeypatch, shop, erp)
    write(made.dags, "customers", {"customers": {
        "source": {"connector": "rest", "credential": "shop", "path": "/customers", "records": "data", "entity_id": "id",
                   "pages": {"by": "offset", "per_page": 20, "total": "total"}, "by_id": {"path": "/customers/{entity_id}"}},
        "look_up": {"group": {"credential": "erp", "path": "/groups", "params": {"code": "{group}"}, "records": "data", "take": "id"}},
        "map": {"email": "lower(email)", "name": "name", "group_id": "look_up.group"},
        "destination": {"connector": "rest", "credential": "erp", "path": "/customers",
                        "match": {"params": {"email": "{email}"}, "records": "data", "same": "skip"},
                        "list": {"records": "data", "key": "email", "pages": {"by": "offset", "per_page": 20, "total": "total"}}},
        "tolerate": 1,
    }})  # fmt: skip
    shop.office.put(
        "customers", *({"id": f"c{n}", "email": f"C{n}@x.example", "name": f"name {n}", "group": f"g{n % 2}"} for n in range(50))
    )
    shop.office.put("customers", {"id": "odd", "email": "odd@x.example", "name": "odd", "group": "unknown"})
    erp.office.put("groups", {"id": "1", "code": "g0"}, {"id": "2", "code": "g1"})
    return made


def ids(erp: Served) -> dict[str, str]:
    return {one["email"]: str(one["id"]) for one in erp.office.all("customers")}


def test_compare_names_what_is_missing_different_and_extra_and_moves_it(shell: Shell, shop: Served, erp: Served) -> None:
    ran = shell.json("run", "acme/customers")
    assert ran["flows"]["customers"]["created"] == 50
    erp.office.remove("customers", ids(erp)["c3@x.example"])
    erp.office.change("customers", ids(erp)["c4@x.example"], name="someone changed it")
    erp.office.put("customers", {"email": "extra@x.example"})
    writes = erp.office.calls["POST customers"], erp.office.calls["PATCH customers"]
    told = shell.json("compare", "acme/customers")["customers"]
    # Whether "odd" is there cannot be told while it fails, so nothing is called extra.
    assert told == {"read": 51, "same": 48, "missing": ["c3"], "different": ["c4"], "extra": [], "failed": ["odd"]}
    shop.office.change("customers", "odd", group="g0")
    told = shell.json("compare", "acme/customers")["customers"]
    assert told == {
        "read": 51,
        "same": 48,
        "missing": ["c3", "odd"],
        "different": ["c4"],
        "extra": ["extra@x.example"],
        "failed": [],
    }
    assert (erp.office.calls["POST customers"], erp.office.calls["PATCH customers"]) == writes
    made = shell.run("compare", "acme/customers")
    assert made.exit_code == 1
    assert "customers missing c3" in made.stdout
    assert "51 read, 48 the same, 2 missing, 1 different, 1 extra" in made.stderr
    assert "customers: 3 read, 2 created, 1 updated" in shell.run("compare", "acme/customers", "--move").stderr
    erp.office.remove("customers", ids(erp)["c9@x.example"])
    moved = shell.json("compare", "acme/customers", "--move")["customers"]
    assert (moved["missing"], moved["moved"]["created"]) == (["c9"], 1)
    again = shell.json("compare", "acme/customers")["customers"]
    assert (again["missing"], again["different"]) == ([], [])


def test_trace_shows_both_sides_the_difference_and_the_history(shell: Shell, erp: Served) -> None:
    shell.run("run", "acme/customers")
    erp.office.change("customers", ids(erp)["c4@x.example"], name="changed")
    told = shell.json("trace", "acme/customers", "c4")[0]
    one = told["records"][0]
    assert (one["would"], one["changes"]) == ("update", {"name": {"from": "changed", "to": "name 4"}})
    assert (one["source"]["email"], one["record"]["email"], one["found"]["name"]) == ("C4@x.example", "c4@x.example", "changed")
    assert told["history"] == []
    odd = shell.json("trace", "acme/customers", "odd")[0]
    assert (odd["records"][0]["would"], odd["history"][0]["state"], odd["history"][0]["stage"]) == ("fail", "open", "look_up")
    words = shell.run("trace", "acme/customers", "c4").stdout
    assert "a run would update it" in words
    assert 'differs: name: "changed" -> "name 4"' in words
    assert "the source has no such record any more" in shell.run("trace", "acme/customers", "nobody").stdout


def test_trace_keeps_nothing(shell: Shell) -> None:
    shell.run("trace", "acme/customers", "c4")
    kept = b"".join(file.read_bytes() for file in shell.home.rglob("*") if file.is_file())
    assert b"name 4" not in kept
    assert b"c4@x.example" not in kept


def test_preview_looks_up_and_creates_nothing(shell: Shell, erp: Served) -> None:
    told = shell.json("preview", "acme/customers", "--limit", "51")
    assert {one["would"] for one in told} == {"create", "fail"}
    assert told[1]["record"]["group_id"] == "2"
    assert erp.office.all("customers") == []


def test_compare_without_a_match_says_what_is_missing(shell: Shell) -> None:
    flow = {"source": {"connector": "memory", "path": "/m", "entity_id": "id"}, "map": {"id": "id"},
            "destination": {"connector": "memory", "path": "/n"}}  # fmt: skip
    write(shell.dags, "plain", {"plain": flow})
    made = shell.run("compare", "acme/plain")
    assert "no match:" in str(made.exception)
