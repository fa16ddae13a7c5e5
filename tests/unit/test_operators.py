"""The operators: what they refuse, what they hand on, and what leaves them. Airflow is imported, no platform is started."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.services.demo import ROOT
from tests.services.moving import HASH_KEY, flow
from tests.services.system import System, record
from tests.services.warm import with_airflow

CODE = """
import json, sys, types, warnings
warnings.simplefilter("ignore")
from integrator.operators.{module} import {name}
task = {name}(task_id="items", project="acme", pipe="sync", flow="items", dags=sys.argv[1])
run = types.SimpleNamespace(dag_id="acme.sync", run_id="manual__1", run_type="manual")
context = {{"dag_run": run, "ti": types.SimpleNamespace(try_number=int(sys.argv[2]), max_tries=3), "params": json.loads(sys.argv[3]), "task_reschedule_count": int(sys.argv[4])}}
assert task.template_fields == ()
try:
    print("RESULT", json.dumps(task.execute(context)))
except BaseException as error:
    said = str(getattr(error, "reschedule_date", "")) or str(error)
    print("RESULT", json.dumps([type(error).__name__, said, str(error.__cause__), error.__suppress_context__]))
"""
KEY = "x" * 43 + "="


def execute(
    folder: Path,
    system: System,
    *,
    module: str = "move_records",
    tries: int = 4,
    parked: int = 0,
    params: Any = None,
    **environ: str,
) -> Any:
    dags = folder / "dags"
    connection = {"conn_type": "integrator_none", "host": system.url, "extra": {"plain_http": True}}
    name = "".join(word.capitalize() for word in module.split("_"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "INTEGRATOR_"))}
    env = {
        **kept, "AIRFLOW_HOME": str(folder / "af"), "AIRFLOW__CORE__FERNET_KEY": KEY, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW_CONN_ACME__THERE": json.dumps(connection),
        "AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'journal.db'}", "AIRFLOW__INTEGRATOR__HASH_KEY": HASH_KEY, "AIRFLOW__INTEGRATOR__BACK_OFF_S": "0.01",
        "AIRFLOW__INTEGRATOR__ATTEMPTS": "2", "PYTHONPATH": str(ROOT / "plugins"), **environ,
    }  # fmt: skip
    from integrator.store.database import upgrade

    upgrade(f"sqlite:///{folder / 'journal.db'}")
    code = folder / "code.py"
    code.write_text(CODE.format(module=module, name=name), "utf-8")
    asked = (str(code), str(dags), str(tries), json.dumps(params or {}), str(parked))
    out, err = with_airflow().start(*asked, cwd=folder, env=env).communicate(120)
    lines = [line for line in out.splitlines() if line.startswith("RESULT ")]
    assert lines, err[-3000:]
    return json.loads(lines[-1].removeprefix("RESULT "))


@pytest.fixture
def folder(tmp_path: Path, system: System) -> Path:
    (tmp_path / "dags" / "acme").mkdir(parents=True)
    (tmp_path / "dags" / "acme" / "sync.yaml").write_text(yaml.safe_dump({"flows": {"items": flow(tolerate=1)}}))
    system.records = [record(n) for n in range(10)]
    system.on_write = lambda one: "refuse" if one["ext"] == "r3" else "ok"
    return tmp_path


def test_only_numbers_status_and_run_id_leave_the_task(folder: Path, system: System) -> None:
    made = execute(folder, system)
    assert isinstance(made, dict), made
    assert (made["status"], made["read"], made["created"], made["failed"]) == ("partial", 10, 9, 1)
    assert all(isinstance(value, int) for name, value in made.items() if name not in ("run_id", "status"))
    system.on_write = lambda _one: "ok"
    again = execute(folder, system, module="rerun_failed", params={"which": "these IDs", "entity_ids": ["r3", "r4"]})
    assert (again["read"], again["created"]) == (1, 1)
    assert system.duplicates() == []


def test_project_variables_come_from_airflow_when_the_task_runs(folder: Path, system: System) -> None:
    (folder / "dags" / "acme" / "sync.yaml").write_text(
        yaml.safe_dump({"flows": {"items": flow(map={"ext": "id", "wh": "vars.warehouse"}, tolerate=1)}})
    )
    kind, said, *_ = execute(folder, system)
    assert kind == "AirflowFailException"
    assert "AIRFLOW_VAR_ACME__WAREHOUSE" in said
    assert execute(folder, system, AIRFLOW_VAR_ACME__WAREHOUSE="main")["created"] == 9
    assert {one["wh"] for one in system.stored} == {"main"}


@pytest.mark.parametrize("key", ["", "short"])
def test_without_a_fernet_key_nothing_moves(folder: Path, system: System, key: str) -> None:
    kind, said, cause, quiet = execute(folder, system, AIRFLOW__CORE__FERNET_KEY=key)
    assert (kind, cause, quiet) == ("AirflowFailException", "None", True)
    assert "AIRFLOW__CORE__FERNET_KEY" in said
    assert system.stored == []


def test_a_worker_with_a_key_for_tokens_has_no_use_for_airflows(folder: Path, system: System) -> None:
    made = execute(folder, system, AIRFLOW__CORE__FERNET_KEY="", AIRFLOW__INTEGRATOR__TOKEN_KEY=KEY)
    assert made["created"] == 9
    kind, said, cause, quiet = execute(folder, system, AIRFLOW__CORE__FERNET_KEY=KEY, AIRFLOW__INTEGRATOR__TOKEN_KEY="short")
    assert (kind, cause, quiet, "AIRFLOW__INTEGRATOR__TOKEN_KEY" in said) == ("AirflowFailException", "None", True, True)


def test_without_a_journal_of_its_own_nothing_moves(folder: Path, system: System) -> None:
    kind, said, *_ = execute(folder, system, AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN="")
    assert kind == "AirflowFailException"
    assert "sql_alchemy_conn" in said


def test_only_what_may_get_better_is_tried_again_by_airflow(folder: Path, system: System) -> None:
    from aiohttp import web

    system.on_read = lambda _request: web.Response(status=503)
    kind, said, _cause, quiet = execute(folder, system, tries=1)
    assert (kind, quiet) == ("AirflowException", True)
    assert "not ready" in said
    system.on_read = lambda _request: web.Response(status=401)
    assert execute(folder, system, tries=1)[0] == "AirflowFailException"


def test_a_long_wait_gives_the_worker_back_and_uses_no_retry(folder: Path, system: System) -> None:
    from aiohttp import web

    system.on_write = lambda one: "later" if one["ext"] == "r5" else "ok"
    system.answers_more = {"later": lambda: web.Response(status=429, headers={"Retry-After": "3600"})}
    one_by_one = {"AIRFLOW__INTEGRATOR__IN_FLIGHT_START": "1", "AIRFLOW__INTEGRATOR__IN_FLIGHT_MAX": "1"}
    for tries in (1, 4):  # the last try too
        kind, when, _cause, quiet = execute(folder, system, tries=tries, **one_by_one)
        assert (kind, quiet) == ("AirflowRescheduleException", True)
        wait_s = (datetime.fromisoformat(when) - datetime.now(UTC)).total_seconds()
        assert 3500 < wait_s <= 3601
        assert len(system.stored) == 5
    system.on_write = lambda _one: "ok"
    made = execute(folder, system, tries=4, parked=2)
    assert (made["status"], made["created"]) == ("success", 10)  # one flow run from first to last
    assert system.duplicates() == []


def test_nobody_is_parked_for_days_or_for_ever(folder: Path, system: System) -> None:
    from aiohttp import web

    system.on_read = lambda _request: web.Response(status=429, headers={"Retry-After": str(3 * 86_400)})
    kind, said, *_ = execute(folder, system, tries=1)
    assert kind == "AirflowFailException"
    assert "come back in 259,200 s" in said
    assert "park_max_s (86,400 s)" in said
    kind, said, *_ = execute(folder, system, tries=1, parked=50)
    assert kind == "AirflowException"
    assert "a retry is used" in said


def test_more_failures_than_tolerated_are_told_with_where_to_rerun(folder: Path, system: System) -> None:
    system.on_write = lambda _one: "refuse"
    kind, said, *_ = execute(folder, system)
    assert kind == "AirflowFailException"
    assert "acme.sync.rerun" in said


@pytest.mark.parametrize(
    "params",
    [
        {"which": "these IDs"},
        {"which": "failures of one run"},
        {"which": "failures of one error class"},
        {"which": "these IDs", "entity_ids": ["x"] * 1 + [str(n) for n in range(1001)]},
    ],
)
def test_a_form_that_was_not_filled_in_says_so(folder: Path, system: System, params: Any) -> None:
    kind, said, *_ = execute(folder, system, module="rerun_failed", params=params)
    assert kind == "AirflowFailException"
    assert said.startswith("give")
