"""The gate shared by all workers: how calls are spaced, paused, let in and given back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from integrator.errors import LaterError, TryAgainError, UnavailableError
from integrator.model.limit import Ask, Grant, Rule
from integrator.store.memory_limits import MemoryLimits
from integrator.wire import shared_gate
from integrator.wire.limits import Limits, Manners
from integrator.wire.shared_gate import SharedGate


def gate(limits: Limits, name: str = "a", *, wait_max_s: float = 60.0, **manners: Any) -> SharedGate:
    return SharedGate(limits, "acme__erp", Manners(**manners), name, wait_max_s)


async def call(one: SharedGate, begun: list[float], took_s: float = 0.0) -> None:
    await one.enter()
    begun.append(time.monotonic())
    try:
        await asyncio.sleep(took_s)
    finally:
        one.leave()


def most_in_a_second(begun: list[float]) -> int:
    return max(sum(1 for other in begun if at <= other < at + 1.0) for at in begun)


async def test_two_users_together_keep_to_the_rule() -> None:
    limits, begun = MemoryLimits(), list[float]()
    gates = [gate(limits, name, rules=(Rule(10, 1.0),)) for name in "ab"]
    await asyncio.gather(*(call(one, begun) for one in gates for _ in range(12)))
    assert most_in_a_second(begun) <= 10
    assert max(begun) - min(begun) < 4.0
    for one in gates:
        await one.close()


class Counting:
    """Keeps count of how often it is asked."""

    def __init__(self) -> None:
        self.inner, self.asked, self.away = MemoryLimits(), 0, 0

    def take(self, ask: Ask) -> Grant:
        self.asked += 1
        if self.away:
            self.away -= 1
            raise UnavailableError("the database is away")
        return self.inner.take(ask)

    def pause(self, credential: str, seconds: float) -> None:
        self.inner.pause(credential, seconds)

    def give_back(self, ask: Ask, unused: tuple[float, ...]) -> None:
        self.inner.give_back(ask, unused)


async def test_whoever_keeps_count_is_not_asked_once_a_call() -> None:
    limits, begun = Counting(), list[float]()
    one = gate(limits, rules=(Rule(400, 1.0),))
    await asyncio.gather(*(call(one, begun) for _ in range(400)))
    assert len(begun) == 400
    assert limits.asked < 60
    await one.close()


async def test_a_database_that_is_away_for_a_moment_holds_calls_and_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_gate, "AWAY_WAITS_S", (0.01, 0.02, 0.05))
    limits, begun = Counting(), list[float]()
    limits.away = 2
    one = gate(limits, rules=(Rule(50, 1.0),))
    await call(one, begun)
    limits.away = 9
    with pytest.raises(TryAgainError):
        await asyncio.gather(*(call(one, begun) for _ in range(30)))
    await one.close()


async def test_a_pause_that_one_was_told_holds_the_others() -> None:
    limits, begun = MemoryLimits(), list[float]()
    told, other = (gate(limits, name, rules=(Rule(10, 1.0),)) for name in "ab")
    await call(told, begun)
    told.pause(0.8)
    began = time.monotonic()
    await asyncio.sleep(0.1)
    await call(other, begun)
    assert time.monotonic() - began >= 0.75
    await told.close()
    await other.close()


async def test_a_wait_that_is_too_long_for_a_worker_is_not_waited_for() -> None:
    limits = MemoryLimits()
    one = gate(limits, rules=(Rule(2, 3600.0),), wait_max_s=5)
    await call(one, [])
    await call(one, [])
    with pytest.raises(LaterError) as later:
        await call(one, [])
    assert 3000 < later.value.after_s < 4000
    await one.close()


async def test_calls_in_flight_are_bounded_over_all_and_each_gets_its_turn() -> None:
    limits = MemoryLimits()
    gates = [gate(limits, name, in_flight=2) for name in "abc"]
    now_in = most = 0
    done = dict.fromkeys("abc", 0)

    async def work(name: str, one: SharedGate) -> None:
        nonlocal now_in, most
        for _ in range(3):
            await one.enter()
            now_in += 1
            most = max(most, now_in)
            await asyncio.sleep(0.02)
            now_in -= 1
            one.leave()
            done[name] += 1

    await asyncio.wait_for(
        asyncio.gather(*(work(name, one) for name, one in zip("abc", gates, strict=True) for _ in range(3))), 30
    )
    assert most == 2
    assert set(done.values()) == {9}
    for one in gates:
        await one.close()


async def test_who_leaves_gives_places_back_at_once() -> None:
    limits = MemoryLimits()
    first, second = (gate(limits, name, in_flight=1) for name in "ab")
    await call(first, [])
    await first.close()
    began = time.monotonic()
    await call(second, [])
    assert time.monotonic() - began < 0.2
    await second.close()


async def test_a_caller_that_is_cancelled_leaves_its_turn_to_the_next() -> None:
    limits, begun = MemoryLimits(), list[float]()
    one = gate(limits, rules=(Rule(2, 1.0),), in_flight=1)
    tasks = [asyncio.create_task(call(one, begun, 0.01)) for _ in range(4)]
    await asyncio.sleep(0.7)
    tasks[1].cancel()
    tasks[2].cancel()
    await asyncio.wait(tasks, timeout=10)
    assert not tasks[3].cancelled()
    assert tasks[3].exception() is None
    await one.close()
