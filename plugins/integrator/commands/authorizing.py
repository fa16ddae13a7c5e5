"""Lets a person sign in with a browser: a callback on this machine for as long as it takes, or a pasted address. Source: RFC 8252."""

from __future__ import annotations

import asyncio
import hmac
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import click
from aiohttp import web

from integrator.auth.oauth1_dance import OUT_OF_BAND
from integrator.auth.oauth2 import OAuth2Scheme
from integrator.auth.oauth2_dance import Dance
from integrator.auth.presenting import Around, make_ready, token_key
from integrator.auth.scheme import Call
from integrator.commands.common import say
from integrator.errors import ConfigError, SignInAgainError
from integrator.model.credential import Credential
from integrator.model.tokens import Token

PATH = "/callback"
MARKS = ("state", "oauth_token")
"""What a sign-in's answer is known by: of OAuth 2, and of OAuth 1."""
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>Integrator</title><style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem}}</style>
<h1>{title}</h1><p>{words}</p></html>"""
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}
Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Browser:
    """How a person is reached.

    Attributes:
        port: of the callback; 0 for a free one.
        redirect_url: the one that is registered over there, where it is not on this machine.
        paste: whether the address at which the browser ends is pasted instead of called back.
        opens: whether a browser is opened here.
        wait_s: how long to wait for it.
    """

    port: int = 0
    redirect_url: str | None = None
    paste: bool = False
    opens: bool = True
    wait_s: int = 300


async def authorize_credential(credential: Credential, around: Around, browser: Browser) -> Token:
    """Let a person sign in, and keep the token.

    Raises:
        ConfigError: the credential's scheme has no such sign-in, or its tokens cannot be kept.
        SignInAgainError: access was denied, or nobody came back in time.
    """
    ready = make_ready(credential, around)
    try:
        token = await _danced(_dance_of(credential, ready.scheme), ready.call, browser)
        await asyncio.to_thread(around.tokens.keep, token_key(credential, around.hash_key()), around.owner, token)
    finally:
        await ready.signer.close()
    return token


Comes = Callable[[str], Awaitable[Query]]
Dances = Callable[[Call, str, Comes], Awaitable[Token]]


async def _danced(dance: Dances, call: Call, browser: Browser) -> Token:
    if browser.redirect_url == OUT_OF_BAND:
        return await dance(call, OUT_OF_BAND, _typed_in)
    if browser.paste:
        return await dance(call, browser.redirect_url or f"http://127.0.0.1:{browser.port or 8080}{PATH}", _pasted)
    async with _callback(browser) as (redirect_url, came_back):
        return await dance(call, redirect_url, came_back)


def _dance_of(credential: Credential, scheme: Any) -> Dances:
    if not getattr(scheme, "consents", False):
        raise ConfigError(
            f"credential {credential.conn_id}: nobody has to sign in for it; that is for scheme oauth2 with grant authorization_code, "
            "and for oauth1 with authorize_url"
        )
    dances = _oauth2 if isinstance(scheme, OAuth2Scheme) else _oauth1
    return lambda call, redirect_url, comes: dances(scheme, call, redirect_url, comes)


async def _oauth2(scheme: OAuth2Scheme, call: Call, redirect_url: str, comes: Comes) -> Token:
    dance = Dance(scheme, redirect_url)
    return await dance.token(call, await comes(dance.url()))


async def _oauth1(scheme: Any, call: Call, redirect_url: str, comes: Comes) -> Token:
    token, secret, url = await scheme.temporary(call, redirect_url)
    back = await comes(url)
    if redirect_url == OUT_OF_BAND:
        back = {"oauth_token": token, **back}  # who types the code in has it from the page of this very sign-in
    if back.get("oauth_token") != token or not back.get("oauth_verifier"):
        raise SignInAgainError("the browser came back with an answer to another sign-in; begin anew")
    return cast("Token", await scheme.exchange(call, token, secret, back["oauth_verifier"]))


async def _pasted(url: str) -> Query:
    say(f"Open this address in a browser and sign in:\n\n  {url}\n")
    say("At its end the browser may say that it cannot connect; the address that it then shows is what is asked for.")
    text = await asyncio.to_thread(click.prompt, "Paste the address at which it ends", err=True)
    found = dict(parse_qsl(urlsplit(str(text).strip()).query))
    if not found:
        raise SignInAgainError("what was pasted is not the address at which the browser ends: it has no ?...=; begin anew")
    return found


async def _typed_in(url: str) -> Query:
    say(f"Open this address in a browser and sign in:\n\n  {url}\n")
    return {"oauth_verifier": str(await asyncio.to_thread(click.prompt, "The code that the page shows", err=True)).strip()}


@asynccontextmanager
async def _callback(browser: Browser) -> AsyncIterator[tuple[str, Comes]]:
    """Listen on 127.0.0.1 until the browser has come back once."""
    came: asyncio.Future[Query] = asyncio.get_running_loop().create_future()
    asked: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        query = dict(request.query)
        # Any page in the person's browser may call this address; only who was sent off knows what it was sent off with.
        if not any(name in asked and hmac.compare_digest(query.get(name, "").encode(), asked[name].encode()) for name in MARKS):
            return _page("Nothing to see here", "This address waits for a sign-in's answer, and this is not the one.", 400)
        if not came.done():
            came.set_result(query)
        if "error" in query:
            return _page("Not signed in", "Access was denied. The terminal says more. You may close this window.", 200)
        return _page(
            "Thank you", "The sign-in's answer has arrived; the terminal says what came of it. You may close this window.", 200
        )

    app = web.Application()
    app.router.add_get(PATH, answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", browser.port)
        try:
            await site.start()
        except OSError:
            raise ConfigError(f"port {browser.port} is taken; name another with --port, or none") from None
        port = runner.addresses[0][1]

        async def comes(url: str) -> Query:
            asked.update(parse_qsl(urlsplit(url).query))
            say(f"Sign in with a browser on this machine:\n\n  {url}\n")
            if browser.opens:
                await asyncio.to_thread(webbrowser.open, url)
            try:
                return await asyncio.wait_for(came, browser.wait_s)
            except TimeoutError:
                raise SignInAgainError(f"nobody came back within {browser.wait_s} s; begin anew, or use --paste") from None

        yield f"http://127.0.0.1:{port}{PATH}", comes
    finally:
        await runner.cleanup()


def _page(title: str, words: str, status: int) -> web.Response:
    return web.Response(text=PAGE.format(title=title, words=words), content_type="text/html", status=status, headers=HEADERS)
