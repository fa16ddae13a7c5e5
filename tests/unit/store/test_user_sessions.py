"""Sessions of people end when they are ended, idle or old; tries of passwords are counted over all processes. Source: PRODUCT.md P5."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from integrator.store.database import open_engine, reading
from integrator.store.tables import tries, user_sessions
from integrator.store.tries import WINDOW, SqlTries
from integrator.store.user_sessions import NOTED_EACH, SqlUserSessions


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def on(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(migrated_url: str, clock: Clock) -> SqlUserSessions:
    return SqlUserSessions(open_engine(migrated_url), timedelta(hours=12), timedelta(hours=1), clock)


@pytest.fixture
def counted(migrated_url: str, clock: Clock) -> SqlTries:
    return SqlTries(open_engine(migrated_url), b"k" * 32, clock)


def rows(url: str, table: object) -> int:
    with reading(open_engine(url)) as c:
        return int(c.scalar(select(func.count()).select_from(table)) or 0)  # type: ignore[arg-type]


def test_a_session_is_its_users_alone_until_it_is_ended(sessions: SqlUserSessions) -> None:
    one, other = sessions.open(7, "10.0.0.1"), sessions.open(7, "10.0.0.1")
    assert one != other
    assert sessions.alive(one, 7)
    assert not sessions.alive(one, 8)
    assert not sessions.alive("", 7)
    assert not sessions.alive(one.upper() + "x", 7)
    assert sessions.end(one)
    assert not sessions.end(one)
    assert (sessions.alive(one, 7), sessions.alive(other, 7)) == (False, True)


def test_idle_and_old_sessions_are_over(sessions: SqlUserSessions, clock: Clock) -> None:
    idle, used = sessions.open(7, ""), sessions.open(7, "")
    for _ in range(20):  # every 35 minutes, for eleven hours and 40 minutes
        clock.on(minutes=35)
        assert sessions.alive(used, 7)
    assert not sessions.alive(idle, 7)
    clock.on(minutes=25)
    assert not sessions.alive(used, 7), "twelve hours are the end, whatever happens"


def test_a_moment_before_being_idle_is_not_idle(sessions: SqlUserSessions, clock: Clock) -> None:
    one = sessions.open(7, "")
    clock.on(minutes=59, seconds=59)
    assert sessions.alive(one, 7)
    clock.on(minutes=59, seconds=59)
    assert sessions.alive(one, 7)
    clock.on(hours=1)
    assert not sessions.alive(one, 7)


def test_the_last_request_is_noted_once_a_minute(sessions: SqlUserSessions, clock: Clock, migrated_url: str) -> None:
    one = sessions.open(7, "")
    seen = select(user_sessions.c.seen_at).where(user_sessions.c.id == one)

    def noted() -> datetime:
        with reading(open_engine(migrated_url)) as c:
            found = c.scalar(seen)
            assert found is not None
            return found

    begun = noted()
    clock.on(seconds=NOTED_EACH.total_seconds() - 1)
    assert sessions.alive(one, 7)
    assert noted() == begun
    clock.on(seconds=1)
    assert sessions.alive(one, 7)
    assert noted() == clock.now


def test_a_session_for_one_token_is_over_with_it(sessions: SqlUserSessions, clock: Clock) -> None:
    one = sessions.open(7, "", timedelta(minutes=15))
    clock.on(minutes=15)
    assert not sessions.alive(one, 7)
    longer = sessions.open(7, "", timedelta(days=400))
    clock.on(minutes=50)
    assert sessions.alive(longer, 7)
    for _ in range(14):
        clock.on(minutes=50)
        sessions.alive(longer, 7)
    assert not sessions.alive(longer, 7)


def test_all_of_a_user_end_but_one(sessions: SqlUserSessions) -> None:
    mine, others = [sessions.open(7, "") for _ in range(3)], sessions.open(8, "")
    assert sessions.end_all(7, but=mine[1]) == 2
    assert [sessions.alive(one, 7) for one in mine] == [False, True, False]
    assert sessions.alive(others, 8)
    assert sessions.end_all(7) == 1


def test_what_is_over_goes(sessions: SqlUserSessions, clock: Clock, migrated_url: str) -> None:
    for _ in range(5):
        sessions.open(7, "")
    clock.on(hours=2)
    sessions.open(7, "")
    assert rows(migrated_url, user_sessions) == 1


def test_so_many_tries_and_then_a_wait(counted: SqlTries, clock: Clock) -> None:
    asked = {"name ann": 3, "address 10.0.0.1": 5}
    assert [counted.take(asked) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert counted.take(asked) == WINDOW.total_seconds()
    clock.on(minutes=10)
    assert counted.take(asked) == 300.0
    assert counted.take({"name bob": 3, "address 10.0.0.1": 5}) == 0.0
    clock.on(minutes=5)
    assert counted.take(asked) == 0.0, "a new quarter of an hour"


def test_a_good_one_is_taken_back_and_forgets(counted: SqlTries) -> None:
    asked = {"name ann": 2}
    for _ in range(20):
        assert counted.take(asked) == 0.0
        counted.give_back("name ann")
    counted.take(asked)
    counted.take(asked)
    assert counted.take(asked) > 0
    counted.forget("name ann")
    assert counted.take(asked) == 0.0
    for _ in range(5):
        counted.give_back("name ann")
    assert [counted.take(asked) for _ in range(3)][:2] == [0.0, 0.0], "giving back gives nothing in advance"
    assert counted.waits(asked) > 0


def test_a_hundred_at_once_are_a_hundred(counted: SqlTries) -> None:
    told: list[float] = []

    def many() -> None:
        told.extend(counted.take({"name ann": 10, "address 1": 1000}) for _ in range(10))

    threads = [threading.Thread(target=many) for _ in range(10)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(told), told.count(0.0)) == (100, 10)


def test_neither_names_nor_addresses_are_kept(counted: SqlTries, migrated_url: str) -> None:
    counted.take({"name my-own-password": 3, "name \ud800": 3})
    with reading(open_engine(migrated_url)) as c:
        found = c.execute(select(tries)).all()
    assert len(found) == 2
    assert "password" not in str(found)


def test_counts_that_are_over_go(counted: SqlTries, clock: Clock, migrated_url: str) -> None:
    for place in range(20):
        counted.take({f"name {place}": 3})
    clock.on(minutes=16)
    counted.take({"name ann": 3})
    assert rows(migrated_url, tries) == 1
