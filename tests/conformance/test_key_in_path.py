"""A key in the path, as webhooks and bots have it: right after the base URL, for both faces, and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import requests
from aiohttp import web

from integrator.auth.presenting import make_ready
from integrator.auth.scheme import scheme_of
from integrator.errors import ConfigError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.wire.message import Request
from integrator.wire.proxies import NO_PROXIES
from tests.services.moving import flow, move, parts, plan
from tests.services.threaded import Threaded

KEY = "bot123:A-b_C/T0/ü ?#%"
IN_PATH = "/base/bot123:A-b_C/T0/%C3%BC%20%3F%23%25"


class Bot(Threaded):
    """Answers only below its key."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.raw_path)
        if not request.raw_path.startswith(IN_PATH):
            return web.json_response({}, status=404)
        return web.json_response(
            {"items": [{"id": "r1", "name": "n", "amount": 1}]} if request.method == "GET" else {"number": 1}
        )


@pytest.fixture
def bot() -> Iterator[Bot]:
    made = Bot()
    made.serve()
    yield made
    made.stop()


def credential(url: str, key: str = KEY) -> Credential:
    return Credential("acme", "there", "api_key", f"{url}/base/", {"plain_http": True, "api_key_secret": key, "place": "path"})


async def test_both_faces_put_it_after_the_base_url(bot: Bot) -> None:
    source = {"pages": {"by": "single"}}
    assert (await move(parts(credential(bot.url)), plan(flow(source=source)))).counts.created == 1
    with SignedSession(make_ready(credential(bot.url), parts().around()), NO_PROXIES) as session:
        assert session.get("/items", params={"a": "b"}).status_code == 200
        assert session.post(session.base_url, json={}).status_code == 200
    assert bot.paths == [f"{IN_PATH}/items", f"{IN_PATH}/orders", f"{IN_PATH}/items?a=b", IN_PATH]


@pytest.mark.parametrize(
    "url", ["https://api.example.com/other/x", "https://api.example.com/based", "https://login.example.com/base/x"]
)
def test_it_goes_nowhere_else(url: str) -> None:
    scheme = scheme_of(credential("https://api.example.com"))
    assert scheme.sign(Request("GET", url, {})).url == url


@pytest.mark.parametrize("key", ["/x", "x/", "a//b", "a/../b", "./a"])
def test_a_key_that_would_lead_elsewhere_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="in a path"):
        scheme_of(credential("https://api.example.com", key))


async def test_it_is_seen_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Every logger at DEBUG, an answer, its redirect's history, an error."""
    bot = Bot()
    bot.serve()
    with caplog.at_level(logging.DEBUG):
        await move(parts(credential(bot.url)), plan(flow(source={"pages": {"by": "single"}})))
        with SignedSession(make_ready(credential(bot.url), parts().around()), NO_PROXIES) as session:
            answer = session.get("/items")
            bot.stop()
            with pytest.raises(requests.ConnectionError) as caught:
                session.get("/items")
    error = caught.value
    shown = f"{caplog.text}{answer.url}{answer.request.url}{error}{error.request and error.request.url}"
    for part in ("bot123", "A-b_C", "%C3%BC"):
        assert part not in shown
