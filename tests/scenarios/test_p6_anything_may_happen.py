"""P6 under everything at once: random misbehaviour on both sides, many seeds; on PostgreSQL too."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from integrator.errors import IntegratorError
from integrator.model.run import State
from integrator.wiring import Parts
from tests.scenarios.test_p6_every_record_is_accounted_for import BULK, BY_KEY, JOB
from tests.services.move_process import journal_at, kill, start, to_end
from tests.services.moving import MATCH, QUICK, flow, move, parts, plan, rerun
from tests.services.system import System, record

KINDS: dict[str, tuple[dict[str, Any], bool]] = {
    "post": ({}, False), "match": ({"match": MATCH}, True), "update": ({"match": {**MATCH, "found": "update"}}, True), "idempotent": ({"idempotency": {}}, True),
    "put": ({"create": {"method": "PUT", "path": "/orders/by/{ext}"}}, True), "index": (BULK, False), "key": (BY_KEY, False), "job": (JOB, False),
}  # fmt: skip
WRITES = ["ok"] * 12 + ["refuse", "drop_before", "drop_after", "busy", "limit", "error", "gateway", "truncate"]


def holds(journal: Any) -> None:
    for run in journal.runs("acme", "sync", 50):
        for counts in run.flows.values():
            assert counts["read"] == sum(
                counts[k] for k in ("created", "updated", "deleted", "skipped", "waiting", "failed", "unknown")
            ), counts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
async def test_the_accounts_add_up_whatever_happens(system: System, kind: str, seed: int) -> None:
    destination, safe = KINDS[kind]
    chance = random.Random(f"{kind}{seed}")
    system.records = [record(n) for n in range(300)]
    system.on_write = lambda _one: chance.choice(
        WRITES if not kind.startswith(("index", "key", "job")) else ["ok"] * 9 + ["refuse"]
    )
    system.on_bulk = lambda _orders: (
        chance.choice([None] * 6 + ["drop_before", "drop_after", "busy", "gateway"]) if kind in ("index", "key") else None
    )

    def read(request: web.Request) -> web.StreamResponse | None:
        assert request.transport is not None
        what = chance.random()
        if what < 0.05:
            request.transport.abort()
        return web.Response(status=503, headers={"Retry-After": "0"}) if what < 0.1 else None

    system.on_read = read
    made = parts(system.credential(), back_off_s=0.002)
    compiled = plan({**flow(destination=destination), "tolerate": "100%"})
    for attempt in range(3):
        try:
            await (move(made, compiled) if attempt == 0 or safe else rerun(made, compiled))
        except IntegratorError:
            continue
    holds(made.journal)
    rows = {row.entity_id for row in made.journal.failures("acme", "sync", states=[State.OPEN, State.RETRYING])}
    stored = set(system.copies())
    done = [run for run in made.journal.runs("acme", "sync", 50) if run.status.value == "partial"]
    if done and any(run.flows["items"]["read"] == 300 for run in done):
        assert stored | rows >= {r["id"] for r in system.records}
    if safe or kind == "post":
        assert system.duplicates() == []


@pytest.mark.parametrize("match", [True, False], ids=["match", "post"])
def test_a_kill_and_a_rerun_on_postgresql(system: System, tmp_path: Path, postgres_url: str, match: bool) -> None:
    made = {**flow(destination={"match": MATCH, "in_flight": 8} if match else {"in_flight": 8}), "tolerate": "100%"}
    system.records, system.latency_s = [record(n) for n in range(500)], 0.01
    system.on_write = lambda one: "refuse" if one["ext"] in ("r3", "r400") else "ok"
    process = start(tmp_path, cold=True, flow=made, system=system.url, journal=postgres_url, dag_run="run-1", last_try=False)
    while len(system.stored) < 120:
        assert process.poll() is None
    kill(process)
    report = to_end(start(tmp_path, cold=True, flow=made, system=system.url, journal=postgres_url, dag_run="run-1"))
    assert report["read"] == 500
    journal = journal_at(postgres_url)
    holds(journal)
    rows = {row.entity_id: row.error for row in journal.failures("acme", "sync", states=[State.OPEN])}
    assert system.duplicates() == []
    assert set(system.copies()) | set(rows) == {r["id"] for r in system.records}
    assert {"r3", "r400"} <= set(rows)
    system.on_write = lambda _one: "ok"
    again = to_end(start(tmp_path, cold=True, flow=made, system=system.url, journal=postgres_url, rerun=True))
    assert again["created"] == (2 if match else len([e for e in rows.values() if e != "OutcomeUnknownError"]))
    assert system.duplicates() == []


async def test_two_processes_worth_of_a_flow_do_not_move_it_at_once(system: System, tmp_path: Path) -> None:
    import asyncio

    from integrator.errors import ConfigError

    url = f"sqlite:///{tmp_path / 'journal.db'}"
    system.records, system.latency_s = [record(n) for n in range(100)], 0.02
    one, two = (Parts(QUICK, journal_at(url), lambda _p, name: system.credential(name)) for _ in range(2))
    first = asyncio.create_task(move(one, plan(flow())))
    while not system.stored:
        await asyncio.sleep(0.01)
    with pytest.raises(ConfigError, match="already moving"):
        await move(two, plan(flow()))
    assert (await first).counts.created == 100
    assert system.duplicates() == []
