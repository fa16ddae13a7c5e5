"""The API over a real server and a real database, without an Airflow: who is signed in is said by the token or the cookie itself."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests
import uvicorn
from fastapi import Request
from sqlalchemy import Engine, create_engine, delete, insert
from sqlalchemy.orm import sessionmaker
from starlette.applications import Starlette
from starlette.routing import Mount

from integrator.actions.credentials import Found
from integrator.errors import ConfigError, ConflictError, NotSignedInError
from integrator.model.access import Kind, Role
from integrator.model.credential import Credential
from integrator.settings import Settings
from integrator.store.database import open_engine, upgrade, writing
from integrator.store.sealing import Sealer
from integrator.store.sign_in_groups import USERS, SqlGroups
from integrator.store.sign_in_groups import metadata as sign_in
from integrator.store.tables import metadata
from integrator.store.tokens import SqlTokens
from integrator.web.app import application
from integrator.web.asking import COOKIE, signed_in_user, standing
from integrator.web.parts import WebParts, parts_over, web_parts
from integrator.wiring import for_tests

PLATFORM, OWNER, ADMINISTRATOR, STANDARD, NEIGHBOUR, NOBODY = "boss", "olga", "adam", "stan", "nora", "noel"
EVERYBODY = (PLATFORM, OWNER, ADMINISTRATOR, STANDARD, NEIGHBOUR, NOBODY)
GROUPS = {ADMINISTRATOR: ("demo-team",)}
SECRET = "a-secret-that-no-answer-holds"
ORIGIN = "https://integrator.example"


class Connections:
    """Credentials in memory, as a store has them."""

    def __init__(self) -> None:
        self.rows: dict[str, Credential | str] = {}

    def every(self, project: str | None) -> dict[str, Found]:
        return {name: Found("memory", one) for name, one in self.rows.items() if project in (None, name.partition("__")[0])}

    def get(self, project: str, name: str) -> Credential | None:
        found = self.rows.get(f"{project}__{name}")
        if isinstance(found, str):
            raise ConfigError(found)
        return found

    def save(self, credential: Credential, *, replace: bool) -> None:
        if credential.conn_id in self.rows and not replace:
            raise ConflictError("it is there")
        json.dumps(dict(credential.extra), allow_nan=False).encode()
        self.rows[credential.conn_id] = credential

    def remove(self, project: str, name: str) -> bool:
        return self.rows.pop(f"{project}__{name}", None) is not None


@dataclass
class ApiServer:
    """The API of one installation, with projects `acme` and `other`, and a folder `wild` that nobody owns."""

    parts: WebParts
    airflow: Engine
    store: Connections
    url: str = ""
    app: Any = None
    dags: set[str] = field(default_factory=set)
    _line: requests.Session = field(default_factory=requests.Session)

    def ask(
        self, who: str | None, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, **more: Any
    ) -> requests.Response:
        """Return the answer to a call as somebody, by token; or as nobody who is signed in."""
        sent = {**({"Authorization": f"Bearer {who}"} if who else {}), **(headers or {})}
        if body is not None:
            more["json"] = body
        answer = self._line.request(method, f"{self.url}/v1{path}", headers=sent, timeout=30, allow_redirects=False, **more)
        for name, value in (
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
        ):
            assert answer.headers[name] == value, (method, path, answer.status_code)
        if answer.status_code >= 400:
            told = answer.json()
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert (told["status"], bool(told["detail"]), told["type"][:8]) == (answer.status_code, True, "urn:prob"), told
        return answer

    def by_cookie(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """Return the answer to a call that a browser makes."""
        return self.ask(None, method, path, body, headers={"Cookie": f"{COOKIE}={who}", **headers})

    def begin(self) -> None:
        """Empty the database, and give the roles."""
        with writing(self.parts.engine) as c:
            for table in reversed(metadata.sorted_tables):
                c.execute(delete(table))
        with self.airflow.begin() as c:
            for table in sign_in.sorted_tables:
                c.execute(delete(table))
            c.execute(insert(USERS), [{"username": name} for name in EVERYBODY])
        self.store.rows.clear()
        for project, name, url in (
            ("acme", "shop", "https://shop.example.com/api"),
            ("other", "theirs", "https://theirs.example.com"),
        ):
            self.store.save(Credential(project, name, "basic", url, {"username": "ann", "password": SECRET}), replace=False)
        members = self.parts.members
        members.create("acme", OWNER, "test")
        members.create("other", NEIGHBOUR, "test")
        members.grant("acme", Kind.USER, STANDARD, Role.STANDARD, "test")
        members.grant("acme", Kind.GROUP, "demo-team", Role.ADMINISTRATOR, "test")

    def roles(self, project: str = "acme") -> dict[str, str]:
        """Return who has which role."""
        return {one.name: one.role.value for one in self.parts.members.of(project)}

    def lines(self, project: str | None = None) -> list[tuple[str, str, str]]:
        """Return the audit, the oldest first: who, what, and what came of it."""
        return [(o.line.actor, o.line.action, o.line.came.value) for o in self.parts.audit.lines(project)][::-1]


async def _user(request: Request) -> Any:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    name = token if scheme.lower() == "bearer" else request.cookies.get(COOKIE)
    if not name or name == "expired":
        raise NotSignedInError("sign in")
    return SimpleNamespace(get_name=lambda: name)


@contextmanager
def api_server(folder: Path, migrated: Path | None = None) -> Iterator[ApiServer]:
    """Serve it until the end."""
    file = folder / "api.db"
    if migrated is not None:
        shutil.copy(migrated, file)
    settings = Settings(sql_alchemy_conn=f"sqlite:///{file}", hash_key="a2V5", home=str(folder))
    upgrade(settings.database_url)
    airflow = create_engine(f"sqlite:///{folder / 'airflow.db'}")
    sign_in.create_all(airflow)
    dags, store = {"wild"}, Connections()
    tokens = SqlTokens(open_engine(settings.database_url), Sealer("x" * 43 + "="))
    around = replace(for_tests(replace(settings, allowed_networks="127.0.0.0/8"), {}).around(), tokens=tokens)
    made = ApiServer(
        parts_over(settings, SqlGroups(sessionmaker(airflow).begin), store, around, origin=ORIGIN, with_dags=lambda: dags),
        airflow,
        store,
        dags=dags,
    )

    def stands(request: Request) -> Any:
        name = (request.headers.get("authorization", "").partition(" ")[2]) or request.cookies.get(COOKIE, "")
        if name == PLATFORM:
            return SimpleNamespace(platform=True, roles={})
        return SimpleNamespace(platform=False, roles=made.parts.members.roles(name, GROUPS.get(name, ())))

    app = made.app = application()
    app.dependency_overrides |= {signed_in_user: _user, standing: stands, web_parts: lambda: made.parts}
    outer = Starlette(routes=[Mount("/integrator", app)])  # as Airflow mounts it
    config = uvicorn.Config(outer, port=0, log_level="error", ws="none", lifespan="off", access_log=False, proxy_headers=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    made.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/integrator"
    try:
        yield made
    finally:
        server.should_exit = True
        thread.join(10)
        made.parts.engine.dispose()
        airflow.dispose()
