"""What both demo servers share: the door check, the answer and the run on loopback."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec
import uvloop
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Amounts keep their digits on the way in and out.
encode = msgspec.json.Encoder(decimal_format="number").encode
decode = msgspec.json.Decoder(float_hook=Decimal).decode


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return a JSON answer; decimals keep their digits."""
    return web.Response(body=encode(body), status=status, headers=headers, content_type="application/json")


def refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an error as these systems word it."""
    return answer({"error": {"code": code, "message": message}}, status, headers)


def guard(expected: str, scheme: str, latency_s: float) -> Any:
    """Return a middleware that lets in only who sends the expected Authorization header; `/health` is open."""
    right = expected.encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != "/health":
            if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), right):
                return refusal(401, "UNAUTHORIZED", "sign in", {"WWW-Authenticate": f'{scheme} realm="demo"'})
            if latency_s:
                await asyncio.sleep(latency_s)
        return await handler(request)

    return check


async def health(_request: web.Request) -> web.Response:
    """Say that the server is up."""
    return answer({"status": "healthy"})


def serve(application: web.Application, port: int) -> None:
    """Serve on loopback until SIGINT or SIGTERM."""
    application.router.add_get("/health", health)
    web.run_app(
        application,
        host="127.0.0.1",
        port=port,
        access_log=None,
        print=None,
        keepalive_timeout=75.0,
        loop=uvloop.new_event_loop(),
    )
