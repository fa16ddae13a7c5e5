"""A business system that counts its users: sessions by two cookies or by a header, a licence for a few of them, and no mercy for whoever forgets to sign out."""

from __future__ import annotations

import json
import secrets
from typing import Any

from aiohttp import web

from tests.services.system import System

PASSWORD = "pa$$-wörd+&=%"


class SessionSystem(System):
    """Lets only requests with a living session through; everything else is as in `System`."""

    def __init__(self, licence: int = 2) -> None:
        super().__init__()
        self.licence = licence
        self.sessions: set[str] = set()
        self.logins: list[Any] = []
        self.logouts = self.pings = 0
        self.by_header = False
        self.out_status = 401
        self.on_read = self._guard

    def application(self) -> web.Application:
        app = super().application()
        app._client_max_size = 1 << 20
        app.middlewares.append(self._door)
        return app

    @web.middleware
    async def _door(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path == "/Login":
            return await self._login(request)
        if not self._alive(request):
            return web.json_response({"code": "session"}, status=self.out_status)
        if request.path == "/Logout":
            self.logouts += 1
            self.sessions.discard(self._session(request))
            return web.Response(status=204)
        if request.path == "/Ping":
            self.pings += 1
            return web.Response(status=204)
        answer: web.StreamResponse = await handler(request)
        return answer

    def _guard(self, _request: web.Request) -> web.StreamResponse | None:
        return None

    def _session(self, request: web.Request) -> str:
        if self.by_header:
            return request.headers.get("X-Session", "")
        return request.cookies.get("B1SESSION", "") if request.cookies.get("ROUTEID") == ".node1" else ""

    def _alive(self, request: web.Request) -> bool:
        return self._session(request) in self.sessions

    async def _login(self, request: web.Request) -> web.Response:
        given = json.loads(await request.read())
        self.logins.append(given)
        if given != {"CompanyDB": "SBODEMO", "UserName": "manager", "Password": PASSWORD}:
            return web.json_response({"error": {"message": f"wrong password {given}"}}, status=401)
        if len(self.sessions) >= self.licence:
            return web.json_response({"error": "too many users"}, status=503, headers={"Retry-After": "0"})
        name = secrets.token_hex(16)
        self.sessions.add(name)
        answer = web.json_response({"SessionId": name, "Timeout": 30})
        if not self.by_header:
            answer.headers.add("Set-Cookie", f"B1SESSION={name}; HttpOnly; Path=/; SameSite=None")
            answer.headers.add("Set-Cookie", "ROUTEID=.node1; path=/")
            answer.headers.add("Set-Cookie", "OLD=; Max-Age=0")
        return answer
