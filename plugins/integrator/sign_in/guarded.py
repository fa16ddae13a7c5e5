"""Guards whatever takes a password: so many tries for a name and from an address, and each that fails is noted.

Signing out ends the session here too, since Flask-AppBuilder's address for it only tells the browser to forget its cookies. Its own
API of tokens is closed: they would know of no session, and nothing of Airflow 3 asks for them. Source: PRODUCT.md P5, P15.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, PlainTextResponse, Response

from integrator.model.audit import PLATFORM, Came, Line
from integrator.sign_in.parts import ORIGIN, SignInParts
from integrator.sign_in.tokens import SIGNED_IN, sign_out

TOKENS = ("/auth/token", "/auth/token/cli")
FORM = "/auth/login"
SIGN_OUT = "/auth/logout"
CLOSED = "/auth/api/v1/"
BODY_MAX = 64 * 1024
PAIR_MOST, NAME_MOST, ADDRESS_MOST = 10, 100, 200
"""Tries in a quarter of an hour: for a name from one address, for a name from anywhere, and from an address, which may be a proxy's."""
FAILED, LIMITED = "sign_in.failed", "sign_in.limited"
_IN: ContextVar[list[str] | None] = ContextVar("signed_in", default=None)
"""Gets the name of whoever signs in while a request is answered."""

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


def note_signed_in(user: str) -> None:
    """Say that somebody signed in with the request that is being answered."""
    found = _IN.get()
    if found is not None:
        found.append(user)


class Guarded:
    """Hands requests of the sign-in on, if there were not too many.

    Args:
        parts: made when it is first asked.
        flask_app: the sign-in's pages.
        known: tells whether a name is a user's; what is none may be a password that somebody typed into the wrong field.
    """

    def __init__(self, app: App, parts: Callable[[], SignInParts], flask_app: Any, known: Callable[[str], bool]) -> None:
        self._app, self._parts, self._flask, self._known = app, parts, flask_app, known

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Hand a request on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path = "/auth" + scope["path"].partition("/auth")[2].rstrip("/") if "/auth" in scope["path"] else scope["path"]
        if path.startswith(CLOSED):
            gone = JSONResponse({"detail": "there is nothing here; tokens come from POST /auth/token"}, 404)
            return await gone(scope, receive, send)
        if path == SIGN_OUT:
            await run_in_threadpool(sign_out, self._flask, _header(scope, b"cookie"))
        if scope["method"] == "POST" and path in (*TOKENS, FORM):
            return await self._tried(scope, receive, send, form=path == FORM)
        return await self._app(scope, receive, send)

    async def _tried(self, scope: Scope, receive: Any, send: Any, *, form: bool) -> None:
        body = await _whole(receive)
        name, origin, parts = _name(body or b"", form=form), ORIGIN.get(), self._parts()
        allowed = {f"pair {origin} {name}": PAIR_MOST, f"name {name}": NAME_MOST, f"address {origin}": ADDRESS_MOST}
        if form and not _header(scope, b"content-type").lower().startswith("application/x-www-form-urlencoded"):
            await PlainTextResponse("send the form as application/x-www-form-urlencoded", 415)(scope, receive, send)
        elif body is None:
            await PlainTextResponse(f"more than {BODY_MAX} bytes", 413)(scope, receive, send)
        elif wait := await run_in_threadpool(parts.tries.take, allowed):
            await _refusal(wait, form=form)(scope, receive, send)
        else:
            status, signed_in = await self._status(scope, _again(body, receive), send)
            if signed_in or status == 201:
                await run_in_threadpool(self._note_success, parts, name, origin, form=form)
            elif status in (301, 302, 401):
                await run_in_threadpool(self._note_failure, parts, name, origin, allowed)
            else:  # nobody looked at a password
                await run_in_threadpool(self._give_back, parts, allowed)

    async def _status(self, scope: Scope, receive: Any, send: Any) -> tuple[int, list[str]]:
        """Hand a request on, and return its status and who signed in with it."""
        signed_in, status = list[str](), 0

        async def passing(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = _IN.set(signed_in)
        try:
            await self._app(scope, receive, passing)
        finally:
            _IN.reset(token)
        return status, signed_in

    @staticmethod
    def _give_back(parts: SignInParts, allowed: Iterable[str]) -> None:
        for who in allowed:
            parts.tries.give_back(who)

    def _note_success(self, parts: SignInParts, name: str, origin: str, *, form: bool) -> None:
        """Forget the failures of that name from there; the address keeps its own, since whoever has a password may guess others'."""
        parts.tries.forget(f"pair {origin} {name}")
        self._give_back(parts, (f"name {name}", f"address {origin}"))
        if not form:
            parts.acting(name).note(SIGNED_IN, target="token")

    def _note_failure(self, parts: SignInParts, name: str, origin: str, allowed: dict[str, int]) -> None:
        # No user's name holds what cannot be printed, and a NUL or half a sign would only make the database refuse the question.
        actor = name if name.isprintable() and self._known(name) else "somebody unknown"
        parts.audit.add(Line(actor, FAILED, PLATFORM, "sign-in", origin, Came.REFUSED))
        if parts.tries.waits(allowed):  # said once, with the try that used up the last
            parts.audit.add(Line(actor, LIMITED, PLATFORM, "sign-in", origin, Came.REFUSED))


def _refusal(wait: float, *, form: bool) -> Response:
    said = f"{wait / 60:.0f} minutes" if wait >= 90 else f"{wait:.0f} seconds"
    text, headers = f"too many passwords were tried; wait {said}", {"Retry-After": f"{wait:.0f}", "Cache-Control": "no-store"}
    return PlainTextResponse(text, 429, headers) if form else JSONResponse({"detail": text}, 429, headers)


async def _whole(receive: Any) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > BODY_MAX:
            return None
        if not message.get("more_body"):
            return body


def _again(body: bytes, receive: Any) -> Callable[[], Awaitable[Any]]:
    told = False

    async def give() -> Any:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give


def _name(body: bytes, *, form: bool) -> str:
    """Return the user that a body names, as the sign-in compares names."""
    if form:
        return parse_qs(body.decode("utf-8", "replace"), max_num_fields=50).get("username", [""])[0].strip().casefold()[:250]
    try:
        made = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    name = made.get("username") if isinstance(made, dict) else ""
    return name.strip().casefold()[:250] if isinstance(name, str) else ""


def _header(scope: Scope, name: bytes) -> str:
    return "; ".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)
