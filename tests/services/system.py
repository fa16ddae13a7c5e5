"""A business system with a real HTTP server in a thread of its own: lists by every way of paging, stores, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import pytest
from aiohttp import web

from integrator.model.credential import Credential
from tests.services.threaded import Threaded

Behave = Callable[[dict[str, Any]], str]


def record(number: int, **more: Any) -> dict[str, Any]:
    """Return a source record."""
    return {
        "id": f"r{number}",
        "name": f"name {number}",
        "amount": number,
        "updated_at": f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z",
        **more,
    }


class System(Threaded):
    """State that a test may look at and change while requests come in.

    `on_write` gets the mapped record and answers how to behave: ok, refuse (422 that echoes the record), drop_before
    (nothing stored, connection cut), drop_after (stored, connection cut), busy (503, Retry-After 0.05), limit (429),
    error (500), gateway (502 after storing), html (200 with HTML, stored), truncate (201 with half a body, stored).
    """

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.stored: list[dict[str, Any]] = []
        self.calls: Counter[str] = Counter()
        self.keys: dict[str, dict[str, Any]] = {}  # idempotency
        self.on_write: Behave = lambda _record: "ok"
        self.on_read: Callable[[web.Request], web.StreamResponse | None] = lambda _request: None
        self.on_bulk: Callable[[list[dict[str, Any]]], web.StreamResponse | str | None] = lambda _records: None
        self.slow_get: Any = None
        self.page_cap = 1000
        self.latency_s = 0.0
        self.tell: Callable[[], dict[str, str]] = dict  # headers that every answer gets
        self.answers_more: dict[str, Callable[[], web.Response]] = {}
        self.in_flight = self.most_in_flight = 0
        self.jobs: dict[str, list[dict[str, Any]]] = {}
        self.headers_seen: list[dict[str, str]] = []
        self._lock = threading.Lock()

    # -- starting and stopping

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 28, middlewares=[self._count])
        app.add_routes(
            [
                web.get("/items", self._list), web.get("/items/{id}", self._get), web.get("/orders", self._find),
                web.post("/orders", self._create), web.post("/orders/bulk", self._bulk), web.post("/orders/jobs", self._job),
                web.get("/orders/jobs/{id}", self._job_state), web.patch("/orders/{id}", self._update), web.put("/orders/by/{key}", self._put),
                web.route("*", "/{rest:.*}", self._other),
            ]
        )  # fmt: skip
        return app

    def start(self) -> Self:
        self.serve()
        return self

    def credential(self, name: str = "there", scheme: str = "none", **extra: Any) -> Credential:
        return Credential("acme", name, scheme, self.url, {"plain_http": True, **extra})

    # -- what tests ask

    def copies(self) -> dict[str, int]:
        """Return how often each external number is stored."""
        return dict(Counter(str(one.get("ext")) for one in self.stored))

    def duplicates(self) -> list[str]:
        return [key for key, times in self.copies().items() if times > 1]

    # -- the API

    @web.middleware
    async def _count(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls[f"{request.method} {request.path.split('/')[1]}"] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.headers_seen.append(dict(request.headers))
        try:
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            answer: web.StreamResponse = await handler(request)
            answer.headers.update(self.tell())
            return answer
        finally:
            self.in_flight -= 1

    async def _list(self, request: web.Request) -> web.StreamResponse:
        special = self.on_read(request)
        if special is not None:
            return special
        query = request.query
        records = [r for r in self.records if not query.get("since") or str(r.get("updated_at") or "") >= query["since"]]
        size = min(int(query.get("per_page") or query.get("limit") or query.get("$top") or 10**9), self.page_cap)
        by = query.get("by", "page")
        if by == "single":
            return web.json_response({"items": records})
        if by in ("offset", "odata"):
            start = int(query.get("offset") or query.get("$skip") or 0)
        elif by in ("cursor", "link", "next"):
            start = int(query.get("cursor") or 0)
        else:
            start = (int(query.get("page", "1")) - 1) * size
        part = records[start : start + size]
        more = start + size < len(records)
        again = request.rel_url.update_query({"cursor": str(start + size)})
        body: dict[str, Any] = {"items": part, "total": len(records)}
        headers = {}
        if by == "cursor":
            body["meta"] = {"next": str(start + size) if more else None}
        if by == "next":
            body["next"] = str(again) if more else None
        if by == "link" and more:
            headers["Link"] = f'<{self.url}{again}>; rel="next", <{self.url}/items>; rel="first"'
        return web.json_response(body, headers=headers)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if self.slow_get is not None:
            slow, self.slow_get = self.slow_get, None
            return await slow(request)
        special = self.on_read(request)
        if special is not None:
            return special
        found = [r for r in self.records if isinstance(r, dict) and str(r.get("id")) == request.match_info["id"]]
        return web.json_response(found[0]) if found else web.json_response({"error": "not found"}, status=404)

    async def _find(self, request: web.Request) -> web.StreamResponse:
        found = [{"number": at, **one} for at, one in enumerate(self.stored) if str(one.get("ext")) == request.query.get("ext")]
        return web.json_response({"data": found})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json(loads=json.loads)
        key = request.headers.get("Idempotency-Key")
        with self._lock:
            how = self.on_write(body)
            if key and key in self.keys:
                return web.json_response({"number": 1, "ok": True}, status=201)
            return self._act(how, body, request, lambda: self._store(body, key))

    def _store(self, body: dict[str, Any], key: str | None = None) -> None:
        self.stored.append(body)
        if key:
            self.keys[key] = body

    def _act(self, how: str, body: Any, request: web.Request, store: Callable[[], None]) -> web.StreamResponse:
        if how in ("ok", "drop_after", "gateway", "html", "truncate", "not_ok"):
            store()
        if how in ("drop_before", "drop_after"):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if how == "truncate":
            assert request.transport is not None
            request.transport.write(
                b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"numb'
            )  # type: ignore[attr-defined]
            request.transport.close()
            return web.Response()
        answers: dict[str, Callable[[], web.Response]] = {
            "ok": lambda: web.json_response({"number": len(self.stored), "ok": True}, status=201),
            "not_ok": lambda: web.json_response({"ok": False, "error": {"code": "E-17"}}, status=200),
            "refuse": lambda: web.json_response(
                {"error": {"code": "BAD_RECORD", "message": f"refused {json.dumps(body)}"}, "record": body}, status=422
            ),
            "busy": lambda: web.Response(status=503, headers={"Retry-After": "0.05"}),
            "limit": lambda: web.Response(status=429, headers={"Retry-After": "0.05"}),
            "error": lambda: web.Response(status=500, text=f"<html>{json.dumps(body)}</html>"),
            "gateway": lambda: web.Response(status=502),
            "html": lambda: web.Response(status=200, text="<html>ok</html>", content_type="text/html"),
            "unauthorized": lambda: web.Response(status=401),
            "forbidden": lambda: web.Response(status=403),
            **self.answers_more,
        }
        return answers[how]()

    async def _update(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        with self._lock:
            how = self.on_write(body)
            return self._act(how, body, request, lambda: self.stored.__setitem__(int(request.match_info["id"]), body))

    async def _put(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        with self._lock:
            at = next((i for i, one in enumerate(self.stored) if str(one.get("ext")) == request.match_info["key"]), None)

            def store() -> None:
                if at is None:
                    self.stored.append(body)
                else:
                    self.stored[at] = body

            how = self.on_write(body)
            made = self._act(how, body, request, store)
            return web.json_response({}, status=201 if at is None else 200) if how == "ok" else made

    async def _bulk(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        records = body["orders"] if isinstance(body, dict) else body
        with self._lock:
            special = self.on_bulk(records)
            if isinstance(special, str):
                return self._act(special, body, request, lambda: self.stored.extend(records))
            if special is not None:
                return special
            return web.json_response({"results": [self._result(one) for one in records]})

    def _result(self, one: dict[str, Any]) -> dict[str, Any]:
        if self.on_write(one) == "ok":
            self.stored.append(one)
            return {"code": "ok", "ext": one.get("ext")}
        return {"code": "BAD_ITEM", "ext": one.get("ext"), "echo": one}

    async def _job(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        with self._lock:
            job = str(len(self.jobs))
            self.jobs[job] = [self._result(one) for one in body["orders"]]
            return web.json_response({"job": {"id": job}}, status=202)

    async def _job_state(self, request: web.Request) -> web.StreamResponse:
        job = request.match_info["id"]
        self.calls[f"job {job}"] += 1
        if self.calls[f"job {job}"] < 3:
            return web.json_response({"status": "open"})
        return web.json_response({"status": "done", "results": self.jobs[job]})

    async def _other(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"path": request.path}, status=404)


@contextmanager
def running_system() -> Iterator[System]:
    """Run a system for a while."""
    system = System().start()
    try:
        yield system
    finally:
        system.stop()


@pytest.fixture
def system() -> Iterator[System]:
    """A system of this test's own."""
    with running_system() as made:
        yield made
