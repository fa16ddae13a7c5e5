"""People of a running platform, and things of a project that its neighbours must not see. `python -m tests.services.people` prints every route."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import requests
from sqlalchemy import MetaData, create_engine, delete, insert, select

from integrator.model.access import Kind, Role
from integrator.store.database import open_engine
from integrator.store.members import SqlMembers
from tests.services.demo import ROOT
from tests.services.platform import Platform

PASSWORD = "a-long-password-of-nobody-in-particular"
PLATFORM, OWNER, ADMINISTRATOR, STANDARD, NEIGHBOUR, NOBODY = "boss", "olga", "adam", "stan", "nora", "noel"
MEMBERS, STRANGERS = (OWNER, ADMINISTRATOR, STANDARD), (NEIGHBOUR, NOBODY)
EVERYBODY = (PLATFORM, *MEMBERS, *STRANGERS)
FAB_ROLES = {PLATFORM: ["Admin"], NEIGHBOUR: ["Op"], NOBODY: ["Viewer", "User"]}
"""Strangers have what opens all DAGs in a plain Airflow; members have nothing at all."""
GROUP, SPARE = "demo-team", "spare"
SECRET = "shown-to-demo-only"
MARKS = ("demo.orders", "demo__", "/demo/", "demo/", SECRET)
PIPE = """\
description: Nothing in particular
flows:
  things:
    source: {connector: rest, credential: there, path: /things, entity_id: id}
    map: {id: id}
    destination: {connector: rest, credential: there, path: /others}
"""


@dataclass
class People:
    """Six users of a platform, and what project demo has.

    Attributes:
        things: values for the parameters in addresses, all of project demo.
        shown: an ID of a record of project demo that failed.
    """

    platform: Platform
    members: SqlMembers
    things: dict[str, str] = field(default_factory=dict)
    shown: str = ""
    _tokens: dict[str, str] = field(default_factory=dict)
    _line: requests.Session = field(default_factory=requests.Session)

    def token(self, who: str) -> str:
        """Return somebody's token; the same one as long as the tests run."""
        if who not in self._tokens:
            answer = requests.post(f"{self.platform.url}/auth/token", json={"username": who, "password": PASSWORD}, timeout=30)
            assert answer.status_code == 201, answer.text
            self._tokens[who] = answer.json()["access_token"]
        return self._tokens[who]

    def ask(self, who: str | None, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Return status and text of a call as somebody, or as nobody who is signed in."""
        headers = {"Authorization": f"Bearer {self.token(who)}"} if who else {}
        answer = self._line.request(
            method, f"{self.platform.url}{path}", json=body, headers=headers, timeout=60, allow_redirects=False
        )
        self._line.cookies.clear()
        return answer.status_code, answer.text

    def marks_in(self, text: str) -> list[str]:
        """Return what shows of project demo in a text."""
        return [mark for mark in (*MARKS, self.shown) if mark in text]

    def browser(self, who: str) -> requests.Session:
        """Return a session that signed in with the form, as a browser does."""
        session, page = requests.Session(), f"{self.platform.url}/auth/login/"
        form = session.get(page, timeout=30).text
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
        assert found, form[:500]
        sent = {"csrf_token": found[1], "username": who, "password": PASSWORD}
        answer = session.post(page, data=sent, timeout=30, allow_redirects=False)
        assert answer.status_code == 302, answer.text[:500]
        session.csrf = {"csrf_token": found[1]}  # type: ignore[attr-defined]
        return session

    @contextmanager
    def without(self, table: str, who: str) -> Iterator[None]:
        """Take somebody out of their group, or their role in the sign-in from them, for a while."""
        with self._database() as c:
            cursor = c.execute(f"SELECT * FROM {table} WHERE user_id = (SELECT id FROM ab_user WHERE username = ?)", (who,))
            rows, names = cursor.fetchall(), [column[0] for column in cursor.description]
            c.execute(f"DELETE FROM {table} WHERE user_id = (SELECT id FROM ab_user WHERE username = ?)", (who,))
        assert rows
        try:
            yield
        finally:
            with self._database() as c:
                c.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", rows)

    @contextmanager
    def switched_off(self, who: str) -> Iterator[None]:
        """Switch a user off for a while."""
        try:
            with self._database() as c:
                c.execute("UPDATE ab_user SET active = 0 WHERE username = ?", (who,))
            yield
        finally:
            with self._database() as c:
                c.execute("UPDATE ab_user SET active = 1 WHERE username = ?", (who,))

    def forget_what_was_asked(self) -> None:
        """Take the event log's lines of these people: their own words about project demo stand in them."""
        with self._database() as c:
            c.executemany("DELETE FROM log WHERE owner = ?", [(who,) for who in EVERYBODY])

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.platform.home / "airflow.db", timeout=60)) as c, c:
            yield c


