"""People come by OpenID Connect, as docs/how-to/single-sign-on.md says, and have the sessions and the access of everybody else."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from integrator.model.access import Kind, Role
from integrator.store.database import open_engine
from integrator.store.members import SqlMembers
from tests.services.demo import ROOT, free_port
from tests.services.oidc import SECRET, Oidc, provider
from tests.services.platform import Platform

CONFIG = """\
import os
from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride
from flask_appbuilder.const import AUTH_OAUTH

class SignIn(FabAirflowSecurityManagerOverride):
    def get_oauth_user_info(self, provider, answer):
        said = answer["userinfo"]
        return {"username": said["sub"], "email": said["email"], "first_name": said["sub"], "last_name": "", "role_keys": said["groups"]}

SECURITY_MANAGER_CLASS = SignIn
AUTH_TYPE = AUTH_OAUTH
AUTH_USER_REGISTRATION = True
AUTH_USER_REGISTRATION_ROLE = "Public"
AUTH_ROLES_SYNC_AT_LOGIN = True
AUTH_ROLES_MAPPING = {"platform-admins": ["Admin"], "erp-team": ["erp-team"]}
OAUTH_PROVIDERS = [{
    "name": "company",
    "token_key": "access_token",
    "remote_app": {
        "client_id": "airflow",
        "client_secret": os.environ["SSO_CLIENT_SECRET"],
        "server_metadata_url": os.environ["SSO_PROVIDER"] + "/.well-known/openid-configuration",
        "client_kwargs": {"scope": "openid", "code_challenge_method": "S256", "token_endpoint_auth_method": "client_secret_post"},
    },
}]
"""


@pytest.fixture(scope="module")
def oidc() -> Iterator[Oidc]:
    with provider() as made:
        yield made


@pytest.fixture
def server(oidc: Oidc, embedded_platform: Platform, tmp_path: Path) -> Iterator[str]:
    """An API server of its own over a copy of the platform's database."""
    port, config, database = free_port(), tmp_path / "webserver_config.py", tmp_path / "airflow.db"
    config.write_text(CONFIG, "utf-8")
    with closing(sqlite3.connect(embedded_platform.home / "airflow.db")) as there, closing(sqlite3.connect(database)) as copy:
        there.backup(copy)
        copy.execute("INSERT INTO ab_role (name) VALUES ('erp-team')")
        copy.commit()
    environ = {
        **embedded_platform.env, "AIRFLOW_HOME": str(tmp_path), "INTEGRATOR_HOME": str(tmp_path), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
        "AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": f"sqlite:///{database}", "AIRFLOW__FAB__CONFIG_FILE": str(config), "SSO_PROVIDER": oidc.url,
        "SSO_CLIENT_SECRET": SECRET, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")]),
    }  # fmt: skip
    out = tmp_path / "server.out"
    with out.open("wb") as log:
        command = [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(lambda: requests.get(f"{url}/api/v2/version", timeout=5).ok, process, out)
        yield url
    finally:
        with suppress(ProcessLookupError):  # where it did not even start
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _wait(done: Any, process: subprocess.Popen[bytes], out: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            if done():
                return
        except requests.RequestException:
            pass
        time.sleep(0.2)
    raise AssertionError(out.read_text("utf-8")[-3000:])


def sign_in(server: str, user: str) -> requests.Session:
    """Go through the provider's pages, as a person with a browser does."""
    session = requests.Session()
    answer = session.get(f"{server}/auth/login/company", timeout=30)
    for _page in range(4):
        if answer.url.startswith(server):
            return session
        found = re.search(r'action="([^"]+)"', answer.text)
        assert found, (answer.url, answer.text[:500])
        prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
        assert prompt, answer.text[:500]
        answer = session.post(
            requests.compat.urljoin(answer.url, found[1]), data={"prompt": prompt[1], "login": user, "password": "x"}, timeout=30
        )  # type: ignore[attr-defined]
    raise AssertionError(answer.url)


def test_people_come_by_openid_connect_and_have_what_projects_give_them(server: str, tmp_path: Path) -> None:
    members = SqlMembers(open_engine(f"sqlite:///{tmp_path / 'airflow.db'}"))
    members.create("demo", "ann", "test")
    browser = sign_in(server, "sue")
    assert browser.get(f"{server}/ui/auth/me", timeout=30).json()["username"] == "sue"

    def seen() -> list[str]:
        return [one["dag_id"] for one in browser.get(f"{server}/api/v2/dags", timeout=30).json()["dags"]]

    members.grant("demo", Kind.GROUP, "Public", Role.STANDARD, "ann")  # one of Airflow's own, which is no group
    assert seen() == []
    members.grant("demo", Kind.GROUP, "erp-team", Role.STANDARD, "ann")  # a role that the provider's group gives
    assert "demo.orders" in seen()
    token = browser.cookies["_token"]
    browser.get(f"{server}/api/v2/auth/logout", timeout=30)
    assert requests.get(f"{server}/ui/auth/me", cookies={"_token": token}, timeout=30).status_code in (401, 403)
    for password in ("", "x", "sue"):
        answer = requests.post(f"{server}/auth/token", json={"username": "sue", "password": password}, timeout=30)
        assert answer.status_code in (400, 401), "who comes by a provider has no password"
