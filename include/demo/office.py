"""A business system of collections behind one HTTP API: lists, finds, stores, deletes, takes files and bulk jobs, and counts what it is asked.

The worked examples run against two of them, a shop and an ERP; tests let them misbehave (`before`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import BodyPartReader, web

from demo.serving import answer, decode, refusal

WORDS = frozenset({"page", "per_page", "offset", "limit", "since", "until", "most"})
"""Query parameters that are no filters."""
Record = dict[str, Any]
Before = Callable[[web.Request, str], "web.StreamResponse | str | None"]
"""Looks at a request before it is carried out: an answer takes its place; `drop_after` carries it out and drops the connection."""


def stamp(moment: datetime) -> str:
    """Return a time as this system writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Office:
    """The collections, and how the system behaves.

    Args:
        unique: collection -> member that no two of its records may share (a second one is refused with 409).
        most: how many records a list gives at most, whatever the pages; None for no limit.
        latency_s: how long each answer takes.
    """

    unique: dict[str, str] = field(default_factory=dict)
    most: int | None = None
    latency_s: float = 0.0
    collections: dict[str, dict[str, Record]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    before: Before = lambda _request, _call: None
    in_flight: int = 0
    most_in_flight: int = 0
    now: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    _jobs: dict[str, list[Record]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    # -- what tests and demos ask of it directly

    def put(self, collection: str, *records: Record) -> None:
        """Store records, with their own `id` where they have one; each is changed one second after the one before."""
        for record in records:
            self._store(collection, dict(record))

    def all(self, collection: str) -> list[Record]:
        """Return a collection's records."""
        return list(self.collections.get(collection, {}).values())

    def by(self, collection: str, member: str) -> dict[Any, Record]:
        """Return a collection's records by a member; one that stands twice is an error."""
        records = self.all(collection)
        made = {one.get(member): one for one in records}
        if len(made) != len(records):
            raise AssertionError(f"{collection}: {len(records) - len(made)} records stand twice")
        return made

    def change(self, collection: str, identity: str, **members: Any) -> None:
        """Change a record."""
        self._store(collection, {**self.collections[collection][identity], **members})

    def remove(self, collection: str, identity: str) -> None:
        """Delete a record."""
        self.collections[collection].pop(identity, None)

    # -- storing

    def _store(self, collection: str, record: Record) -> Record:
        kept = self.collections.setdefault(collection, {})
        record.setdefault("id", str(next(self._numbers)))
        self.now += timedelta(seconds=1)
        if "updated_at" not in record or str(record["id"]) in kept:
            record["updated_at"] = stamp(self.now)
        kept[str(record["id"])] = record
        return record

    def _clashes(self, collection: str, record: Record, identity: str | None = None) -> bool:
        member = self.unique.get(collection)
        if member is None or record.get(member) is None:
            return False
        return any(str(one["id"]) != identity and one.get(member) == record[member] for one in self.all(collection))

    # -- the API

    def application(self) -> web.Application:
        """Return it as a web application."""
        app = web.Application(client_max_size=1 << 28, middlewares=[self._door()])
        app.add_routes(
            [
                web.get("/{c}", self._list), web.post("/{c}", self._create), web.post("/{c}/bulk", self._bulk),
                web.post("/{c}/jobs", self._job), web.get("/{c}/jobs/{id}", self._job_state), web.put("/{c}/by/{key}", self._upsert),
                web.get("/files/{c}/{name}", self._file), web.get("/{c}/{id}", self._one), web.patch("/{c}/{id}", self._update),
                web.put("/{c}/{id}", self._update), web.delete("/{c}/{id}", self._delete), web.post("/{c}/{id}/{sub}", self._append),
            ]
        )  # fmt: skip
        return app

    def _door(self) -> Any:
        @web.middleware
        async def door(request: web.Request, handler: Any) -> web.StreamResponse:
            call = f"{request.method} {request.path.split('/')[1]}"
            self.calls[call] += 1
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            try:
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                told = self.before(request, call)
                if isinstance(told, web.StreamResponse):
                    return told
                made: web.StreamResponse = await handler(request)
                if told == "drop_after" and request.transport is not None:
                    request.transport.abort()
                return made
            finally:
                self.in_flight -= 1

        return door

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        wanted = {name: query.getall(name) for name in query if name not in WORDS}
        records = [one for one in self.all(request.match_info["c"]) if all(str(_at(one, n)) in v for n, v in wanted.items())]
        for word, keep in (("since", lambda at, bound: at >= bound), ("until", lambda at, bound: at < bound)):
            if query.get(word):
                records = [one for one in records if keep(str(one.get("updated_at") or ""), query[word])]
        total = len(records)
        if self.most is not None:
            records = records[: self.most]
        size = min(int(query.get("per_page") or query.get("limit") or 100), 500)
        start = int(query["offset"]) if "offset" in query else (int(query.get("page", "1")) - 1) * size
        return answer({"data": records[start : start + size], "total": total})

    async def _one(self, request: web.Request) -> web.Response:
        found = self._found(request)
        return answer(found) if found else refusal(404, "NOT_FOUND", "there is no such record")

    def _found(self, request: web.Request) -> Record | None:
        return self.collections.get(request.match_info["c"], {}).get(request.match_info["id"])

    async def _create(self, request: web.Request) -> web.Response:
        collection, record = request.match_info["c"], await _record(request)
        if record is None:
            return refusal(400, "NO_RECORD", "send a JSON object")
        if self._clashes(collection, record):
            return refusal(409, "EXISTS", f"{collection} has one already: {record}")
        made = self._store(collection, {name: value for name, value in record.items() if name != "id"})
        made.setdefault("number", f"{collection[:2].upper()}-{made['id']}")
        return answer(made, 201)

    async def _update(self, request: web.Request) -> web.Response:
        found = self._found(request)
        if found is None:
            return refusal(404, "NOT_FOUND", "there is no such record")
        if request.content_type.startswith("multipart/"):
            return await self._take_files(request, found)
        record = await _record(request)
        if record is None:
            return refusal(400, "NO_RECORD", "send a JSON object")
        if self._clashes(request.match_info["c"], record, str(found["id"])):
            return refusal(409, "EXISTS", "another record has that value")
        return answer(self._store(request.match_info["c"], {**found, **record, "id": found["id"]}))

    async def _take_files(self, request: web.Request, found: Record) -> web.Response:
        kept = self.files.setdefault(f"{request.match_info['c']}/{found['id']}", {})
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader):
                kept[f"{part.name}:{part.filename or ''}"] = bytes(await part.read())
        return answer({"id": found["id"], "files": sorted(kept)})

    async def _upsert(self, request: web.Request) -> web.Response:
        collection, record = request.match_info["c"], await _record(request)
        if record is None:
            return refusal(400, "NO_RECORD", "send a JSON object")
        return answer(*self._put_by(collection, self.unique.get(collection, "key"), request.match_info["key"], record))

    def _put_by(self, collection: str, member: str, key: Any, record: Record) -> tuple[Record, int]:
        there = next((one for one in self.all(collection) if str(one.get(member)) == str(key)), None)
        return self._store(collection, {**(there or {}), **record, member: key}), 200 if there else 201

    async def _delete(self, request: web.Request) -> web.Response:
        if self._found(request) is None:
            return refusal(404, "NOT_FOUND", "there is no such record")
        self.remove(request.match_info["c"], request.match_info["id"])
        return web.Response(status=204)

    async def _append(self, request: web.Request) -> web.Response:
        found, record = self._found(request), await _record(request)
        if found is None or record is None:
            return refusal(404, "NOT_FOUND", "there is no such record")
        listed = [*found.get(request.match_info["sub"], []), record]
        self._store(request.match_info["c"], {**found, request.match_info["sub"]: listed})
        return answer({"id": len(listed)}, 201)

    async def _bulk(self, request: web.Request) -> web.Response:
        body = await _record(request)
        items = body.get("items") if body else None
        if not isinstance(items, list):
            return refusal(400, "NO_ITEMS", 'send {"items": [...]}')
        return answer({"results": [self._bulk_one(request.match_info["c"], one) for one in items]})

    def _bulk_one(self, collection: str, record: Record) -> Record:
        member = self.unique.get(collection, "key")
        if record.get(member) is None or record.get("refuse"):
            return {"code": "INVALID", "message": f"refused {record}", member: record.get(member)}
        self._put_by(collection, member, record[member], record)
        return {"code": "ok", member: record[member]}

    async def _job(self, request: web.Request) -> web.Response:
        body = await _record(request)
        items = body.get("items") if body else None
        if not isinstance(items, list):
            return refusal(400, "NO_ITEMS", 'send {"items": [...]}')
        job = str(len(self._jobs) + 1)
        self._jobs[job] = [self._bulk_one(request.match_info["c"], one) for one in items]
        return answer({"job": {"id": job}}, 202)

    async def _job_state(self, request: web.Request) -> web.Response:
        job = request.match_info["id"]
        self.calls[f"job {job}"] += 1
        if self.calls[f"job {job}"] < 2:
            return answer({"status": "open"})
        return answer({"status": "done", "results": self._jobs.get(job, [])})

    async def _file(self, request: web.Request) -> web.Response:
        content = self.files.get(request.match_info["c"], {}).get(request.match_info["name"])
        return (
            web.Response(body=content, content_type="image/png") if content else refusal(404, "NO_FILE", "there is no such file")
        )


def _at(record: Record, path: str) -> Any:
    value: Any = record
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


async def _record(request: web.Request) -> Record | None:
    try:
        made = decode(await request.read())
    except msgspec.DecodeError:
        return None
    return made if isinstance(made, dict) else None
