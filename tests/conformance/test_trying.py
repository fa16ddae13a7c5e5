"""`credential test` and the form's Test: a real call, and in words what is wrong, for everything that commonly is."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from integrator.auth.trying import clock_off_s, try_credential
from integrator.model.credential import Credential
from tests.services.clerk import clerk
from tests.services.demo import free_port
from tests.services.moving import parts
from tests.services.oidc import SECRET, provider
from tests.services.session_system import PASSWORD, SessionSystem
from tests.services.system import System

PATH = {"test_path": "/items"}
BASIC = {**PATH, "username": "u", "password": "not-to-be-shown", "plain_http": True}


async def tried(system_url: str, scheme: str = "basic", **fields: Any) -> tuple[bool, str]:
    made = await try_credential(
        Credential("acme", "there", scheme, system_url, {**BASIC, **fields} if scheme == "basic" else fields), parts().around()
    )
    assert "not-to-be-shown" not in made.words
    return made.ok, made.words


@pytest.mark.parametrize(
    ("answer", "ok", "words"),
    [
        (web.Response, True, "signed in: /items answers 200"), (lambda: web.Response(status=401), False, "refuses this sign-in (401): check user, password, token or key"),
        (lambda: web.Response(status=403), False, "/items is not allowed (403): check the rights"), (lambda: web.Response(status=404), True, "the sign-in is not proven; set a Test path"),
        (lambda: web.Response(status=302, headers={"Location": "/login"}), True, "a redirect (302), so the sign-in is not proven"), (lambda: web.Response(status=500), False, "an error of its own (500)"),
        (lambda: web.Response(status=403, headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'}), False, "the scope that was granted does not reach /items"),
        (lambda: web.Response(status=503, headers={"Retry-After": "100000"}), False, "is not ready (503)"), (lambda: web.Response(status=429), False, "asks for fewer calls (429)"),
    ],
)  # fmt: skip
async def test_what_an_answer_means(system: System, answer: Any, ok: bool, words: str) -> None:
    system.on_read = lambda _request: answer()
    found = await tried(system.url)
    assert found[0] is ok
    assert words in found[1]


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (7, "this machine's clock is 7 minutes behind theirs"),
        (-7, "7 minutes ahead of theirs"),
        (300, "5 hours behind"),
        (0, None),
    ],
)
async def test_a_clock_that_is_off_is_told(system: System, minutes: int, words: str | None) -> None:
    theirs = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes, seconds=2), usegmt=True)
    system.on_read = lambda _request: web.Response(status=401, headers={"Date": theirs})
    ok, said = await tried(system.url)
    assert not ok
    assert (words in said) if words else ("clock" not in said)


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 01 Jan 1970", "Mon, 32 Foo 99999 99:99:99 GMT", "x" * 10_000])
def test_a_date_that_makes_no_sense_is_no_clock(date: str) -> None:
    assert isinstance(clock_off_s({"Date": date}, 0.0), float)


async def test_where_nobody_can_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing answers there; is it running?" in (await tried(f"http://127.0.0.1:{free_port()}"))[1]

    def unknown(*_arguments: Any, **_more: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    ok, said = await tried("https://erp.no-such-name.example")
    assert not ok
    assert "its host name is not known; is the base URL right?" in said


async def test_a_sign_in_that_is_refused_and_a_scope_that_is_not_granted_are_told(system: System) -> None:
    system.on_read = lambda _request: web.Response()
    with provider() as oidc:
        fields = {**PATH, "plain_http": True, "token_url": f"{oidc.url}/token", "client_id": "basic", "client_secret": SECRET}
        assert await tried(system.url, "oauth2", **fields, scope="read") == (True, "signed in: /items answers 200")
        ok, said = await tried(system.url, "oauth2", **{**fields, "client_secret": "wrong-secret"})
        assert not ok
        assert "acme__there: the token URL does not accept the client" in said
    with clerk({"access_token": "t", "scope": "read"}) as desk:
        fields["token_url"] = f"{desk.url}/token"
        assert "scope not granted: write, delete" in (await tried(system.url, "oauth2", **fields, scope="read write delete"))[1]


async def test_a_session_is_signed_in_to_and_out_of(system: System) -> None:
    made = SessionSystem()
    made.start()
    try:
        login = '{"path": "/Login", "json": {"CompanyDB": "SBODEMO", "UserName": "{username}", "Password": "{password}"}}'
        fields = {
            "plain_http": True,
            "username": "manager",
            "login": login,
            "logout": '{"path": "/Logout"}',
            "test_path": "/items",
        }
        assert await tried(made.url, "session_login", **fields, password=PASSWORD) == (True, "signed in: /items answers 200")
        assert (len(made.logins), made.logouts, made.sessions) == (1, 1, set())
        ok, said = await tried(made.url, "session_login", **fields, password="not-to-be-shown")
        assert not ok
        assert "is refused (401)" in said
    finally:
        made.stop()
