"""A system on loopback that gives marked records and fails in every way, repeating what it was sent as often as it can."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

from aiohttp import web

from integrator.errors import StopRunError


class BrokenSystem:
    """Serves lists, look-ups and writes. `mode` says how it behaves."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        self.records = records
        self.mode = "works"
        self.writes = 0
        self.alerts: list[bytes] = []
        self.url = ""
        self._loop = asyncio.new_event_loop()

    def start(self) -> None:
        """Start in a thread of its own; returns once it listens."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._live, args=(ready,), daemon=True, name="integrator-broken-system")
        self._thread.start()
        if not ready.wait(10):
            raise StopRunError("the marked system did not start")

    def _live(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)

        async def up() -> web.AppRunner:
            app = web.Application(client_max_size=1 << 26)
            app.add_routes(
                [web.get("/items", self._list), web.get("/items/{id}", self._get), web.get("/look-up", self._look_up), web.get("/orders", self._find),
                 web.post("/orders", self._create), web.post("/orders/bulk", self._bulk), web.post("/token", self._token), web.post("/mode", self._behave), web.post("/alerts", self._alert)]
            )  # fmt: skip
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            return runner

        runner = self._loop.run_until_complete(up())
        ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def stop(self) -> None:
        """Stop it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _all(self) -> str:
        return json.dumps(self.records, ensure_ascii=False)

    async def _behave(self, request: web.Request) -> web.Response:
        self.mode, self.writes = await request.text(), 0
        return web.Response()

    async def _alert(self, request: web.Request) -> web.Response:
        self.alerts.append(await request.read())
        return web.Response(text="ok")

    async def _token(self, _request: web.Request) -> web.Response:
        return web.json_response({"error": "invalid_client", "error_description": self._all()}, status=401)

    async def _list(self, _request: web.Request) -> web.Response:
        if self.mode == "fetch fails":
            return web.Response(status=500, text=f"<html>{self._all()}</html>", content_type="text/html")
        if self.mode == "fetch is garbage":
            return web.Response(text=f'{{"items": {self._all()[:-40]}', content_type="application/json")
        if self.mode == "fetch is a page":
            return web.Response(text=f"<html>{self._all()}</html>", content_type="text/html")
        if self.mode == "a list of others":
            return web.json_response({"items": [self._all(), [1], None, *self.records]})
        return web.json_response({"items": self.records})

    async def _get(self, request: web.Request) -> web.Response:
        found = [one for one in self.records if one["id"] == request.match_info["id"]]
        return web.json_response(found[0] if found else {}, status=200 if found else 404)

    async def _look_up(self, request: web.Request) -> web.Response:
        if self.mode == "look-up fails":
            return web.json_response({"error": self._all(), "asked": str(request.url)}, status=400)
        return web.json_response({"data": []})

    async def _find(self, request: web.Request) -> web.Response:
        if self.mode == "match fails":
            return web.json_response({"error": self._all(), "asked": str(request.url)}, status=500)
        return web.json_response({"data": []})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body, self.writes = await request.text(), self.writes + 1
        if self.mode == "slow":
            await asyncio.sleep(0.3)
        if self.mode == "refused":
            return web.json_response(
                {"error": {"code": json.loads(body).get("code"), "message": body}, "record": body}, status=422
            )
        if self.mode == "error page":
            return web.Response(status=500, text=f"<html>{body}</html>", content_type="text/html")
        if self.mode == "odd answer":
            return web.Response(status=201, text=f'{{"number": "{body[:50]}', content_type="application/json")
        if self.mode == "lost":
            if request.transport is not None:
                request.transport.close()
            return web.Response()
        return web.json_response({"number": self.writes}, status=201)

    async def _bulk(self, request: web.Request) -> web.Response:
        records = json.loads(await request.read())["records"]
        told = [
            {"code": "ok"} if at % 2 else {"code": one.get("code"), "message": json.dumps(one)} for at, one in enumerate(records)
        ]
        return web.json_response({"results": told})
