"""The application, imported and made with the first request."""

from __future__ import annotations

from typing import Any


class Lazily:
    """An ASGI application that is made when it is first called."""

    def __init__(self) -> None:
        self._made: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand a request on."""
        if self._made is None:
            from integrator.web.app import application

            self._made = application()
        await self._made(scope, receive, send)
