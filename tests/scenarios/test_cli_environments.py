"""One folder of pipes in several environments: `with:`, project variables, and what a change would do, from the command line."""

from __future__ import annotations

import pytest
import yaml

from tests.scenarios.test_cli import Cli
from tests.services.moving import flow
from tests.services.system import System, record


@pytest.fixture
def cli(tmp_path, system: System) -> Cli:
    made = Cli(tmp_path, system)
    system.records = [record(n) for n in range(3)]
    made.pipe(flow(map={"ext": {"text": "{with.shop}-{id}"}, "wh": "vars.warehouse"}), **{"with": {"shop": ["us", "eu"]}})
    return made


def test_pipes_of_one_file_run_by_their_own_names_with_this_environments_variables(cli: Cli, system: System) -> None:
    assert cli("check", "--json") == {"pipes": ["acme.sync_us", "acme.sync_eu"], "faults": []}
    cli("run", "acme/sync_us", "--json", code=2)
    assert "AIRFLOW_VAR_ACME__WAREHOUSE" in cli.err
    cli.environ["AIRFLOW_VAR_ACME__WAREHOUSE"] = "main"
    for pipe in ("acme/sync_us", "acme/sync_eu"):
        assert cli("run", pipe, "--json")["status"] == "success"
    assert {(one["ext"], one["wh"]) for one in system.stored} == {(f"{s}-r{n}", "main") for s in ("us", "eu") for n in range(3)}
    assert [one["pipe"] for one in cli("runs", "--json")] == ["sync_eu", "sync_us"]
    cli("run", "acme/sync", "--json", code=2)
    assert "its file makes sync_us, sync_eu" in cli.err
    assert cli("check", "acme/sync_us", "--json")["faults"] == []


def test_a_fault_is_told_once(cli: Cli) -> None:
    text = yaml.safe_load((cli.dags / "acme" / "sync.yaml").read_text())
    text["flows"]["items"]["map"]["bad"] = "loer(id)"
    (cli.dags / "acme" / "sync.yaml").write_text(yaml.safe_dump(text, sort_keys=False))
    assert len(cli("check", "--json", code=2)["faults"]) == 1
