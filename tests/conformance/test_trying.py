"""What trying a credential says in words, against servers that answer in each way; and what a person's session takes for signed out."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from integrator.auth.presenting import make_ready
from integrator.auth.trying import Tried, clock_off_s, try_credential
from integrator.commands.credential_command import command
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.store.memory_tokens import MemoryTokens
from integrator.wire.proxies import NO_PROXIES
from tests.conformance.test_oauth2 import with_tokens
from tests.services.clerk import clerk
from tests.services.demo import free_port
from tests.services.moving import parts
from tests.services.oidc import SECRET, Oidc, provider
from tests.services.session_system import PASSWORD, SessionSystem
from tests.services.system import record

OUT = 'status == 200 and answer.code == "session"'


def credential(url: str, scheme: str = "basic", **extra: Any) -> Credential:
    user = {"username": "integrator", "password": "a-password"} if scheme == "basic" else {}
    return Credential("acme", "there", scheme, url, {"plain_http": True, **user, **extra})


async def tried(there: Credential) -> Tried:
    return await try_credential(there, parts().around())


ANSWERS: list[tuple[int, Any, dict[str, str], dict[str, Any], bool, str]] = [
    (200, {}, {}, {"test_path": "/me"}, True, "signed in: /me answers 200"),
    (404, {}, {}, {}, True, "the system answers, but has nothing at / (404), so the sign-in is not proven; set a Test path that needs it"),
    (302, {}, {"Location": "/login"}, {}, True, "redirect (302), so the sign-in is not proven"),
    (401, {}, {}, {}, False, "the system refuses this sign-in (401): check user, password, token or key"),
    (401, {}, {}, {"signed_out_when": "never"}, False, "the system refuses this sign-in (401)"),
    (403, {}, {}, {"test_path": "me"}, False, "signed in, but /me is not allowed (403): check the rights"),
    (403, {}, {}, {"signed_out_when": "403"}, False, "the system refuses this sign-in (403)"),
    (403, {}, {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}, {}, False, "the scope that was granted does not reach /"),
    (200, {"code": "session"}, {}, {"signed_out_when": OUT}, False, "the system refuses this sign-in (200)"),
    (500, {}, {}, {}, False, "an error of its own (500)"),
    (429, {}, {"Retry-After": "1"}, {}, False, "asks for fewer calls (429)"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "answer", "headers", "extra", "ok", "said"), ANSWERS)
async def test_each_answer_is_told_in_words(
    status: int, answer: Any, headers: dict[str, str], extra: dict[str, Any], ok: bool, said: str
) -> None:
    with clerk(answer, status=status, headers=headers) as desk:
        made = await tried(credential(desk.url, **extra))
    assert made.ok is ok, made
    assert said in made.words


@pytest.mark.parametrize(
    ("off_s", "said"),
    [(0, None), (30, None), (420, "this machine's clock is 7 minutes behind theirs"), (-600, "clock is 10 minutes ahead of theirs"), (86_400, "24 hours behind")],
)  # fmt: skip
async def test_a_clock_that_is_off_is_told(off_s: int, said: str | None) -> None:
    with clerk({}, headers={"Date": formatdate(time.time() + off_s, usegmt=True)}) as desk:
        words = (await tried(credential(desk.url))).words
    assert (said in words) if said else ("clock" not in words)


@pytest.mark.parametrize("date", ["", "soon", "Tue, 99 Foo 2026"])
def test_a_date_that_makes_no_sense_says_nothing_of_the_clock(date: str) -> None:
    assert clock_off_s({"Date": date}) == 0


@pytest.fixture(scope="module")
def oidc() -> Iterator[Oidc]:
    with provider() as made:
        yield made


async def test_a_scope_that_was_not_granted_is_named(oidc: Oidc) -> None:
    fields = {"token_url": f"{oidc.url}/token", "client_id": "basic", "client_secret": SECRET, "scope": "read admin.everything"}
    with clerk({}) as desk:
        words = (await tried(credential(desk.url, "oauth2", **fields))).words
    assert words.endswith("scope not granted: admin.everything")


async def test_a_person_who_has_to_sign_in_is_told_how() -> None:
    fields = {"token_url": "/token", "grant": "authorization_code", "client_id": "c", "authorize_url": "https://h.example/auth"}
    around = with_tokens(parts(), MemoryTokens(lasting=True)).around()
    with clerk({}) as desk:
        made = await try_credential(credential(desk.url, "oauth2", **fields), around)
    assert made == Tried(False, "nobody has signed in yet; run: integrator credential authorize acme/there")


def test_a_list_shows_who_has_to_sign_in_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"token_url": "/token", "client_id": "c", "authorize_url": "https://h.example/auth"}
    for name, grant in (("person", "authorization_code"), ("machine", "client_credentials")):
        connection = {"conn_type": "integrator_oauth2", "host": "https://h.example", "extra": {**fields, "grant": grant}}
        monkeypatch.setenv(f"AIRFLOW_CONN_ACME__{name.upper()}", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "x" * 43 + "=")
    for name in ("AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"):
        monkeypatch.delenv(name, raising=False)
    shown = CliRunner().invoke(command, ["list", "--home", str(tmp_path), "acme", "--json"])
    assert {one["name"]: one["state"] for one in json.loads(shown.stdout)} == {"person": "nobody_yet", "machine": None}
    assert "nobody has signed in yet" in CliRunner().invoke(command, ["list", "--home", str(tmp_path)]).stdout


@pytest.fixture
def sap() -> Iterator[SessionSystem]:
    made = SessionSystem()
    made.start()
    made.records = [record(1)]
    yield made
    made.stop()


@pytest.mark.parametrize(("status", "says"), [(401, ""), (403, "403"), (200, OUT)])
def test_a_person_s_session_takes_for_signed_out_what_the_credential_says(sap: SessionSystem, status: int, says: str) -> None:
    sap.out_status = status
    login = {"path": "/Login", "json": {"CompanyDB": "SBODEMO", "UserName": "{username}", "Password": "{password}"}}
    fields = {"username": "manager", "password": PASSWORD, "login": login, "logout": {"path": "/Logout"}, "signed_out_when": says}
    there = credential(sap.url, "session_login", **fields)
    with SignedSession(make_ready(there, parts().around()), NO_PROXIES) as session:
        assert "items" in session.get("/items").json()
        sap.sessions.clear()
        assert "items" in session.get("/items").json()
        sap.sessions.clear()
        if status != 200:  # of what is streamed, only the status can tell
            with session.get("/items", stream=True) as answer:
                assert "items" in answer.json()
    assert not sap.sessions


def test_a_session_signs_in_no_more_where_nothing_says_so() -> None:
    with clerk({"access_token": "good"}) as desk, clerk({}, status=401) as there:
        fields = {"token_url": f"{desk.url}/token", "client_id": "c", "client_secret": SECRET, "signed_out_when": "never"}
        with SignedSession(make_ready(credential(there.url, "oauth2", **fields), parts().around()), NO_PROXIES) as session:
            assert session.get("/").status_code == 401
        assert (desk.calls, there.calls) == (1, 1)


async def test_where_nobody_can_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing answers there; is it running?" in (await tried(credential(f"http://127.0.0.1:{free_port()}"))).words

    def unknown(*_arguments: Any, **_more: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    made = await tried(credential("https://erp.no-such-name.example"))
    assert not made.ok
    assert "its host name is not known; is the base URL right?" in made.words
