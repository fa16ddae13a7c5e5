"""A token URL that answers whatever a test wants, and counts how often it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from tests.services.threaded import Threaded


class Clerk(Threaded):
    """Answers every path alike."""

    def __init__(self, answer: Any, status: int, headers: dict[str, str]) -> None:
        self.answer, self.status, self.headers = answer, status, headers
        self.calls, self.latency_s = 0, 0.0
        self.forms: list[dict[str, str]] = []
        self.on_form: Callable[[dict[str, str]], Any] = lambda _form: None
        """Returns what a form is refused with, if it is."""
        self.seen: list[dict[str, str]] = []

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        self.calls += 1
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        self.seen.append(dict(request.headers))
        await asyncio.sleep(self.latency_s)
        refused = self.on_form(self.forms[-1])
        if refused is not None:
            return web.json_response(refused, status=400)
        if isinstance(self.answer, bytes):
            return web.Response(body=self.answer, status=self.status, headers=self.headers)
        return web.json_response(self.answer, status=self.status, headers=self.headers)


@contextmanager
def clerk(answer: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Iterator[Clerk]:
    made = Clerk(answer, status, headers or {})
    made.serve()
    try:
        yield made
    finally:
        made.stop()
