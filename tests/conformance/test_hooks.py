"""Hooks in people's own DAGs: a signed session from Airflow's connection, for a DAG of the credential's project only."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pydoc import locate
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions._internal.contextmanager import _CURRENT_CONTEXT

from integrator.errors import AccessError
from integrator.hooks.basic import BasicHook
from integrator.provider import hook_class
from integrator.registry import SCHEMES
from tests.services.system import System, record

PAIR = b64encode(b"integrator:a-password").decode()


@pytest.fixture(autouse=True)
def _connection(monkeypatch: pytest.MonkeyPatch, system: System) -> None:
    extra = {"username": "integrator", "password": "a-password", "plain_http": True}
    connection = {"conn_type": "integrator_basic", "host": system.url, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ACME__THERE", json.dumps(connection))


@pytest.fixture
def in_dag() -> Iterator[Callable[[str], None]]:
    def put(dag_id: str) -> None:
        context: Any = {"dag": DAG(dag_id, schedule=None)}
        _CURRENT_CONTEXT.append(context)

    yield put
    _CURRENT_CONTEXT.clear()


@pytest.mark.parametrize("dag_id", ["acme.report", "acme.folder.report"])
def test_a_dag_of_the_project_gets_a_signed_session(system: System, in_dag: Callable[[str], None], dag_id: str) -> None:
    system.records = [record(1)]
    in_dag(dag_id)
    with BasicHook("acme__there").get_conn() as session:
        assert session.get("/items").status_code == 200
    assert {one["Authorization"] for one in system.headers_seen} == {f"Basic {PAIR}"}


@pytest.mark.parametrize("dag_id", ["other.report", "acme_report", "acme__there", "report"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_dag_of_another_project_gets_none_whatever_the_scheme(in_dag: Callable[[str], None], dag_id: str, scheme: str) -> None:
    in_dag(dag_id)
    with pytest.raises(AccessError, match=r"acme__there belongs to project acme, and this DAG does not"):
        locate(hook_class(scheme))("acme__there").get_conn()  # type: ignore[operator]
