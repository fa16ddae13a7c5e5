"""A person's session keeps bounds on time and size, and nothing of what signs a request comes back with its answer or its errors."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
from aiohttp import web

from integrator.auth.presenting import make_ready
from integrator.errors import EgressRefusedError, SourceBrokenError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.wire.proxies import NO_PROXIES
from tests.services.moving import HASH_KEY, parts
from tests.services.system import System, record
from tests.services.threaded import Threaded

MIB = 1 << 20
SIGNED: list[tuple[str, dict[str, Any]]] = [
    ("oauth1", {"consumer_key": "k", "consumer_secret": "consumer-secret", "token": "tok3n-1", "token_secret": "token-secret", "place": "query"}),
    ("oauth1", {"consumer_key": "k", "consumer_secret": "consumer-secret", "token": "tok3n-1", "token_secret": "token-secret"}),
    ("api_key", {"api_key_secret": "ap1-key-secret", "name": "key", "place": "query"}),
    ("basic", {"username": "u", "password": "a-password"}),
    ("hmac_signature", {"key_secret": "k3y-secret", "message": "{method}{url}", "headers": "X-Sign: {signature}"}),
]  # fmt: skip
SIGNS = ("oauth_signature", "tok3n", "ap1-key", "X-Sign", "Authorization", "key=")


class Raw:
    """A server of bytes: each connection is handed to a function after its first request was read."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._answer, self._listening, self.requests = answer, socket.create_server(("127.0.0.1", 0)), 0
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                made, _address = self._listening.accept()
                threading.Thread(target=self._one, args=(made,), daemon=True).start()

    def _one(self, made: socket.socket) -> None:
        with suppress(OSError), made:
            made.recv(65536)
            self.requests += 1
            self._answer(made)

    def stop(self) -> None:
        self.over.set()
        self._listening.close()


@pytest.fixture
def raw() -> Iterator[Callable[..., Raw]]:
    started: list[Raw] = []

    def start(answer: Callable[[Raw, socket.socket], None]) -> Raw:
        made = Raw(lambda one: answer(started[-1], one))
        started.append(made)
        return made

    yield start
    for one in started:
        one.stop()


def session(url: str, scheme: str = "none", fields: dict[str, Any] | None = None, **settings: Any) -> SignedSession:
    there = Credential("acme", "there", scheme, url, {"plain_http": True, **(fields or {})})
    return SignedSession(make_ready(there, parts(**settings).around()), NO_PROXIES)


def drip(head: bytes, drop: bytes) -> Callable[[Raw, socket.socket], None]:
    """Answer with a beginning, and then a little at a time for ever."""

    def answer(server: Raw, made: socket.socket) -> None:
        made.sendall(head)
        while not server.over.wait(0.1):
            made.sendall(drop)

    return answer


