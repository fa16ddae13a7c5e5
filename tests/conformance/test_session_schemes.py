"""Schemes session_login and token_chain, on both faces: signed in once, in again once, out at the end, also after a crash."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import select

from integrator.auth.presenting import make_ready, token_key
from integrator.auth.scheme import scheme_of
from integrator.errors import ConfigError, EgressRefusedError, IntegratorError, SignInAgainError, TryAgainError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.model.tokens import Token, TokenKey
from integrator.store.memory_tokens import MemoryTokens
from integrator.store.owner import new_owner
from integrator.store.tables import sessions
from integrator.wire.message import Request
from integrator.wire.proxies import NO_PROXIES
from tests.conformance.test_oauth2 import tokens_in, with_tokens
from tests.services import move_process
from tests.services.clerk import clerk
from tests.services.moving import flow, move, parts, plan
from tests.services.session_system import PASSWORD, SessionSystem
from tests.services.system import System, record

LOGIN = {"path": "/Login", "json": {"CompanyDB": "{company}", "UserName": "{username}", "Password": "{password}"}}
COOKIES = {"login": json.dumps(LOGIN), "logout": '{"path": "/Logout"}'}
HEADER = {**COOKIES, "login": json.dumps({**LOGIN, "take": {"session": "SessionId"}}), "present": "X-Session: {session}"}


class Away(MemoryTokens):
    """A database that goes away while somebody signs in."""

    def opened(self, key: TokenKey, owner: str, token: Token) -> str:
        raise TryAgainError("the database is away")


@pytest.fixture
def sap() -> Iterator[SessionSystem]:
    made = SessionSystem()
    made.start()
    made.records = [record(n) for n in range(30)]
    yield made
    made.stop()


def credential(system: System, **fields: Any) -> Credential:
    given = {"plain_http": True, "username": "manager", "password": PASSWORD, "values_secret": '{"company": "SBODEMO"}'}
    return Credential("acme", "there", "session_login", system.url, {**given, **fields})


@pytest.mark.parametrize("by_header", [False, True])
async def test_a_flow_signs_in_once_and_out_at_its_end(sap: SessionSystem, by_header: bool) -> None:
    sap.by_header = by_header
    made = parts(credential(sap, **(HEADER if by_header else COOKIES)))
    for _times in range(5):  # more runs than the licence has users
        assert (await move(made, plan(flow()))).counts.read == 30
    assert len(sap.logins) == sap.logouts == 5
    assert not sap.sessions


@pytest.mark.parametrize("by_header", [False, True])
def test_a_person_s_session_signs_in_and_out_too(sap: SessionSystem, by_header: bool) -> None:
    sap.by_header = by_header
    there = credential(sap, **(HEADER if by_header else COOKIES))
    with SignedSession(make_ready(there, parts().around()), NO_PROXIES) as session:
        assert session.get("/items").status_code == 200
        sap.sessions.clear()
        assert session.get("/items").status_code == 200
        assert PASSWORD not in repr(session)
    assert (len(sap.logins), sap.logouts, sap.sessions) == (2, 1, set())


async def test_a_session_that_ends_in_the_middle_is_signed_in_to_once_more(sap: SessionSystem) -> None:
    sap.on_write = lambda one: sap.sessions.clear() or "ok" if one["ext"] == "r7" else "ok"
    sap.latency_s = 0.005
    report = await move(parts(credential(sap, **COOKIES)), plan(flow()))
    assert report.counts.created == 30
    assert not sap.duplicates()
    assert len(sap.logins) == 2
    assert not sap.sessions


async def test_a_session_that_is_replaced_before_its_end_is_signed_out_first(sap: SessionSystem) -> None:
    sap.licence = 1  # without the logout, the second sign-in would be one user too many
    ready = make_ready(credential(sap, **COOKIES, lasts_s="1"), parts().around())
    request = Request("GET", f"{sap.url}/items", {})
    await ready.signer.sign(request)
    await asyncio.sleep(1)
    await ready.signer.sign(request)
    await ready.signer.close()
    assert (len(sap.logins), sap.logouts, sap.sessions) == (2, 2, set())


async def test_a_session_that_cannot_be_noted_is_signed_out(sap: SessionSystem) -> None:
    with pytest.raises(TryAgainError):
        await move(with_tokens(parts(credential(sap, **COOKIES)), Away()), plan(flow()))
    assert sap.logins
    assert not sap.sessions


def test_a_session_without_cookies_tells_the_masker_of_nothing_but_its_values(sap: SessionSystem) -> None:
    sap.by_header = True
    told: list[str] = []
    around = replace(parts().around(), on_secret=told.append)
    with SignedSession(make_ready(credential(sap, **HEADER), around), NO_PROXIES) as session:
        assert session.get("/items").status_code == 200
        assert set(told) == sap.sessions  # a word such as `session` would be masked in every log


@pytest.mark.parametrize(
    ("status", "says"), [(403, "403"), (403, 'status == 403 and answer.code == "session"'), (200, 'answer.code == "session"')]
)
async def test_what_says_that_a_session_has_ended_is_the_system_s_own(sap: SessionSystem, status: int, says: str) -> None:
    sap.out_status = status
    made = parts(credential(sap, **COOKIES, signed_out_when=says))
    sap.on_write = lambda one: sap.sessions.clear() or "ok" if one["ext"] == "r7" else "ok"
    assert (await move(made, plan(flow()))).counts.created == 30
    assert len(sap.logins) == 2


async def test_it_signs_out_after_a_flow_that_crashed(sap: SessionSystem) -> None:
    sap.on_write = lambda _one: "error"
    sap.tell = lambda: {"X": "y"}
    with suppress(IntegratorError):
        await move(parts(credential(sap, **COOKIES), attempts=1), plan(flow(tolerate=0)))
    sap.records = [{"no": "id"}]
    sap.on_read = lambda _request: web.Response(text="<html>")
    with pytest.raises(IntegratorError):
        await move(parts(credential(sap, **COOKIES)), plan(flow()))
    running = asyncio.create_task(move(parts(credential(sap, **COOKIES)), plan(flow())))
    sap.latency_s = 0.2
    sap.on_read = lambda _request: None
    await asyncio.sleep(0.3)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    sap.latency_s = 0
    assert not sap.sessions
    assert len(sap.logins) == sap.logouts


async def test_a_chained_token_is_one_value_and_lasts_for_as_long_as_it_is_said_to() -> None:
    steps = json.dumps([{"path": "/t", "take": {"token": "token", "expires_in": "lasts"}}])
    with clerk(b'{"token": "t", "lasts": 0.2}') as desk:
        made = make_ready(chained(desk.url, steps=steps), parts().around())
        for _times in range(2):
            await made.signer.sign(Request("GET", desk.url, {}))
            await asyncio.sleep(0.3)
        assert desk.calls == 2
        desk.answer = {"token": {"value": "t"}, "lasts": 1}
        with pytest.raises(SignInAgainError, match="an object or a list"):
            await made.signer.sign(Request("GET", desk.url, {}))
        await made.signer.close()


@pytest.mark.parametrize("field", ["steps", "values_secret", "headers_secret"])
def test_json_that_is_nested_too_deeply_is_told_in_words(field: str) -> None:
    steps = '[{"path": "/t", "take": {"token": "t"}}]'
    with pytest.raises(ConfigError, match=r"nested too deeply|not a JSON object"):
        make_ready(chained("https://h.example", **{"steps": steps, field: '{"a":' * 200_000}), parts().around())


@pytest.mark.parametrize("when", ["login", "logout"])
async def test_it_signs_out_where_it_is_cancelled_in_the_middle_of_a_sign_in_or_out(sap: SessionSystem, when: str) -> None:
    sap.latency_s = 0.3
    ready = make_ready(credential(sap, **COOKIES), parts().around())

    async def run() -> None:
        try:
            await ready.signer.sign(Request("GET", sap.url, {}))
        finally:
            await ready.signer.close()

    running = asyncio.create_task(run())
    while not sap.calls[f"POST {when.capitalize()}"]:
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (len(sap.logins), sap.logouts, sap.sessions) == (1, 1, set())


def test_a_session_whose_process_was_killed_is_signed_out_by_the_next_one(sap: SessionSystem, tmp_path: Path) -> None:
    sap.licence = 1
    sap.latency_s = 0.1
    there = credential(sap, **COOKIES)
    spec = {"flow": flow(), "system": sap.url, "scheme": "session_login", "extra": dict(there.extra), "journal": f"sqlite:///{tmp_path / 'journal.db'}", "fernet": "x" * 43 + "="}  # fmt: skip
    process = move_process.start(tmp_path, **spec)
    while not sap.calls["GET items"]:  # before the login's answer has come, nobody can know of the session
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(sap.sessions) == 1  # nobody could sign out
    sap.latency_s = 0
    told = move_process.to_end(move_process.start(tmp_path, **spec, dag_run="r2"))
    assert told.get("read") == 30, told
    assert (len(sap.logins), sap.logouts, sap.sessions) == (2, 2, set())


async def test_a_session_of_a_dead_process_is_not_forgotten_while_nobody_can_sign_it_out(
    sap: SessionSystem, tmp_path: Path
) -> None:
    there, kept = credential(sap, **COOKIES), tokens_in(tmp_path)
    made = with_tokens(parts(there), kept)
    key, dead = token_key(there, made.hash_key), new_owner().rsplit(":", 3)[0] + ":999999999:1:x"
    for number in range(3):
        kept.opened(key, dead, Token(f"B1SESSION=left-{number}; ROUTEID=.node1", 0.0))
    sap.out_status = 503
    ready = make_ready(there, made.around())
    await ready.signer.sign(Request("GET", sap.url, {}))
    assert sap.calls["POST Logout"] == made.settings.attempts  # for the first of them only
    await ready.signer.close()
    with kept._engine.connect() as c:
        assert len(c.execute(select(sessions)).all()) == 3


async def test_an_idle_session_is_kept_alive(sap: SessionSystem) -> None:
    there = credential(sap, **COOKIES, keep_alive='{"method": "GET", "path": "/Ping"}', keep_alive_s="1")
    ready = make_ready(there, parts().around())
    await ready.signer.sign(Request("GET", sap.url, {}))
    await asyncio.sleep(2.3)
    await ready.signer.close()
    pings = sap.pings
    assert pings == 2
    await asyncio.sleep(1.2)
    assert sap.pings == pings


async def test_a_wrong_password_is_tried_once_whatever_the_schedule_says(sap: SessionSystem) -> None:
    tokens = MemoryTokens()
    made = with_tokens(parts(credential(sap, **COOKIES, password="not-the-password")), tokens)
    for _times in range(4):
        with pytest.raises(SignInAgainError, match=r"acme__there: login, POST /Login, is refused \(401\); check") as refused:
            await move(made, plan(flow()))
        assert "not-the-password" not in str(refused.value)
    assert len(sap.logins) == 1
    assert (await move(with_tokens(parts(credential(sap, **COOKIES)), tokens), plan(flow()))).counts.created == 30


CHAIN = [
    {"method": "GET", "path": "/by-team", "params": {"team": "{team}"}, "take": {"host": "rest.endpoint"}},
    {"path": "/token", "json": {"Username": "{username}", "Password": "{password}", "at": "{host}"},
     "take": {"token": "access_token", "base_url": "base", "expires_in": "expires_in"}, "success": "status == 200 and answer.ok"},
]  # fmt: skip


def chained(url: str, **fields: Any) -> Credential:
    given = {
        "plain_http": True,
        "username": "manager",
        "password": PASSWORD,
        "values_secret": '{"team": "a&b=c"}',
        "steps": json.dumps(CHAIN),
    }
    return Credential("acme", "there", "token_chain", url, {**given, "base_url_suffixes": "127.0.0.1", **fields})


async def test_chained_calls_give_a_token_and_where_to_go(system: System) -> None:
    system.records = [record(n) for n in range(3)]
    system.on_read = lambda r: None if r.headers.get("Authorization") == "Bearer tok-en" else web.Response(status=401)
    with clerk(
        {"rest": {"endpoint": "eu1"}, "ok": True, "access_token": "tok-en", "base": f"{system.url}/", "expires_in": "3600"}
    ) as desk:
        made = parts(chained(desk.url))
        for _times in range(2):
            assert (await move(made, plan(flow()))).counts.read == 3
        assert desk.calls == 2  # the token was kept
        with SignedSession(make_ready(chained(desk.url), parts().around()), NO_PROXIES) as session:
            assert session.get("/items").status_code == 200
        assert system.headers_seen
        desk.answer = {**desk.answer, "ok": False}
        with pytest.raises(SignInAgainError, match=r"steps\[2\], POST /token, is refused"):
            await move(parts(chained(desk.url)), plan(flow()))
        desk.answer = {**desk.answer, "ok": True, "base": "http://10.0.0.1/"}
        with pytest.raises(EgressRefusedError):
            await move(parts(chained(desk.url)), plan(flow()))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("steps", "nope", "steps is not JSON"), ("steps", "[]", "1 to 10 calls"), ("steps", '[{"path": "/t"}]', "no call takes a token"), ("steps", '[{"pth": "/t"}]', "did you mean 'path'"),
        ("steps", '[{"path": "/{usrname}", "take": {"token": "t"}}]', "did you mean 'username'"), ("steps", '[{"path": "/t", "take": {"token": "t +"}}]', "take: token"),
        ("steps", '[{"url": "https://{username}.example/t", "take": {"token": "t"}}]', "no braces in its host"), ("steps", '[{"path": "t", "take": {"token": "t"}}]', "path begins with /"),
        ("steps", '[{"url": "http://10.1.1.1/t", "take": {"token": "t"}}]', "in neither"), ("present", "X-{a}", "Name: value"), ("present", "X-A: {nothing}", "nothing gives 'nothing'"),
        ("username", None, "nothing gives 'username'"), ("values_secret", "[1]", "values_secret is a JSON object"), ("steps", '[{"path": "/t", "method": "TRACE", "take": {"token": "t"}}]', "method is one of"),
        ("steps", '[{"path": "/t", "json": {}, "form": {}, "take": {"token": "t"}}]', "at most one of json"),
    ],
)  # fmt: skip
def test_a_faulty_credential_says_what_to_change(field: str, value: str | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_ready(chained("http://127.0.0.1:1", **{field: value}), parts().around())


@pytest.mark.parametrize("hostile", ["a\r\nX-Evil: 1", "a\x00b", "../../x", "a/b?c=d#e"])
async def test_no_value_changes_the_shape_of_a_call(hostile: str) -> None:
    steps = [
        {
            "path": "/t/{username}",
            "headers": {"X-User": "{username}"},
            "form": {"u": "{username}"},
            "take": {"token": "access_token"},
        }
    ]
    with clerk({"access_token": "t"}) as desk:
        made = make_ready(chained(desk.url, steps=json.dumps(steps), username=hostile), parts().around())
        with suppress(SignInAgainError):
            await made.signer.sign(Request("GET", desk.url, {}))
        assert all("X-Evil" not in one for one in desk.seen)
        assert all(form == {"u": hostile} for form in desk.forms)
        await made.signer.close()


async def test_cookies_that_a_login_sets_are_bounded_and_harmless() -> None:
    answer = {"ok": 1}
    there = {"plain_http": True, "username": "u", "password": "p", "login": '{"path": "/l", "json": {}}'}
    with clerk(answer, headers={"Set-Cookie": "a=ü; Path=/"}) as desk:
        made = make_ready(Credential("acme", "there", "session_login", desk.url, there), parts().around())
        with pytest.raises(SignInAgainError, match="no cookie"):
            await made.signer.sign(Request("GET", desk.url, {}))
        await made.signer.close()


@pytest.mark.parametrize("name", ["session_login", "token_chain"])
def test_shows_nothing(name: str) -> None:
    there = chained("https://api.example.com") if name == "token_chain" else credential(SessionSystem(), **COOKIES)
    scheme = scheme_of(there)
    assert PASSWORD not in repr(scheme)
    assert "SBODEMO" not in repr(scheme)
    assert PASSWORD not in repr(there)
