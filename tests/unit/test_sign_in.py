"""Who may see and do what in Airflow, asked of the auth manager itself over tables as Airflow makes them. Source: PRODUCT.md P10."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from integrator.model.access import Kind, Role
from integrator.store.database import open_engine
from integrator.store.members import SqlMembers
from integrator.store.sign_ins import TABLES
from tests.services.airflow_schema import AirflowDatabase, MakeAirflow, Schema
from tests.services.demo import ROOT
from tests.services.moving import HASH_KEY

ANSWERS = "tests.unit.sign_in_answers"
DAGS = ("demo.orders", "demo.orders.rerun", "other.stock", "integrator.upkeep", "loose", "Demo.orders", "dеmo.orders")
"""The last has a Cyrillic letter."""


def number(
    airflow: AirflowDatabase, user: str, *, active: bool = True, groups: tuple[str, ...] = (), roles: tuple[str, ...] = ()
) -> int:
    """Add a user to the sign-in; returns its number."""
    found = airflow.add("ab_user", username=user, email=user, first_name=user, last_name="X", active=active)["id"]
    for kind, names in (("group", groups), ("role", roles)):
        for name in names:
            key = airflow.add(f"ab_{kind}", name=name)["id"]
            airflow.add(f"ab_user_{kind}", user_id=found, **{f"{kind}_id": key})
    return int(found)


@pytest.fixture(params=["sqlite", "postgresql"])
def airflow(request: pytest.FixtureRequest, new_airflow: MakeAirflow) -> AirflowDatabase:
    return filled(new_airflow(request.param))


@pytest.fixture
def one_airflow(new_airflow: MakeAirflow) -> AirflowDatabase:
    """For what does not depend on the database."""
    return filled(new_airflow("sqlite"))


def filled(made: AirflowDatabase) -> AirflowDatabase:
    for dag_id in DAGS:
        made.dag(dag_id)
    made.add("connection", conn_id="demo__crm", conn_type="http")
    made.add("variable", key="demo__vat", val="1")
    made.add("slot_pool", pool="demo__pool", slots=1)
    made.add("asset", name="demo", uri="x-demo:1")
    return made


def answers(airflow: AirflowDatabase, asked: list[dict[str, Any]], folder: Path) -> list[Any]:
    """Return what the auth manager answers, in a process that has this database for Airflow's and for ours."""
    url = airflow.url.replace("+psycopg:", "+psycopg2:")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "INTEGRATOR_"))}
    environ = {
        **kept, "AIRFLOW_HOME": str(folder / "af"), "INTEGRATOR_HOME": str(folder), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url, "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": url, "AIRFLOW__INTEGRATOR__HASH_KEY": HASH_KEY,
        "AIRFLOW__CORE__AUTH_MANAGER": "integrator.sign_in.IntegratorAuthManager", "AIRFLOW__API_AUTH__JWT_SECRET": HASH_KEY * 4,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")]),
    }  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-m", ANSWERS]
    done = subprocess.run(command, input=json.dumps(asked), env=environ, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    told = next(line for line in done.stdout.splitlines() if line.startswith("ANSWERS"))
    return list(json.loads(told.partition(" ")[2]))


def dag(user: int, dag_id: str | None, method: str = "GET", entity: str | None = None) -> dict[str, Any]:
    return {"do": "dag", "user": user, "method": method, "entity": entity, "dag_id": dag_id}


def members_of(airflow: AirflowDatabase) -> SqlMembers:
    made = SqlMembers(open_engine(airflow.url))
    made.create("demo", "ann", "test")
    made.create("other", "nora", "test")
    return made


def test_roles_come_from_members_and_groups_alone(airflow: AirflowDatabase, tmp_path: Path) -> None:
    members = members_of(airflow)
    members.grant("demo", Kind.GROUP, "ops", Role.STANDARD, "ann")
    boss, ann, bob = number(airflow, "boss", roles=("Admin",)), number(airflow, "ann"), number(airflow, "bob", groups=("ops",))
    members.grant("other", Kind.GROUP, "buyers", Role.STANDARD, "nora")
    members.grant("demo", Kind.GROUP, "Op", Role.STANDARD, "ann")
    sso = number(airflow, "sue", roles=("buyers",))
    noel, gone = number(airflow, "noel", roles=("Op",)), number(airflow, "eve", active=False)
    members.grant("demo", Kind.USER, "eve", Role.STANDARD, "ann")
    who = [boss, ann, bob, noel, gone, 10**6, None]
    listed = answers(airflow, [{"do": "listed", "user": one} for one in [*who, sso]], tmp_path)
    assert set(listed.pop()["dags"]) == {"other.stock"}, "a role that is not Airflow's own is a group"
    mine = {"demo.orders", "demo.orders.rerun"}
    assert [set(one["dags"]) for one in listed] == [set(DAGS), mine, mine, set(), set(), set(), set()]
    for one in listed[1:]:
        assert {name: one[name] for name in one if name not in ("dags", "menu", "views")} == {
            "connections": [], "variables": [], "pools": [], "assets": [], "teams": [], "extra_menu": [], "other": [],
        }  # fmt: skip
    assert listed[0]["connections"] == ["demo__crm"]
    assert listed[0]["variables"] == ["demo__vat"]
    assert listed[0]["pools"] == ["demo__pool"]
    assert len(listed[0]["assets"]) == 1
    assert [one["menu"] for one in listed[1:4]] == [["DAGS", "DOCS", "REQUIRED_ACTIONS"]] * 3
    assert listed[6]["menu"] == listed[6]["views"] == []
    assert [one["views"] for one in listed[1:4]] == [["DOCS", "WEBSITE"]] * 3


CRAFTED = (
    "Demo.orders", "DEMO.orders", "dеmo.orders", "demo\u200b.orders", "ｄｅｍｏ.orders", " demo.orders", "demo .orders", "demo\n.orders", "./demo.orders",
    "../demo.orders", "%64emo.orders", "demo%2eorders", "demo", "demo.", ".demo.orders", "other/../demo.orders", "demo__x.orders", "demo_.orders", "_demo.orders",
    "demo\u3002orders", "demo\uff0eorders", "demo\x00.orders", "other.demo.orders", "integrator.upkeep", "~", "d" * 100_000 + ".x", "demo" * 50_000, "0demo.x",
)  # fmt: skip


def test_a_crafted_name_belongs_to_nobody_or_to_whom_it_says(one_airflow: AirflowDatabase, tmp_path: Path) -> None:
    members_of(one_airflow)
    ann, nora = number(one_airflow, "ann"), number(one_airflow, "nora")
    told = answers(one_airflow, [dag(who, name) for name in CRAFTED for who in (ann, nora)], tmp_path)
    seen = {name: tuple(told[2 * place : 2 * place + 2]) for place, name in enumerate(CRAFTED)}
    assert seen.pop("other.demo.orders") == (False, True), "a name belongs to what stands before its first dot"
    assert set(seen.values()) == {(False, False)}
    things = answers(
        one_airflow, [{"do": "named", "user": ann, "name": name} for name in ("demo__crm", *CRAFTED, None)], tmp_path
    )
    assert set(map(tuple, things)) == {(False,) * 3}


def test_each_role_may_do_what_the_table_says(one_airflow: AirflowDatabase, tmp_path: Path) -> None:
    members = members_of(one_airflow)
    members.grant("demo", Kind.USER, "stan", Role.STANDARD, "ann")
    members.grant("demo", Kind.USER, "adam", Role.ADMINISTRATOR, "ann")
    ann, adam, stan, nora = (number(one_airflow, one) for one in ("ann", "adam", "stan", "nora"))
    rows: list[tuple[str, str | None, tuple[bool, ...]]] = [
        ("GET", None, (True, True, True, False)), ("PUT", None, (True, True, True, False)), ("DELETE", None, (True, True, False, False)), ("POST", None, (False,) * 4),
        ("POST", "RUN", (True, True, True, False)), ("PUT", "RUN", (True, True, True, False)), ("DELETE", "RUN", (True, True, False, False)),
        ("PUT", "TASK_INSTANCE", (True, True, True, False)), ("DELETE", "TASK_INSTANCE", (True, True, False, False)), ("PUT", "HITL_DETAIL", (True, True, True, False)),
        ("GET", "TASK_LOGS", (True, True, True, False)), ("GET", "CODE", (True, True, True, False)), ("GET", "AUDIT_LOG", (True, True, True, False)),
        ("GET", "XCOM", (True, True, True, False)), ("POST", "XCOM", (False,) * 4), ("PUT", "XCOM", (False,) * 4), ("DELETE", "XCOM", (False,) * 4),
    ]  # fmt: skip
    told = answers(
        one_airflow,
        [dag(who, "demo.orders", method, what) for method, what, _ in rows for who in (ann, adam, stan, nora)],
        tmp_path,
    )
    assert {(method, what): tuple(told[4 * place : 4 * place + 4]) for place, (method, what, _) in enumerate(rows)} == {
        (method, what): may for method, what, may in rows
    }


def test_without_a_name_only_what_is_filtered_may_be_listed(one_airflow: AirflowDatabase, tmp_path: Path) -> None:
    members_of(one_airflow)
    ann = number(one_airflow, "ann")
    entities = answers(one_airflow, [{"do": "entities", "user": None}], tmp_path)[0]
    asked = [
        dag(ann, name, method, what)
        for name in (None, "")
        for method in ("GET", "POST", "PUT", "DELETE")
        for what in (None, *entities)
    ]
    told = answers(one_airflow, asked, tmp_path)
    may = {(one["method"], one["entity"]) for one, yes in zip(asked, told, strict=True) if yes}
    assert may == {
        ("GET", what) for what in (None, "DEPENDENCIES", "HITL_DETAIL", "RUN", "TASK_INSTANCE", "VERSION", "WARNING", "XCOM")
    }


def test_what_is_taken_is_gone_at_the_next_question(airflow: AirflowDatabase, tmp_path: Path) -> None:
    members = members_of(airflow)
    members.grant("demo", Kind.USER, "stan", Role.STANDARD, "ann")
    stan, boss = number(airflow, "stan"), number(airflow, "boss", roles=("Admin",))
    take = [
        {"do": "sql", "user": stan, "sql": "DELETE FROM integrator_members WHERE name = 'stan'"}, dag(stan, "demo.orders"),
        {"do": "sql", "user": boss, "sql": "DELETE FROM ab_user_role"}, dag(boss, "demo.orders"),
    ]  # fmt: skip
    assert answers(airflow, [dag(stan, "demo.orders"), dag(boss, "demo.orders"), *take], tmp_path) == [
        True,
        True,
        None,
        False,
        None,
        False,
    ]


def test_a_batch_is_refused_for_one_foreign_member(one_airflow: AirflowDatabase, tmp_path: Path) -> None:
    members_of(one_airflow)
    ann = number(one_airflow, "ann")
    own, foreign = ["demo.orders", "demo.orders.rerun"], ["demo.orders", "other.stock"]
    assert answers(one_airflow, [{"do": "batch", "user": ann, "dags": dags} for dags in (own, foreign)], tmp_path) == [
        True,
        False,
    ]


def test_every_question_of_airflows_auth_manager_is_answered_by_ours(
    airflow_schema: Schema, tmp_path: Path, new_airflow: MakeAirflow
) -> None:
    told = answers(new_airflow("sqlite"), [{"do": "methods", "user": None}], tmp_path)[0]
    # Each asks the single question, which is ours, for every one of a list.
    by_one = {"batch_is_authorized_connection", "batch_is_authorized_pool", "batch_is_authorized_variable"}
    through_ours = {"get_authorized_teams", "get_authorized_menu_items"}
    assert set(told["about_access"]) - set(told["ours"]) == by_one | through_ours
    assert set(told["rest"]) == {
        "apiserver_endpoint", "appbuilder", "build_public_user", "cache", "create_token", "deserialize_user", "flask_app", "generate_jwt", "get_cli_commands",
        "get_db_manager", "get_extra_menu_items", "get_fastapi_app", "get_fastapi_middlewares", "get_url_login", "get_url_logout", "get_user", "get_user_from_token",
        "init", "init_flask_resources", "is_logged_in", "log", "logger", "refresh_user", "register_views", "revoke_token", "security_manager", "serialize_user", "session",
        "sync_dag_perms",
    }  # fmt: skip
    assert told["entities"] == told["entities_known"]
    assert set(told["token"]) == {"sub", "sid"}, (
        "a token says who somebody is and in which session, and nothing of what they may do"
    )


def test_the_sign_ins_tables_are_as_they_are_read(airflow_schema: Schema) -> None:
    for one in TABLES:
        assert {column.name for column in one.columns} <= set(airflow_schema.tables[one.name]["columns"])
