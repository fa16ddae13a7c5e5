"""Manners: a system that allows so many calls is asked for no more, by however many workers; and no header keeps us for ever."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from integrator.engine.move import Asked
from integrator.errors import LaterError
from integrator.model.limit import Ask
from integrator.model.run import RunKey, Status, Trigger
from integrator.store.database import open_engine, upgrade
from integrator.store.limits import SqlLimits
from tests.services.move_process import kill, start, to_end
from tests.services.moving import flow, move, parts, plan
from tests.services.system import System, record

BUSY = 0.6
"""Seconds in which the other system counts where we keep to a second: a busy machine hands calls on late, and then several at once.

Two who do not know of each other still make six calls in that time.
"""


class Allowance:
    """Answers 429 above `calls` in any `per_s`, or with `fixed` in each span of it."""

    def __init__(self, system: System, calls: int = 5, per_s: float = 1.0, *, fixed: bool = False) -> None:
        self.system, self.calls, self.per_s, self.fixed = system, calls, per_s, fixed
        self.taken: deque[float] = deque()
        self.span = -1
        self.refused: list[float] = []
        self.answered = 0
        self.lock = threading.Lock()
        system.on_read = self.read
        system.on_write = self.write

    def refuses(self) -> bool:
        with self.lock:
            now = time.monotonic()
            if self.fixed:  # spans that begin anew
                if int(now / self.per_s) != self.span:
                    self.span = int(now / self.per_s)
                    self.taken.clear()
            else:
                while self.taken and self.taken[0] <= now - self.per_s:
                    self.taken.popleft()
            self.answered += 1
            if len(self.taken) >= self.calls:
                self.refused.append(now)
                return True
            self.taken.append(now)
            return False

    def read(self, _request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=429, headers={"Retry-After": "1"}) if self.refuses() else None

    def write(self, _record: dict[str, Any]) -> str:
        return "limit" if self.refuses() else "ok"


@pytest.fixture(params=["sqlite", "postgres"])
def limits_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that several processes keep count in."""
    url = f"sqlite:///{tmp_path / 'limits.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    upgrade(url)
    return url


def two_workers(folder: Path, system: System, limits: str, **extra: str) -> list[dict[str, Any]]:
    """Run the flow in two processes at once, each with a journal of its own; returns what they say."""
    common = {"flow": flow(), "system": system.url, "limits": limits, "extra": extra}
    workers = [start(folder, journal=f"sqlite:///{folder / name}.db", **common) for name in ("one", "two")]
    return [to_end(worker) for worker in workers]


def test_two_workers_keep_to_one_limit_and_no_call_is_wasted(system: System, tmp_path: Path, limits_url: str) -> None:
    system.records = [record(n) for n in range(12)]
    allowance = Allowance(system, per_s=BUSY)
    began = time.monotonic()
    told = two_workers(tmp_path, system, limits_url, calls="5/1s")
    assert [(one["status"], one["created"], one["retries"]) for one in told] == [("success", 12, 0)] * 2
    assert allowance.refused == []
    assert allowance.answered == sum(one["api_calls"] for one in told)
    assert time.monotonic() - began < 28 * 0.22 + 8  # starting two processes included


def test_two_workers_keep_to_one_bound_of_calls_in_flight(system: System, tmp_path: Path, limits_url: str) -> None:
    system.records = [record(n) for n in range(40)]
    system.latency_s = 0.05
    told = two_workers(tmp_path, system, limits_url, in_flight="3")
    assert [one["created"] for one in told] == [40, 40]
    assert system.most_in_flight <= 3


def test_the_place_of_a_killed_worker_comes_back(system: System, tmp_path: Path, limits_url: str) -> None:
    system.records = [record(1)]
    system.latency_s = 3
    common = {"flow": flow(), "system": system.url, "limits": limits_url, "extra": {"in_flight": "1"}}
    worker = start(tmp_path, journal=f"sqlite:///{tmp_path / 'one.db'}", **common)
    until = time.monotonic() + 20
    while not system.in_flight and time.monotonic() < until:
        time.sleep(0.02)
    kill(worker)
    engine = open_engine(limits_url)
    ask = Ask("acme__there", "another", in_flight=1, wanted=1)
    assert SqlLimits(engine).take(ask).places == 0
    later = SqlLimits(engine, lambda: time.time() + 31)
    assert later.take(ask).places == 1
    engine.dispose()


async def test_both_ends_of_a_flow_share_their_credential_s_limit(system: System) -> None:
    system.records = [record(n) for n in range(8)]
    allowance = Allowance(system, per_s=BUSY)
    made = parts(system.credential(calls="5/1s"))
    report = await move(made, plan(flow(source={"pages": {"by": "page_number", "per_page": 2}})))
    assert report.counts.created == 8
    assert allowance.refused == []
    assert report.counts.throttled_s > 1


