"""Whoever keeps count: never more calls in any span than its rule, whoever asks, whatever the clock does; places come back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrator.model.limit import Ask, Grant, Rule
from integrator.store.database import open_engine, upgrade
from integrator.store.limit_rules import PAUSE_MAX_S, WAITING_LEASE_S, State, decide, give_back, pause
from integrator.store.limits import SqlLimits
from integrator.store.memory_limits import MemoryLimits
from tests.unit.store.conftest import Clock

FIVE = Rule(5, 1.0)
MANY = Rule(20, 60.0)
AnyLimits = SqlLimits | MemoryLimits


def ask(holder: str = "a", **more: Any) -> Ask:
    return Ask("acme__erp", holder, **more)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def new_limits(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Callable[[], AnyLimits]]:
    """Make keepers over one and the same store, each with connections of its own."""
    if request.param == "memory":
        twin = MemoryLimits(lambda: clock().timestamp())
        yield lambda: twin
        return
    url = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    upgrade(url)
    engines = []

    def make() -> AnyLimits:
        engines.append(open_engine(url))
        return SqlLimits(engines[-1], lambda: clock().timestamp())

    yield make
    for engine in engines:
        engine.dispose()


def most_in_any(span_s: float, instants: list[float]) -> int:
    """Return the most instants that lie in one span, its end left out."""
    ordered = sorted(instants)
    return max((sum(1 for other in ordered if at <= other < at + span_s) for at in ordered), default=0)


@given(
    rules=st.lists(st.sampled_from([FIVE, Rule(2, 0.5), Rule(7, 10.0), MANY, Rule(30, 90.0)]), min_size=1, max_size=3, unique=True),
    steps=st.lists(
        st.tuples(st.floats(0, 20), st.sampled_from("abc"), st.integers(0, 9), st.booleans()), max_size=60
    ),
)  # fmt: skip
def test_no_span_holds_more_starts_than_its_rule(rules: list[Rule], steps: list[tuple[float, str, int, bool]]) -> None:
    kept: State = {}
    now, given_out = 1_000_000.0, list[float]()
    for passed_s, holder, calls, returns in steps:
        now += passed_s
        asked = ask(holder, rules=tuple(rules), calls=calls)
        kept, grant = decide(kept, asked, now)
        assert len(grant.starts) <= calls
        assert not calls or grant.starts or grant.wait_s > 0
        if returns and grant.starts:
            kept = give_back(kept, asked, grant.starts, now)
        else:
            given_out += grant.starts
    for rule in rules:
        assert most_in_any(rule.per_s, given_out) <= rule.calls


def test_a_small_run_is_not_spread_over_a_long_span() -> None:
    _, grant = decide({}, ask(rules=(Rule(10_000, 86_400.0),), calls=50), 1000.0)
    assert grant.starts == (1000.0,) * 50


def test_a_used_up_day_says_how_long_it_takes() -> None:
    day = ask(rules=(Rule(100, 86_400.0),), calls=100)
    kept, grant = decide({}, day, 0.0)
    assert len(grant.starts) == 100
    _, grant = decide(kept, day, 3600.0)
    assert not grant.starts
    assert 80_000 < grant.wait_s < 100_000


@pytest.mark.parametrize("jump_s", [-86_400.0, -5.0, 86_400.0, -1e9])
@pytest.mark.parametrize("rule", [FIVE, MANY, Rule(1, 10.0)])
def test_a_clock_that_jumps_holds_nobody_for_longer_than_the_rule(rule: Rule, jump_s: float) -> None:
    kept, now = {}, 2e9
    for _ in range(4):
        kept, _ = decide(kept, ask(rules=(rule,), in_flight=1, calls=20, wanted=1), now)
    kept = pause(kept, 30.0, now)
    now += jump_s
    kept, grant = decide(kept, ask("b", rules=(rule,), in_flight=1, calls=1, wanted=1), now)
    assert grant.wait_s <= PAUSE_MAX_S
    kept, _ = decide(kept, ask("b", rules=(rule,), in_flight=1, calls=1, wanted=1), now + PAUSE_MAX_S)
    now += PAUSE_MAX_S + rule.per_s + 60
    kept, grant = decide(kept, ask("b", rules=(rule,), in_flight=1, calls=1, wanted=1), now)
    assert grant.starts
    assert grant.places == 1


def test_a_pause_holds_everybody_and_is_bounded(new_limits: Callable[[], AnyLimits], clock: Clock) -> None:
    one, other = new_limits(), new_limits()
    assert one.take(ask(rules=(FIVE,), calls=1)).starts
    one.pause("acme__erp", 30.0)
    one.pause("acme__erp", 10.0)  # made longer, never shorter
    assert other.take(ask("b", rules=(FIVE,), calls=1)).wait_s == pytest.approx(30.0, abs=0.01)
    assert other.take(Ask("acme__shop", "b", (FIVE,), calls=1)).starts
    clock.pass_s(30.5)
    assert other.take(ask("b", rules=(FIVE,), calls=1)).starts
    one.pause("acme__erp", 3 * 86_400.0)
    assert other.take(ask("b", rules=(FIVE,), calls=1)).wait_s <= PAUSE_MAX_S
    one.forget("acme__erp")
    assert other.take(ask("b", rules=(FIVE,), calls=1)).starts


def test_starts_that_are_given_back_are_the_next_ones(new_limits: Callable[[], AnyLimits]) -> None:
    limits = new_limits()
    asked = ask(rules=(FIVE, MANY), calls=3)
    first = limits.take(asked)
    limits.give_back(asked, first.starts[1:])
    assert limits.take(asked).starts[0] == pytest.approx(first.starts[1])


def test_places_of_a_dead_holder_come_back(new_limits: Callable[[], AnyLimits], clock: Clock) -> None:
    dead, living = new_limits(), new_limits()
    assert dead.take(ask("dead", in_flight=2, wanted=2)).places == 2
    assert living.take(ask("living", in_flight=2, wanted=2)).places == 0
    clock.pass_s(29)
    assert living.take(ask("living", in_flight=2, wanted=2)).places == 0
    clock.pass_s(2)
    assert living.take(ask("living", in_flight=2, wanted=2)).places == 2


def test_who_stops_waiting_is_not_waited_for() -> None:
    kept, _ = decide({}, ask("a", in_flight=1, wanted=1), 0.0)
    kept, _ = decide(kept, ask("b", in_flight=1, wanted=1), 1.0)
    kept, grant = decide(kept, ask("a", in_flight=1, wanted=1), 2.0)
    assert (grant.places, grant.contended) == (0, True)  # b has waited longer
    _, grant = decide(kept, ask("a", in_flight=1, wanted=1), 1.5 + WAITING_LEASE_S)
    assert grant.places == 1


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9), st.floats(0, 3)), max_size=60), st.integers(1, 7))
def test_no_more_places_than_there_are(steps: list[tuple[str, int, float]], cap: int) -> None:
    kept: State = {}
    used: dict[str, int] = {}
    now = 1000.0
    for holder, wanted, passed_s in steps:
        now += passed_s
        for one, calls in used.items():  # everybody gives signs of life
            kept, _ = decide(kept, ask(one, in_flight=cap, used=calls, wanted=calls), now)
        in_use = min(used.get(holder, 0), wanted)
        kept, grant = decide(kept, ask(holder, in_flight=cap, used=in_use, wanted=wanted), now)
        assert grant.places is not None
        used[holder] = min(wanted, grant.places)
        assert sum(used.values()) <= cap


def test_each_gets_its_turn_where_there_are_fewer_places_than_holders() -> None:
    kept: State = {}
    turns: list[str] = []
    holders = ["a", "b", "c"]
    now, using = 0.0, ""
    for round_ in range(60):
        now += 0.2
        holder = holders[round_ % 3]
        if using == holder:
            using = ""
        kept, grant = decide(kept, ask(holder, in_flight=1, used=0, wanted=1), now)
        if grant.places and not using:
            using = holder
            turns.append(holder)
    assert {turns.count(holder) for holder in holders} <= set(range(len(turns) // 3 - 1, len(turns) // 3 + 2))


def test_many_at_once_share_one_row(new_limits: Callable[[], AnyLimits]) -> None:
    limits = [new_limits() for _ in range(4)]
    got: list[Grant] = []

    def work(one: AnyLimits, holder: str) -> None:
        for _ in range(5):
            got.append(one.take(ask(holder, rules=(FIVE,), calls=2)))

    threads = [threading.Thread(target=work, args=(one, str(at))) for at, one in enumerate(limits)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    starts = [start for grant in got for start in grant.starts]
    assert len(starts) > 20
    assert most_in_any(1.0, starts) <= 5


def test_what_cannot_be_read_is_begun_anew(new_limits: Callable[[], AnyLimits]) -> None:
    limits = new_limits()
    if isinstance(limits, SqlLimits):
        from sqlalchemy import update

        from integrator.store.database import writing
        from integrator.store.tables import limits as table

        limits.take(ask(rules=(FIVE,), calls=1))
        with writing(limits._engine) as c:
            c.execute(update(table).values(state="[not json"))
    assert limits.take(ask(rules=(FIVE,), calls=1)).starts


def test_postgres_keeps_the_clock_for_workers_whose_own_is_wrong(postgres_url: str) -> None:
    upgrade(postgres_url)
    limits = SqlLimits(open_engine(postgres_url))
    first, second = (limits.take(replace(ask(rules=(FIVE,), calls=1), holder=name)) for name in "ab")
    assert second.starts[0] - first.starts[0] == pytest.approx(FIVE.spacing_s, abs=0.05)
    assert second.now > first.now
