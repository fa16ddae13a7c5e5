"""P6 under SIGKILL: a real process is killed at a random moment, again and again, and the accounts still add up."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from integrator.model.run import State
from tests.scenarios.test_p6_every_record_is_accounted_for import BULK
from tests.services.move_process import journal_at, kill, start, to_end
from tests.services.moving import MATCH, flow
from tests.services.system import System, record

RECORDS = 900
BAD = {"r17", "r500", "r888"}
SINCE: dict[str, Any] = {"params": {"since": "{since}"}, "since": {"field": "updated_at", "overlap": "1h"}}
CURSOR: dict[str, Any] = {
    "pages": {"by": "cursor", "next": "meta.next", "size_param": "per_page", "per_page": 50},
    "params": {"by": "cursor"},
}
KINDS = {
    "match": (flow(destination={"match": MATCH, "in_flight": 16}, source={"pages": {"by": "page_number", "per_page": 50}}), True),
    "match, cursor pages": (flow(destination={"match": MATCH, "in_flight": 16}, source=CURSOR), True),
    "post": (flow(destination={"in_flight": 16}, source={"pages": {"by": "page_number", "per_page": 50}}), False),
    "post, cursor pages": (flow(destination={"in_flight": 16}, source=CURSOR), False),
    "post, since": (flow(destination={"in_flight": 16}, source={"pages": {"by": "page_number", "per_page": 50}, **SINCE}), False),
    "bulk": (flow(destination={**BULK, "in_flight": 4}, source={"pages": {"by": "page_number", "per_page": 50}}), False),
    "put": (flow(destination={"create": {"method": "PUT", "path": "/orders/by/{ext}"}, "in_flight": 16}), True),
}


def wait_for_some(system: System, some: int) -> None:
    until = time.monotonic() + 30
    while len(system.stored) < some and time.monotonic() < until:
        time.sleep(0.002)


def kill_somewhere(process: Any, system: System, chance: random.Random) -> None:
    """Kill it after a random number of records and a moment more; it must not have come to its end by then."""
    wait_for_some(system, len(system.stored) + chance.randrange(1, 250))
    time.sleep(chance.random() * 0.1)
    assert process.poll() is None
    kill(process)


def prepare(system: System) -> None:
    system.records = [record(n) for n in range(RECORDS)]
    system.latency_s = 0.03
    system.on_write = lambda one: "refuse" if one["ext"] in BAD else "ok"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_a_retry_of_the_same_run_counts_every_record_once(system: System, tmp_path: Path, kind: str, seed: int) -> None:
    """Airflow's retry resumes the flow run: nothing is counted twice, lost, or sent again where that is not safe."""
    made, safe = KINDS[kind]
    url, chance = f"sqlite:///{tmp_path / 'journal.db'}", random.Random(f"{kind}{seed}")
    prepare(system)
    for _kill in range(2):
        process = start(
            tmp_path, flow={**made, "tolerate": RECORDS}, system=system.url, journal=url, dag_run="run-1", last_try=False
        )
        kill_somewhere(process, system, chance)
    report = to_end(start(tmp_path, flow={**made, "tolerate": RECORDS}, system=system.url, journal=url, dag_run="run-1"))
    account(system, url, report, safe=safe)
    assert report["read"] == RECORDS
    [run] = journal_at(url).runs("acme", "sync", 10)
    assert run.flows["items"]["read"] == RECORDS


@pytest.mark.parametrize("kind", ["match", "post", "bulk", "post, since"])
def test_the_next_run_takes_care_of_what_a_killed_one_left(system: System, tmp_path: Path, kind: str) -> None:
    """The command line has no retry: the next run of the flow, in another Python, knows what the dead one has sent."""
    made, safe = KINDS[kind]
    url, chance = f"sqlite:///{tmp_path / 'journal.db'}", random.Random(kind)
    prepare(system)
    for _kill in range(2):
        process = start(tmp_path, flow={**made, "tolerate": RECORDS}, system=system.url, journal=url)
        kill_somewhere(process, system, chance)
    report = to_end(start(tmp_path, flow={**made, "tolerate": RECORDS}, system=system.url, journal=url, cold=True))
    account(system, url, report, safe=safe)
    assert report["read"] == RECORDS
    for run in journal_at(url).runs("acme", "sync", 10):
        counts = run.flows["items"]
        assert counts["read"] == sum(
            counts[k] for k in ("created", "updated", "deleted", "skipped", "waiting", "failed", "unknown")
        )


def account(system: System, url: str, report: dict[str, Any], *, safe: bool) -> None:
    rows = {row.entity_id: row for row in journal_at(url).failures("acme", "sync", states=[State.OPEN, State.RETRYING])}
    assert report["read"] == sum(report[k] for k in ("created", "updated", "deleted", "skipped", "waiting", "failed", "unknown"))
    assert system.duplicates() == []
    stored = set(system.copies())
    everyone = {r["id"] for r in system.records}
    assert stored | set(rows) >= everyone, "a record is neither there nor in the ledger"
    if safe:
        assert stored == everyone - BAD
        assert set(rows) == BAD
    else:
        unknown = {i for i, row in rows.items() if row.error == "OutcomeUnknownError"}
        assert set(rows) - unknown <= BAD
        assert everyone - stored <= set(rows)


@pytest.mark.parametrize("match", [True, False], ids=["match", "post"])
def test_a_killed_rerun_is_taken_up_by_the_next(system: System, tmp_path: Path, match: bool) -> None:
    made = flow(destination={"match": MATCH, "in_flight": 8} if match else {"in_flight": 8}, tolerate=RECORDS)
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    prepare(system)
    system.on_write, system.latency_s = (lambda _one: "refuse"), 0.0
    to_end(start(tmp_path, flow=made, system=system.url, journal=url))
    system.on_write, system.latency_s = (lambda _one: "ok"), 0.005
    process = start(tmp_path, flow=made, system=system.url, journal=url, rerun=True)
    wait_for_some(system, 150)
    kill(process)
    to_end(start(tmp_path, flow=made, system=system.url, journal=url, rerun=True))
    rows = {row.entity_id: row for row in journal_at(url).failures("acme", "sync", states=[State.OPEN, State.RETRYING])}
    assert system.duplicates() == []
    assert set(system.copies()) | set(rows) == {r["id"] for r in system.records}
    assert all(row.error == "OutcomeUnknownError" for row in rows.values())
    assert match is False or not rows


def test_a_first_signal_ends_a_run_in_good_order(system: System, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    prepare(system)
    process = start(tmp_path, flow=flow(destination={"in_flight": 8}, tolerate=RECORDS), system=system.url, journal=url)
    wait_for_some(system, 100)
    process.terminate()
    process.communicate(timeout=30)
    [run] = journal_at(url).runs("acme", "sync", 10)
    assert run.status.value == "cancelled"
    assert run.flows["items"]["unknown"] == 0
    assert run.flows["items"]["created"] == len(system.stored)
