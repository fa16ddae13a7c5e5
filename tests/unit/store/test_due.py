"""Automatic reruns: what may get better, when it is due, and that every journal says the same."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrator.model.run import Due, Failure, FailureRow, Kind, Notes, Pulse, Selection, State, Status, Trigger
from integrator.store.database import open_engine, writing
from integrator.store.hope import is_due, may_get_better
from integrator.store.journal import SqlJournal
from integrator.store.memory import MemoryJournal
from integrator.store.tables import metadata
from tests.unit.store.conftest import KEY, Clock, Desk
from tests.unit.store.desk import claim, counted, end, failed

TEN_MINUTES = Due(attempts=5, back_off_s=600)
AWAY = "UnavailableError"


@pytest.mark.parametrize(
    ("error", "status", "stage", "better"),
    [
        (AWAY, None, "load", True), ("RateLimitedError", 429, "load", True), ("RecordRefusedError", 409, "load", True), ("RecordRefusedError", 423, "fetch", True),
        ("RecordRefusedError", 500, "load", True), ("RecordRefusedError", 599, "load", True), ("RecordRefusedError", 422, "load", False), ("RecordRefusedError", None, "load", False),
        ("RecordRefusedError", 600, "load", False), ("RecordRefusedError", 422, "then", True), ("RecordRefusedError", None, "look_up", True), ("MappingError", None, "map", False),
        ("MappingError", None, "look_up", False), ("OutcomeUnknownError", 503, "then", False), ("SignInAgainError", 401, "look_up", False), ("AnotherError", 500, "load", False),
    ],
)  # fmt: skip
def test_what_may_get_better(error: str, status: int | None, stage: str, better: bool) -> None:
    assert may_get_better(error, status, stage) is better


def test_the_wait_doubles_up_to_a_day() -> None:
    assert [TEN_MINUTES.wait_s(n) / 60 for n in (1, 2, 3, 4, 8, 9, 50)] == [10, 20, 40, 80, 1280, 1440, 1440]


def test_a_rerun_of_what_is_due_takes_no_more(desk: Desk) -> None:
    failed(desk, "a", "b", error=AWAY)
    failed(desk, "c", error="MappingError")
    failed(desk, "d")  # 422
    failed(desk, "?made up", error=AWAY)
    due = Selection(due=TEN_MINUTES)
    desk.clock.pass_s(590)
    assert claim(desk, desk.open(Trigger.RERUN), due) == []
    assert desk.journal.count_due(KEY, TEN_MINUTES) == 0
    assert desk.journal.hopeful_flows() == [KEY]
    desk.clock.pass_s(10)
    assert desk.journal.count_due(KEY, TEN_MINUTES) == 2
    rerun = desk.open(Trigger.RERUN)
    assert claim(desk, rerun, due) == ["a", "b"]
    assert desk.journal.count_due(KEY, TEN_MINUTES) == 0
    desk.fail(rerun, "a", error=AWAY)
    desk.succeed(rerun, "b")
    end(desk, rerun, Status.PARTIAL)
    desk.clock.pass_s(1199)
    assert desk.journal.count_due(KEY, TEN_MINUTES) == 0
    desk.clock.pass_s(1)
    assert claim(desk, desk.open(Trigger.RERUN), due) == ["a"]


def test_attempts_have_an_end(desk: Desk) -> None:
    due = Due(attempts=3, back_off_s=60)
    failed(desk, "a", error=AWAY)
    for _ in range(2):
        desk.clock.pass_s(86400)
        rerun = desk.open(Trigger.RERUN)
        assert claim(desk, rerun, Selection(due=due)) == ["a"]
        desk.fail(rerun, "a", error=AWAY)
        end(desk, rerun, Status.FAILED)
    desk.clock.pass_s(10 * 86400)
    assert claim(desk, desk.open(Trigger.RERUN), Selection(due=due)) == []


def test_what_a_killed_rerun_had_taken_is_due_again(desk: Desk) -> None:
    failed(desk, "a", error=AWAY)
    desk.clock.pass_s(600)
    claim(desk, desk.open(Trigger.RERUN), Selection(due=TEN_MINUTES))
    desk.clock.pass_s(601)
    assert desk.journal.hopeful_flows() == [KEY]
    assert desk.journal.count_due(KEY, TEN_MINUTES) == 1


def test_the_pulse_of_a_flow(desk: Desk) -> None:
    assert desk.journal.pulse(KEY) == Pulse()
    began = desk.clock.at
    for trigger, status, read in (
        (Trigger.SCHEDULE, Status.SUCCESS, 3),
        (Trigger.MANUAL, Status.PARTIAL, 5),
        (Trigger.SCHEDULE, Status.FAILED, 7),
        (Trigger.CALL, Status.SUCCESS, 1),
        (Trigger.RERUN, Status.FAILED, 2),
        (Trigger.RERUN, Status.FAILED, 2),
    ):
        opened = desk.open(trigger)
        desk.note(opened, Notes(counted(created=read)))
        desk.clock.pass_s(10)
        end(desk, opened, status, error=AWAY if trigger is Trigger.RERUN else None)
    desk.open()
    desk.open(Trigger.RERUN)
    after = [began + timedelta(seconds=10 * n) for n in range(7)]
    assert desk.journal.pulse(KEY) == Pulse(began, after[2], 7, after[3], reruns_stopped=2, rerun_stopped_at=after[5])


ERRORS = st.sampled_from(
    [AWAY, "RateLimitedError", "RecordRefusedError", "RecordRefusedError", "MappingError", "SignInAgainError"]
)
FAILURES = st.lists(
    st.tuples(
        st.builds(
            Failure, st.sampled_from(["a", "b", "c", "?d"]), st.sampled_from(["load", "then", "look_up", "map"]), ERRORS,
            st.sampled_from([None, 408, 409, 422, 429, 499, 500, 503, 599, 600]), kind=st.sampled_from([Kind.FAILED, Kind.FAILED, Kind.UNKNOWN, Kind.WAITING]),
        ),
        st.sampled_from([0, 59, 60, 61, 600, 3600, 86399, 86400, 86401]),
    ),
    max_size=8,
)  # fmt: skip
DUES = st.builds(Due, st.integers(2, 12), st.sampled_from([60.0, 90.0, 600.0, 86400.0]))


@given(noted=FAILURES, due=DUES, repeatable=st.booleans())
@settings(max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_twins_take_the_same_and_it_is_what_the_rule_says(noted: Any, due: Due, repeatable: bool) -> None:
    folder, clock = Path(tempfile.mkdtemp()), Clock()
    engine = open_engine(f"sqlite:///{folder / 'journal.db'}")
    try:
        with writing(engine) as connection:
            metadata.create_all(connection)
        taken = []
        for journal in (SqlJournal(engine, stale_after_s=60, now=clock), MemoryJournal(stale_after_s=60, now=clock)):
            clock.at = datetime(2026, 3, 1, 12, tzinfo=UTC)
            desk = Desk(journal, clock)
            for failure, wait in noted:
                opened = desk.open()
                desk.note(opened, Notes(counted(**{failure.kind.value: 1}), [failure]))
                end(desk, opened)
                clock.pass_s(wait)
            rows: list[FailureRow] = journal.failures("acme", "orders", states=[State.OPEN])
            ruled = [row.entity_id for row in rows if is_due(row, due, clock.at) and not row.entity_id.startswith("?")]
            count, flows = journal.count_due(KEY, due), journal.hopeful_flows()
            got = claim(desk, desk.open(Trigger.RERUN), Selection(due=due), repeatable=repeatable)
            assert got == ruled
            assert count == len(ruled)
            taken.append((got, count, flows, journal.pulse(KEY)))
        assert taken[0] == taken[1]
    finally:
        engine.dispose()
        shutil.rmtree(folder)