@contextmanager
def people_of(platform: Platform) -> Iterator[People]:
    """Make the users, roles and things; all goes again, since other tests use the platform too."""
    url = platform.env["AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN"]
    made = People(platform, SqlMembers(open_engine(url)))
    folder = platform.dags / "other"
    folder.mkdir()
    (folder / "stock.yaml").write_text(PIPE, "utf-8")
    (folder / "load_pipes.py").write_text((platform.dags / "demo" / "load_pipes.py").read_text("utf-8"), "utf-8")
    with _rows(platform.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]) as (put, ask_rows):
        try:
            _users(platform)
            _roles(made, put, ask_rows)
            _things(made, put)
            platform.wait_for(lambda: _lives(platform, "other.stock"), 60)
            yield made
        finally:
            for project in ("demo", "other"):
                made.members.forget(project)
            made.forget_what_was_asked()
            for who in EVERYBODY:
                platform.api("DELETE", f"/fab/v1/users/{who}", root="/auth")
            platform.api("DELETE", "/connections/demo__crm")
            platform.api("DELETE", "/connections/demo__tried")
            platform.api("DELETE", "/variables/demo__vat")
            platform.api("DELETE", "/pools/demo__pool")
            (folder / "stock.yaml").unlink()
            (folder / "load_pipes.py").unlink()
            folder.rmdir()


def _lives(platform: Platform, dag_id: str) -> bool:
    """Tell whether Airflow has a DAG that is not one of an earlier test's, whose file is gone."""
    status, told = platform.api("GET", f"/dags/{dag_id}")
    return status == 200 and not told["is_stale"]


@contextmanager
def _rows(url: str) -> Iterator[Any]:
    """Put rows into Airflow's database that no call makes, and take them away again."""
    engine = create_engine(url, connect_args={"timeout": 60})
    names = ["ab_user", "ab_group", "ab_user_group", "log", "import_error", "asset", "backfill"]
    metadata = MetaData()
    metadata.reflect(engine, only=names)
    put: list[tuple[Any, Any]] = []

    def add(name: str, /, **values: Any) -> int:
        table = metadata.tables[name]
        with engine.begin() as c:
            key = c.execute(insert(table).values(values)).inserted_primary_key
        assert key is not None
        put.append((table, table.c.id == key[0]))
        return int(key[0])

    def number_of(user: str) -> int:
        table = metadata.tables["ab_user"]
        with engine.connect() as c:
            return int(c.scalar(select(table.c.id).where(table.c.username == user)) or 0)

    try:
        yield add, number_of
    finally:
        with engine.begin() as c:
            for table, which in reversed(put):
                c.execute(delete(table).where(which))
        engine.dispose()


def _users(platform: Platform) -> None:
    for who in EVERYBODY:
        body = {
            "username": who, "password": PASSWORD, "email": f"{who}@example.com", "first_name": who, "last_name": "X",
            "roles": [{"name": name} for name in FAB_ROLES.get(who, ["Public"])],
        }  # fmt: skip
        status, told = platform.api("POST", "/fab/v1/users", body, root="/auth")
        assert status in (200, 201), told


def _roles(made: People, put: Any, number_of: Any) -> None:
    """Give roles: the administrator's comes by a group, the others' by themselves."""
    made.members.create("demo", OWNER, "test")
    made.members.create("other", NEIGHBOUR, "test")
    made.members.grant("demo", Kind.USER, STANDARD, Role.STANDARD, "test")
    made.members.grant("demo", Kind.GROUP, GROUP, Role.ADMINISTRATOR, "test")
    put("ab_group", name=SPARE)
    group = put("ab_group", name=GROUP)
    put("ab_user_group", user_id=number_of(ADMINISTRATOR), group_id=group)