@pytest.mark.parametrize("tells", ["what is left", "only how long to wait"])
async def test_without_a_rule_no_call_is_wasted_after_the_first(system: System, tells: str) -> None:
    """Source: PERFORMANCE.md W6. The refusals of one moment are the first: calls that were on their way together."""
    system.records = [record(n) for n in range(24)]
    allowance = Allowance(system, fixed=True)
    system.answers_more = {"limit": lambda: web.Response(status=429, headers={"Retry-After": "1"})}
    if tells == "what is left":
        system.tell = lambda: {
            "X-RateLimit-Limit": str(allowance.calls),
            "X-RateLimit-Remaining": str(allowance.calls - len(allowance.taken)),
            "X-RateLimit-Reset-After": f"{allowance.per_s - time.monotonic() % allowance.per_s:.3f}",
        }
    report = await move(parts(system.credential()), plan(flow()))
    assert report.counts.created == 24
    assert report.seconds < 15
    if tells == "what is left":
        assert len(allowance.refused) <= 1
    else:
        assert allowance.refused[-1] - allowance.refused[0] < 0.5


async def test_two_flows_of_one_process_share_the_limit(system: System) -> None:
    import asyncio
    import uuid

    system.records = [record(n) for n in range(6)]
    allowance = Allowance(system, per_s=BUSY)
    made = parts(system.credential(calls="5/1s"))
    both = [plan(flow()), plan(flow())]
    both[1].key = both[1].key.__class__("acme", "other", "items")
    reports = await asyncio.gather(*(made.move(one, RunKey(str(uuid.uuid4()), Trigger.MANUAL), Asked()) for one in both))
    assert [one.counts.created for one in reports] == [6, 6]
    assert allowance.refused == []


@pytest.mark.parametrize(
    ("throttled_when", "answer"),
    [
        ('status == 403 and answer[0].errorCode == "REQUEST_LIMIT_EXCEEDED"', web.json_response([{"errorCode": "REQUEST_LIMIT_EXCEEDED"}], status=403)),
        ('answer.errors[0].extensions.code == "THROTTLED"', web.json_response({"errors": [{"extensions": {"code": "THROTTLED"}}]})),
    ],
    ids=["403", "200"],
)  # fmt: skip
async def test_a_signal_of_its_own_is_a_wait_and_no_refusal(system: System, throttled_when: str, answer: web.Response) -> None:
    system.records = [record(1)]
    answers = [web.Response(status=answer.status, body=answer.body, content_type="application/json") for _ in range(2)]
    system.on_read = lambda _request: answers.pop() if answers else None
    report = await move(parts(system.credential(throttled_when=throttled_when)), plan(flow()))
    assert (report.counts.created, report.counts.retries) == (1, 2)


@pytest.mark.parametrize("again", [True, False])
async def test_a_long_wait_leaves_the_flow_run_to_be_taken_up_again(system: System, again: bool) -> None:
    """Also at the last try, since giving the worker back uses none; what is settled by then is not sent twice."""
    system.records = [record(n) for n in range(20)]
    made = parts(system.credential(), wait_max_s=1, in_flight_start=1, in_flight_max=1)
    run = RunKey("one-run", Trigger.SCHEDULE, "acme.sync", "run-1")
    away = {"calls": 0, "after": 10}

    def write(_record: dict[str, Any]) -> str:
        away["calls"] += 1
        return "later" if away["calls"] > away["after"] else "ok"

    system.on_write = write
    system.answers_more = {"later": lambda: web.Response(status=429, headers={"Retry-After": "3600"})}
    with pytest.raises(LaterError) as later:
        await move(made, plan(flow()), Asked(later_s=7200 if again else 60), run)
    assert 3600 <= later.value.after_s < 3602
    assert away["calls"] == 11  # nothing more is asked of a system that wants to be left alone
    away["after"] = 10**6
    status = made.journal.runs()[0].flows["items"]["status"]
    assert status == (Status.RUNNING if again else Status.FAILED)
    report = await move(made, plan(flow()), Asked(), run)
    assert report.counts.failed == report.counts.unknown == 0
    assert system.duplicates() == []
    assert len(system.stored) == 20
    if again:
        assert report.counts.created == 20  # one flow run, counted on


@pytest.mark.parametrize("value", ["-5", "NaN", "1e308", "soon", "9" * 300, "Fri, 31 Dec 9999 23:59:59 GMT", "x" * 8000, "0", ""])
async def test_no_header_keeps_us_for_ever(system: System, value: str) -> None:
    system.records = [record(1)]
    names = (
        "Retry-After",
        "X-RateLimit-Reset",
        "X-RateLimit-Remaining",
        "RateLimit",
        "X-Rate-Limit-Time-Reset-Ms",
        "Sforce-Limit-Info",
    )
    system.tell = lambda: dict.fromkeys(names, value)
    system.on_read = lambda _request: web.json_response({"items": system.records})
    began = time.monotonic()
    report = await move(parts(system.credential(), wait_max_s=1), plan(flow(source={"pages": {"by": "single"}})))
    assert report.counts.created == 1
    assert time.monotonic() - began < 5
