"""Tokens in the database and their twin in memory: one worker's turn at a time, nothing used for another place, nothing readable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from integrator.auth.waiting import Waiting
from integrator.errors import ConfigError
from integrator.model.tokens import LEASE_S, Token, TokenKey, is_due
from integrator.settings import Settings, token_keys
from integrator.store.database import open_engine, upgrade
from integrator.store.memory_tokens import MemoryTokens
from integrator.store.owner import new_owner
from integrator.store.sealing import Sealer
from integrator.store.tables import sessions, tokens
from integrator.store.token_rules import SESSION_MAX_S
from integrator.store.tokens import SqlTokens

OLD, NEW = "x" * 43 + "=", "y" * 43 + "="
KEY = TokenKey("acme__shop", "whole", "bound")
OTHER_SCOPE = replace(KEY, whole="changed")
ELSEWHERE = TokenKey("acme__shop", "moved", "moved")


@dataclass
class Clock:
    at: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgres", "memory"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryTokens(clock)
        return
    url = f"sqlite:///{tmp_path / 'journal.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    upgrade(url)
    engine = open_engine(url)
    yield SqlTokens(engine, Sealer(OLD), clock)
    engine.dispose()


def token(value: str, clock: Clock, *, lasts_s: float | None = 3600, refresh: str | None = None) -> Token:
    return Token(value, clock(), None if lasts_s is None else clock() + lasts_s, refresh)


def test_one_worker_earns_and_the_others_find_what_it_got(kept: Any, clock: Clock) -> None:
    one, other = new_owner(), new_owner()
    assert kept.take(KEY, one, None).mine
    waiting = kept.take(KEY, other, None)
    assert (waiting.mine, waiting.token) == (False, None)
    assert waiting.wait_s > 0
    made = token("first", clock)
    kept.keep(KEY, one, made)
    assert kept.take(KEY, other, None).token == made
    assert kept.take(KEY, other, made).mine  # it was refused
    assert kept.take(KEY, one, made).wait_s > 0
    kept.keep(KEY, other, token("second", clock, refresh="r"))
    assert kept.take(KEY, one, made).token.value == "second"


def test_a_turn_runs_out_and_may_be_given_up(kept: Any, clock: Clock) -> None:
    alive = new_owner()
    assert kept.take(KEY, alive, None).mine
    clock.at += LEASE_S - 1
    assert not kept.take(KEY, "elsewhere:1:1:x", None).mine
    clock.at += 2
    assert kept.take(KEY, "elsewhere:1:1:x", None).mine
    kept.give_up(KEY, alive)  # it is no longer its own
    assert not kept.take(KEY, alive, None).mine
    kept.give_up(KEY, "elsewhere:1:1:x")
    assert kept.take(KEY, alive, None).mine
    kept.keep(KEY, "too-late:1:1:x", token("late", clock))  # nobody else has it, so it is kept all the same
    assert kept.take(KEY, "another:1:1:x", None).token.value == "late"


def test_a_turn_lasts_for_as_long_as_its_worker_says_so(kept: Any, clock: Clock) -> None:
    kept.take(KEY, "one:1:1:x", None)
    for _times in range(5):
        clock.at += LEASE_S - 1
        kept.renew(KEY, "one:1:1:x")
        kept.renew(KEY, "other:1:1:x")
        assert not kept.take(KEY, "other:1:1:x", None).mine
    clock.at += LEASE_S + 1
    assert kept.take(KEY, "other:1:1:x", None).mine
    kept.renew(KEY, "one:1:1:x")  # too late
    kept.give_up(KEY, "other:1:1:x")
    assert kept.take(KEY, "third:1:1:x", None).mine


def test_a_lease_that_was_taken_by_a_wrong_clock_holds_nobody_up(kept: Any, clock: Clock) -> None:
    clock.at += 86_400
    assert kept.take(KEY, "died:1:1:x", None).mine
    clock.at -= 86_400  # set right
    assert kept.take(KEY, "other:1:1:x", None).mine
    clock.at -= LEASE_S / 2  # two machines are never quite of one mind
    assert not kept.take(KEY, "third:1:1:x", None).mine


@pytest.mark.parametrize("runs_out", [True, False])
def test_a_refusal_that_comes_late_does_not_undo_what_somebody_else_has_kept(kept: Any, clock: Clock, runs_out: bool) -> None:
    """Two with one refresh token: the second is refused, and so is one in whose turn a person has signed in anew."""
    kept.keep(KEY, "first:1:1:x", token("old", clock, refresh="r1"))
    assert kept.take(KEY, "slow:1:1:x", token("old", clock)).before.refresh == "r1"
    if runs_out:
        clock.at += LEASE_S + 1
        assert kept.take(KEY, "other:1:1:x", token("old", clock)).mine
    kept.keep(KEY, "other:1:1:x", token("new", clock, refresh="r2"))
    kept.give_up(KEY, "slow:1:1:x", "refused; sign in again")
    found = kept.take(KEY, "third:1:1:x", None)
    assert (found.refused, found.token and found.token.refresh) == (None, "r2")
    kept.give_up(OTHER_SCOPE, "slow:1:1:x", "refused with other settings")
    assert kept.take(OTHER_SCOPE, "third:1:1:x", None).refused


def test_a_token_that_is_about_to_end_is_renewed_with_what_renews_it(kept: Any, clock: Clock) -> None:
    owner = new_owner()
    kept.take(KEY, owner, None)
    kept.keep(KEY, owner, token("first", clock, lasts_s=3600, refresh="r1"))
    clock.at += 3500
    assert kept.take(KEY, owner, None).token is not None
    clock.at += 50
    turn = kept.take(KEY, owner, None)
    assert turn.mine
    assert turn.before.refresh == "r1"


def test_changed_settings_earn_anew_and_a_changed_place_gets_nothing(kept: Any, clock: Clock) -> None:
    owner = new_owner()
    kept.take(KEY, owner, None)
    kept.keep(KEY, owner, token("first", clock, refresh="r1"))
    turn = kept.take(OTHER_SCOPE, owner, None)
    assert (turn.mine, turn.before.refresh) == (True, "r1")
    turn = kept.take(ELSEWHERE, owner, None)
    assert (turn.mine, turn.before) == (True, None)


def test_a_refusal_lasts_until_the_settings_change_or_somebody_insists(kept: Any, clock: Clock) -> None:
    owner = new_owner()
    kept.take(KEY, owner, None)
    kept.give_up(KEY, owner, "sign in again")
    assert kept.take(KEY, owner, None).refused == kept.refused(KEY) == "sign in again"
    assert kept.refused(OTHER_SCOPE) is None
    assert kept.take(OTHER_SCOPE, owner, None).mine
    kept.give_up(OTHER_SCOPE, owner)
    assert kept.take(KEY, owner, None, force=True).mine
    kept.keep(KEY, owner, token("good", clock))
    assert kept.take(KEY, owner, None).token.value == "good"
    kept.give_up(KEY, owner, "again")
    kept.opened(KEY, owner, token("session", clock))
    assert kept.refused(KEY) is None


def test_sessions_of_the_dead_are_found_once_and_those_of_the_living_never(kept: Any, clock: Clock) -> None:
    if isinstance(kept, MemoryTokens):
        name = kept.opened(KEY, new_owner(), token("mine", clock))
        assert kept.open_sessions() == 1
        kept.closed(name)
        assert kept.open_sessions() == 0
        assert kept.orphans(KEY, new_owner()) == []
        return
    me = new_owner()
    dead = me.rsplit(":", 3)[0] + ":999999999:1:x"
    kept.opened(KEY, me, token("mine", clock))
    kept.opened(KEY, "another-machine:1:1:x", token("theirs", clock))
    name = kept.opened(KEY, dead, token("dead", clock))
    assert [(n, t.value) for n, t in kept.orphans(KEY, me)] == [(name, "dead")]
    assert kept.orphans(KEY, me) == []
    kept.closed(name)
    clock.at += SESSION_MAX_S + 1
    assert sorted(t.value for _n, t in kept.orphans(KEY, me)) == ["mine", "theirs"]
    kept.opened(ELSEWHERE, dead, token("elsewhere", clock))
    assert kept.orphans(KEY, me) == []  # it goes to another place now


def test_nothing_of_a_token_is_readable_and_keys_are_turned_row_by_row(tmp_path: Path, clock: Clock) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    upgrade(url)
    engine = open_engine(url)
    old = SqlTokens(engine, Sealer(OLD), clock)
    old.keep(KEY, "me", token("canary-access", clock, refresh="canary-refresh"))
    old.opened(ELSEWHERE, "me", token("canary-session", clock))
    old.keep(KEY, "me", token("canary-access", clock, refresh="canary-refresh"))
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"canary" not in files
    assert b"whole" not in files
    with pytest.raises(ConfigError, match="another Fernet key") as refused:
        SqlTokens(engine, Sealer(NEW), clock).take(KEY, "me", None)
    assert "acme/shop --tokens-only" in str(refused.value)
    with pytest.raises(ConfigError, match="another Fernet key"):
        SqlTokens(engine, Sealer(NEW), clock).rotate()
    assert SqlTokens(engine, Sealer(f"{NEW},{OLD}"), clock).rotate() == 2
    assert SqlTokens(engine, Sealer(NEW), clock).take(KEY, "me", None).token.value == "canary-access"
    old.forget("acme__shop")
    with engine.connect() as c:
        assert c.execute(select(tokens)).all() == c.execute(select(sessions)).all() == []
    for wrong in ("", "short", f"{OLD},x"):
        with pytest.raises(ConfigError, match="not a Fernet key"):
            Sealer(wrong)


def test_twenty_workers_at_once_have_one_turn(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    upgrade(url)
    engine, turns, made = open_engine(url), [], Token("one", 0.0)
    barrier = threading.Barrier(20)

    def work() -> None:
        mine, owner = SqlTokens(engine, Sealer(OLD)), new_owner()
        barrier.wait()
        turn = mine.take(KEY, owner, None)
        if turn.mine:
            turns.append(owner)
            mine.keep(KEY, owner, made)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(turns) == 1


@pytest.mark.parametrize(
    ("lasts_s", "after_s", "due"),
    [(None, 1e9, False), (3600, 3539, False), (3600, 3541, True), (10, 8, False), (10, 9.5, True), (0, 0, True)],
)
def test_when_a_token_is_about_to_end(lasts_s: float | None, after_s: float, due: bool) -> None:
    clock: Callable[[], float] = Clock()
    assert is_due(token("x", clock, lasts_s=lasts_s), clock() + after_s) is due  # type: ignore[arg-type]


def test_a_refused_sign_in_of_connections_waits_for_every_worker(kept: Any) -> None:
    one, other = (Waiting(KEY, kept, new_owner(), force=False) for _ in range(2))
    assert one.told() is None
    one.clear()
    one.mark("refused; look at it")
    assert other.told() == "refused; look at it"
    assert Waiting(OTHER_SCOPE, kept, new_owner(), force=False).told() is None
    trying = Waiting(KEY, kept, new_owner(), force=True)
    assert trying.told() is None
    trying.clear()
    assert other.told() is None


def test_keys_of_tokens_come_before_airflows_own(tmp_path: Path, clock: Clock) -> None:
    """What Airflow's key encrypted can still be read where both are; a worker has only the one for tokens."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    upgrade(url)
    engine = open_engine(url)
    before, both, worker = (
        SqlTokens(engine, Sealer(token_keys(Settings(token_key=own), airflows)), clock)
        for own, airflows in (("", OLD), (NEW, OLD), (f" {NEW} ", ""))
    )
    me = new_owner()
    assert before.take(KEY, me, None).mine
    before.keep(KEY, me, token("one", clock))
    assert both.take(KEY, me, None).token.value == "one"  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="another Fernet key"):
        worker.take(KEY, me, None)
    assert both.rotate() == 1
    assert worker.take(KEY, me, None).token.value == "one"  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="another Fernet key"):
        before.take(KEY, me, None)
    engine.dispose()