DRIPS = {
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "one header": (b"HTTP/1.1 200 OK\r\nX-A: ", b"b"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "body to the end": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x"),
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 100000\r\n\r\n", b"x"),
}


@pytest.mark.parametrize("where", DRIPS)
def test_an_answer_that_comes_a_byte_at_a_time_ends_when_its_time_is_over(raw: Callable[..., Raw], where: str) -> None:
    server = raw(drip(*DRIPS[where]))
    with session(server.url, answer_timeout_s=1) as mine:
        began = time.monotonic()
        with pytest.raises(requests.ReadTimeout, match=r"acme__there: .* 1 s; the \[integrator\] setting answer_timeout_s"):
            mine.get("/items")
    assert time.monotonic() - began < 5
    assert server.requests == 1


def test_a_sign_in_of_a_connection_that_never_ends_is_ended_too(raw: Callable[..., Raw]) -> None:
    server = raw(drip(b"HTTP/1.1 401 Unauthorized\r\n", b"X-A: b\r\n"))
    with session(server.url, "ntlm", {"username": "u", "password": "a-password"}, answer_timeout_s=1) as mine:
        began = time.monotonic()
        with pytest.raises(requests.ReadTimeout):
            mine.get("/items")
    assert time.monotonic() - began < 5


def test_a_call_may_ask_for_more_time_and_what_is_streamed_is_the_caller_s(raw: Callable[..., Raw]) -> None:
    def slow(_server: Raw, made: socket.socket) -> None:
        made.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n")
        for _ in range(3):
            time.sleep(0.5)
            made.sendall(b"x")

    server = raw(slow)
    with session(server.url, answer_timeout_s=1) as mine:
        assert mine.get("/items", timeout=(1, 10)).content == b"xxx"
        with mine.get("/items", stream=True) as streamed:
            assert b"".join(streamed.iter_content(1)) == b"xxx"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("redirect", [False, True])
def test_an_answer_that_is_too_large_is_not_read(system: System, packed: bool, redirect: bool) -> None:
    body = gzip.compress(b"x" * (3 * MIB)) if packed else b"x" * (3 * MIB)
    headers = {"Content-Encoding": "gzip"} if packed else {}
    if redirect:
        headers["Location"] = "/items/1"
    system.on_read = lambda _request: web.Response(status=302 if redirect else 200, body=body, headers=headers)
    with session(system.url, answer_max_mb=2) as mine:
        with pytest.raises(SourceBrokenError, match=r"acme__there: an answer is larger than 2 MiB"):
            mine.get("/items")
        if not redirect:
            with mine.get("/items", stream=True) as streamed:  # the caller says how much of it to hold
                assert len(streamed.content) == 3 * MIB


@pytest.mark.parametrize(("scheme", "fields"), SIGNED)
def test_what_signs_a_request_does_not_come_back_with_the_answer(system: System, scheme: str, fields: dict[str, Any]) -> None:
    system.records = [record(1)]
    heard: list[str] = []

    def shown(answer: requests.Response) -> str:
        return repr((answer.url, answer.request.url, dict(answer.request.headers), answer.request.body))

    def moved(request: web.Request) -> web.Response | None:
        return None if "moved" in request.query else web.Response(status=307, headers={"Location": "/items?moved=1&page=1"})

    system.on_read = moved
    with session(system.url, scheme, fields) as mine:
        answer = mine.get("/items", params={"page": 1}, hooks={"response": lambda made, **_: heard.append(shown(made))})
        assert answer.status_code == 200
        assert len(answer.history) == 1
    for text in (shown(answer), shown(answer.history[0]), *heard):
        assert not [sign for sign in SIGNS if sign in text]
    assert len(heard) == 2


@pytest.mark.parametrize(("scheme", "fields"), SIGNED)
def test_nor_with_an_error(raw: Callable[..., Raw], scheme: str, fields: dict[str, Any]) -> None:
    server = raw(lambda _server, made: made.close())
    with session(server.url, scheme, fields) as mine, pytest.raises(requests.ConnectionError) as caught:
        mine.get("/items")
    request: Any = caught.value.request
    text = f"{caught.value}{request.url}{dict(request.headers)}"
    assert not [sign for sign in SIGNS if sign in text]
    assert request.url == f"{server.url}/items"


def test_a_redirect_of_a_request_that_carries_its_signature_in_its_body_is_signed_once() -> None:
    """The body that goes on is the one before it was signed: two sets of oauth parameters would be refused."""
    seen: list[str] = []

    class Moving(Threaded):
        def application(self) -> web.Application:
            app = web.Application()
            app.router.add_post("/orders", self._take)
            return app

        async def _take(self, request: web.Request) -> web.Response:
            seen.append((await request.read()).decode())
            return web.Response(status=307, headers={"Location": "/orders?again=1"}) if len(seen) == 1 else web.json_response({})

    there = Moving()
    there.serve()
    fields = {**SIGNED[1][1], "place": "body"}
    with session(there.url, "oauth1", fields) as mine:
        assert mine.post("/orders", data={"a": "1"}).status_code == 200
    there.stop()
    assert [one.count("oauth_signature=") for one in seen] == [1, 1]
    assert seen[0] != seen[1]


def test_a_redirect_elsewhere_is_refused_all_the_same(system: System) -> None:
    system.on_read = lambda _request: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})
    with session(system.url) as mine, pytest.raises(EgressRefusedError):
        mine.get("/items")


def test_secrets_that_come_up_are_told_to_the_masker_by_the_thread_that_sends(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And kept for the next time where Airflow cannot take them at this moment."""
    from airflow.sdk.execution_time.comms import DeadlockImminentError

    from integrator.hooks import integrator_hook
    from integrator.hooks.token_chain import TokenChainHook
    from tests.services.clerk import clerk

    told: list[tuple[str, str]] = []
    busy = ["tok-en-1"]

    def mask(secret: str, name: str | None = None) -> None:
        if secret in busy:
            busy.clear()
            raise DeadlockImminentError("MaskSecret")
        told.append((secret, threading.current_thread().name))

    monkeypatch.setattr(integrator_hook, "mask_secret", mask)
    monkeypatch.setenv("AIRFLOW__INTEGRATOR__HASH_KEY", HASH_KEY)
    system.on_read = lambda _request: web.json_response({})
    with clerk({"access_token": "tok-en-1"}) as desk:
        steps = [{"url": f"{desk.url}/token", "form": {"p": "{password}"}, "take": {"token": "access_token"}}]
        extra = {"plain_http": True, "username": "u", "password": "a-password", "steps": json.dumps(steps)}
        made = {"conn_type": "integrator_token_chain", "host": system.url, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_ACME__THERE", json.dumps(made))
        with TokenChainHook("acme__there").get_conn() as mine:
            assert mine.get("/items").status_code == 200
            assert "tok-en-1" not in [secret for secret, _thread in told]
            assert mine.get("/items").status_code == 200
    assert ("tok-en-1", threading.current_thread().name) in told
    assert {thread for _secret, thread in told} == {threading.current_thread().name}