def _things(made: People, put: Any) -> None:
    platform, now = made.platform, datetime.now(UTC).replace(tzinfo=None)
    extra = {"token": "x"}
    connection = {
        "connection_id": "demo__crm",
        "conn_type": "integrator_bearer",
        "host": "https://crm.example.com",
        "extra": json.dumps(extra),
    }
    for path, body in (
        ("/connections", connection), ("/connections", {**connection, "connection_id": "demo__tried", "host": "https://127.0.0.1:1"}), ("/variables", {"key": "demo__vat", "value": SECRET}),
        ("/pools", {"name": "demo__pool", "slots": 1, "include_deferred": False}),
    ):  # fmt: skip
        status, told = platform.api("POST", path, body)
        assert status == 201, told
    ended = "/dags/demo.orders/dagRuns?limit=1&order_by=id&state=success"
    platform.wait_for(lambda: platform.api("GET", ended)[1]["dag_runs"], 120)
    run = platform.api("GET", ended)[1]["dag_runs"][0]
    tries = str(platform.api("GET", f"/dags/demo.orders/dagRuns/{run['dag_run_id']}/taskInstances/orders")[1]["try_number"])
    detail = platform.api("GET", "/dags/demo.orders")[1]
    lines = platform.api("GET", "/eventLogs?dag_id=demo.orders&limit=1")[1]["event_logs"]
    failed = json.loads(platform.integrator("failures", "demo/orders", "--json"))
    made.shown = str(_first_id(failed))
    asset = put(
        "asset", name=f"demo/{SECRET}", uri=f"x-demo://demo/{SECRET}", group="asset", extra={}, created_at=now, updated_at=now
    )
    fault = put(
        "import_error", timestamp=now, filename="demo/gone.py", bundle_name="dags-folder", stacktrace=f"demo__crm {SECRET}"
    )
    back = put("backfill", dag_id="demo.orders", from_date=now, to_date=now, is_paused=True, reprocess_behavior="none",
               max_active_runs=1, created_at=now, completed_at=now, updated_at=now, dag_run_conf={})  # fmt: skip
    made.things = {
        "dag_id": "demo.orders", "dag_run_id": run["dag_run_id"], "run_id": run["dag_run_id"], "task_id": "orders", "map_index": "-1",
        "try_number": tries, "task_try_number": tries, "xcom_key": "return_value", "version_number": "1", "asset_id": str(asset),
        "asset_alias_id": "1", "backfill_id": str(back), "connection_id": "demo__crm", "import_error_id": str(fault),
        "event_log_id": str(lines[0]["event_log_id"]) if lines else str(put("log", dttm=now, dag_id="demo.orders", event="trigger", extra=SECRET)),
        "pool_name": "demo__pool", "variable_key": "demo__vat", "section": "core", "option": "dags_folder", "key": "k", "group_id": "g",
        "file_token": detail["file_token"], "username": OWNER, "name": "Admin", "project": "demo", "pipe": "orders", "token": "x" * 40, "offset": "0",
        "task_instance_id": str(uuid4()), "connection_test_id": str(uuid4()),
        "kind": "users", "member": "mia", "group": SPARE, "user": OWNER, "credential": "tried",
        "nameless": str(put("log", dttm=now, dag_id=None, event="cli", extra=f"demo__crm {SECRET}")),
    }  # fmt: skip


def _first_id(failed: Any) -> str:
    rows = failed["failures"] if isinstance(failed, dict) else failed
    return str(rows[0]["entity_id"])


def routes_of(platform: Platform) -> list[tuple[str, str]]:
    """Return method and path of everything that the API server answers, its own list of them."""
    environ = {
        **platform.env, "AIRFLOW__FAB__UPDATE_FAB_PERMS": "False", "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")]),
    }  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-m", "tests.services.people"]
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    told = next(line for line in done.stdout.splitlines() if line.startswith("ROUTES"))
    return [(method, path) for method, path in json.loads(told.partition(" ")[2])]


def _tell() -> None:
    from airflow.api_fastapi.app import create_app

    from integrator.web.app import application

    found: set[tuple[str, str]] = set()

    def note(routes: Any, prefix: str) -> None:
        for route in routes:
            inner = getattr(route, "app", None) if type(route).__name__ == "Mount" else None
            if inner is None:
                found.update((method, prefix + route.path) for method in getattr(route, "methods", None) or [])
            elif type(inner).__name__ == "WSGIMiddleware":
                rules = inner.app.url_map.iter_rules()
                found.update((method, f"{prefix}{route.path} flask {rule.rule}") for rule in rules for method in rule.methods)
            elif type(inner).__name__ == "Lazily":
                note(application().routes, prefix + route.path)
            else:
                note(getattr(inner, "routes", []), prefix + route.path)
                if hasattr(inner, "_latest_version_router"):
                    note(inner._latest_version_router.routes, prefix + route.path)

    note(create_app(apps="all").routes, "")
    print("ROUTES", json.dumps(sorted(one for one in found if one[0] not in ("HEAD", "OPTIONS"))))


def filled(path: str, things: dict[str, str], query: dict[str, str] | None = None) -> str:
    """Return an address with the parameters of a route's path filled in."""
    made = re.sub(r"\{(\w+)(?::path)?\}", lambda found: requests.utils.quote(things[found[1]], safe=""), path)
    return made + (f"?{urlencode(query)}" if query else "")


def until(done: Any, limit_s: float) -> float:
    """Wait until something is true; returns the seconds it took."""
    begun = time.monotonic()
    while not done():
        assert time.monotonic() - begun < limit_s
        time.sleep(0.05)
    return time.monotonic() - begun


if __name__ == "__main__":
    _tell()
