"""Connections in Airflow's own pages: a form per scheme, a Test that says what is wrong, secrets that nobody sees again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from integrator.auth.scheme import COMMON
from integrator.registry import SCHEMES, find
from tests.services.demo import free_port
from tests.services.platform import Platform


def _fields(scheme: str) -> set[str]:
    return {one.name for one in (*find("scheme", scheme).FIELDS, *COMMON)}


FORMS = {f"integrator_{scheme}": _fields(scheme) for scheme in SCHEMES}
SECRETS = {one.name for scheme in SCHEMES for one in (*find("scheme", scheme).FIELDS, *COMMON) if one.secret}
CANARY = "canary-of-a-secret-9f31"


def test_the_provider_the_plugin_and_our_tables_load_clean(embedded_platform: Platform) -> None:
    providers = {one["package_name"] for one in embedded_platform.api("GET", "/providers?limit=100")[1]["providers"]}
    plugins = [one["name"] for one in embedded_platform.api("GET", "/plugins")[1]["plugins"]]
    assert "integrator" in providers
    assert plugins == ["integrator"]
    assert embedded_platform.api("GET", "/plugins/importErrors")[1]["total_entries"] == 0
    assert embedded_platform.api("GET", "/importErrors")[1]["total_entries"] == 0


@pytest.mark.parametrize(("conn_type", "fields"), FORMS.items())
def test_each_scheme_has_its_form(embedded_platform: Platform, conn_type: str, fields: set[str]) -> None:
    forms = {one["connection_type"]: one for one in embedded_platform.api("GET", "/connections/hook_meta", root="/ui")[1]}
    form = forms[conn_type]
    assert {*form["extra_fields"]} == fields
    assert form["hook_name"].startswith("Integrator: ")
    assert form["standard_fields"]["host"]["title"] == "Base URL"
    shown = {name for name, field in form["standard_fields"].items() if field and not field["hidden"]}
    assert shown == {"host"}
    hidden_as_typed = {name for name, field in form["extra_fields"].items() if field["schema"].get("format") == "password"}
    assert hidden_as_typed == fields & SECRETS
    assert all(field["description"] and field["schema"]["title"] for field in form["extra_fields"].values())


def _shop(platform: Platform, **changes: Any) -> dict[str, Any]:
    made = json.loads(platform.env["AIRFLOW_CONN_DEMO__SHOP"])
    extra = {**made["extra"], "test_path": "/rest/V1/orders?per_page=1", **changes.pop("extra", {})}
    host = changes.pop("host", made["host"])
    return {"connection_id": "demo__tested", "conn_type": made["conn_type"], "host": host, "extra": json.dumps(extra), **changes}


@pytest.mark.parametrize(
    ("changes", "works", "words"),
    [
        ({}, True, "signed in: /rest/V1/orders"),
        ({"extra": {"password": "not-the-password"}}, False, "refuses this sign-in (401): check user, password"),
        ({"host": f"http://127.0.0.1:{free_port()}"}, False, "nothing answers there"),
        ({"host": "127.0.0.1"}, False, "base URL with its scheme"),
        ({"extra": {"plain_http": False}}, False, "http"),
        ({"extra": {"test_path": "/nowhere"}}, True, "the sign-in is not proven"),
        ({"extra": {"username": "a:b"}}, False, "colon"),
        ({"host": "http://10.0.0.1"}, False, "allowed_networks"),
    ],
)
def test_the_test_button_says_what_is_wrong(
    embedded_platform: Platform, changes: dict[str, Any], works: bool, words: str
) -> None:
    body = _shop(embedded_platform, **changes)
    status, answer = embedded_platform.api("POST", "/connections/test", body)
    assert (status, answer["status"]) == (200, works), answer
    assert words in answer["message"]
    assert json.loads(body["extra"])["password"] not in answer["message"]


@pytest.fixture(params=FORMS)
def stored(request: pytest.FixtureRequest, embedded_platform: Platform) -> Iterator[dict[str, Any]]:
    """A connection in Airflow's store whose secrets are canaries."""
    extra = dict.fromkeys(FORMS[request.param] & SECRETS, CANARY) | {"plain_http": True}
    if "username" in FORMS[request.param]:
        extra["username"] = "someone"
    body = {"connection_id": "demo__stored", "conn_type": request.param, "host": "http://127.0.0.1:9", "extra": json.dumps(extra)}
    status, answer = embedded_platform.api("POST", "/connections", body)
    assert status == 201, answer
    yield {"answer": answer}
    embedded_platform.api("DELETE", "/connections/demo__stored")


def test_a_stored_secret_is_shown_by_no_page_and_lies_encrypted(embedded_platform: Platform, stored: dict[str, Any]) -> None:
    answers = [
        stored["answer"],
        embedded_platform.api("GET", "/connections"),
        embedded_platform.api("GET", "/connections/demo__stored"),
        embedded_platform.api("PATCH", "/connections/demo__stored?update_mask=host", {
            "connection_id": "demo__stored", "conn_type": stored["answer"]["conn_type"], "host": "http://127.0.0.1:10"}),
        embedded_platform.api("GET", "/eventLogs?limit=500"),
    ]  # fmt: skip
    assert CANARY not in json.dumps(answers)
    with closing(sqlite3.connect(f"file:{embedded_platform.home / 'airflow.db'}?mode=ro", uri=True)) as database:
        row = database.execute(
            "SELECT is_extra_encrypted, extra, host, login, password FROM connection WHERE conn_id = 'demo__stored'"
        ).fetchone()
    assert row[0] == 1
    assert row[1].startswith("gAAAA")
    assert "someone" not in json.dumps(row)
