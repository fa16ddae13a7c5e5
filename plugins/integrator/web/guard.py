"""What holds for every request and every answer, before any of it is looked at: headers, the size of a body, and its kind."""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from integrator.web.problems import Problem, answer_with

HEADERS = {
    "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}  # fmt: skip
BODY_BYTES_MAX = 256 * 1024
"""A body is a few names; the longest is a credential with certificates."""
ODD = re.compile(rb"\\u[dD][89a-fA-F]|NaN|Infinity|[0-9][eE]\+?[0-9]{3}")
logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
App = Callable[[Message, Any, Any], Awaitable[None]]


class Guard:
    """Hands requests on whose body is JSON and not too large, and puts our headers on every answer, whatever happens within."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Hand a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = _with_ours(message.get("headers", []))
            await send(message)

        try:
            refused, again = await _read(scope, receive)
            if refused is not None:
                await answer_with(refused, scope)(scope, receive, sending)
                return
            await self._app(scope, again, sending)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing of it may show
            # Its text may hold what was asked with, so neither the answer nor the log shows more than where it was.
            frames = traceback.extract_tb(error.__traceback__)
            at = next((one for one in reversed(frames) if "integrator" in Path(one.filename).parts), frames[-1])
            logger.error("%s at %s:%s", type(error).__name__, at.filename, at.lineno)  # noqa: TRY400 - see above
            if begun:
                raise ConnectionAbortedError("the answer broke off") from None
            await answer_with(Problem.of(500, "this is a fault of Integrator's; its log says where"), scope)(
                scope, receive, sending
            )


def _with_ours(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    there = {name.lower() for name, _ in headers}
    ours = ((name.encode(), value.encode()) for name, value in HEADERS.items())
    return [*headers, *((name, value) for name, value in ours if name.lower() not in there)]


async def _read(scope: Message, receive: Any) -> tuple[Problem | None, Any]:
    """Read a body to its end; returns why it is refused, or what gives it again."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.lower(), value)
    told = headers.get(b"content-length", b"0")
    if told.isdigit() and int(told[:20]) > BODY_BYTES_MAX:
        return _too_large(), receive
    parts: deque[bytes] = deque()
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None, _again([message], receive)  # whoever asked has gone away
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > BODY_BYTES_MAX:
            return _too_large(), receive
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if size and kind != b"application/json":
        return Problem.of(415, "a body is JSON; send it with Content-Type: application/json"), receive
    if odd := _odd(whole := b"".join(parts)):
        return Problem.of(400, f"the body is not JSON: it holds {odd}"), receive
    return None, _again([{"type": "http.request", "body": whole, "more_body": False}], receive)


def _odd(body: bytes) -> str | None:
    """Return what a text holds that Python reads as JSON and that is none: no database takes a lone surrogate, and no JSON has a NaN."""
    if not ODD.search(body):
        return None
    try:
        json.dumps(json.loads(body), ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return "half of a sign (\\ud800 to \\udfff alone)"
    except RecursionError:
        return None  # which is told where it is read
    except ValueError as fault:
        return "a number that is none" if "JSON compliant" in str(fault) else None
    return None


def _too_large() -> Problem:
    return Problem.of(413, f"a body has {BODY_BYTES_MAX:,} bytes at most; send less")


def _again(messages: list[Message], receive: Any) -> Any:
    left = deque(messages)

    async def give() -> Any:
        return left.popleft() if left else await receive()

    return give
