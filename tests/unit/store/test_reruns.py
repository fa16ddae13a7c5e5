"""Conformance of every journal: what reruns take, hold and give back."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from integrator.errors import TakenOverError
from integrator.model.run import (
    Failure,
    Kind,
    Notes,
    Selection,
    State,
    Status,
    Trigger,
)
from integrator.store.owner import new_owner
from tests.unit.store.conftest import KEY, Desk
from tests.unit.store.desk import ALL, claim, end, failed, rows

HOSTILE = [
    "' or 1=1 --",
    '"; DROP TABLE integrator_failures; --',
    "x" * 256,
    "ü" * 128,
    "𝄞" * 64,
    "%s%(x)s{y}:z",
    "a%",
    "A%",
    "back\\slash\n\ttab",
    "é",
    "e\u0301",
    " padded ",
    "_",
]


def test_a_rerun_takes_each_failure_once(desk):
    failed(desk, *"abcde")
    rerun = desk.open(Trigger.RERUN)
    assert claim(desk, rerun, limit=2) == ["a", "b"]
    assert claim(desk, rerun, limit=2) == ["c", "d"]
    desk.fail(rerun, "a", "b")
    desk.succeed(rerun, "c")
    assert claim(desk, rerun, limit=2) == ["e"]
    desk.fail(rerun, "d", "e")
    assert claim(desk, rerun) == []
    end(desk, rerun, Status.PARTIAL)
    assert claim(desk, desk.open(Trigger.RERUN)) == ["a", "b", "d", "e"]


def test_two_reruns_do_not_hand_each_other_what_fails_again(desk):
    failed(desk, "a")
    one, two = desk.open(Trigger.RERUN), desk.open(Trigger.RERUN)
    assert claim(desk, one) == ["a"]
    assert claim(desk, two) == []
    desk.fail(one, "a")
    assert claim(desk, two) == ["a"]
    desk.fail(two, "a")
    assert (claim(desk, one), claim(desk, two)) == ([], [])


def test_what_a_rerun_notes_without_having_taken_it_is_not_taken_by_it(desk):
    rerun = desk.open(Trigger.RERUN)
    desk.fail(rerun, "part/1")
    assert claim(desk, rerun) == []


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_two_reruns_at_once_take_each_failure_once(new_journal, clock, limit):
    ids = [f"{number:03}" for number in range(150)]
    desks = [Desk(new_journal(), clock) for _ in range(3)]
    failed(desks[0], *ids)
    barrier = Barrier(len(desks))

    def rerun(desk: Desk) -> list[str]:
        opened, taken = desk.open(Trigger.RERUN), []
        barrier.wait(10)
        while some := claim(desk, opened, limit=limit):
            taken += some
            desk.succeed(opened, *some)
        end(desk, opened)
        return taken

    with ThreadPoolExecutor(len(desks)) as pool:
        taken = [entity_id for part in pool.map(rerun, desks) for entity_id in part]
    assert sorted(taken) == ids
    assert set(rows(desks[0], State.RESOLVED)) == set(ids)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), ["1", "2", "3", "4"]),
        (Selection(error="MappingError"), ["3", "4"]),
        (Selection(entity_ids=("4", "1", "nobody")), ["1", "4"]),
        (Selection(entity_ids=()), []),
        (Selection(error="RecordRefusedError", entity_ids=("4", "1")), ["1"]),
        (Selection(run_id="first"), ["1", "2"]),
        (Selection(run_id="second"), ["2", "3", "4"]),
        (Selection(run_id="third"), []),
    ],
)
def test_a_rerun_takes_what_was_chosen(desk, selection, expected):
    for run_id, error, ids in (("first", "X", "12"), ("second", "RecordRefusedError", "2"), ("second", "MappingError", "34")):
        opened = desk.open(run_id=run_id)
        desk.fail(opened, *ids, error="RecordRefusedError" if error == "X" else error)
        end(desk, opened)
    assert claim(desk, desk.open(Trigger.RERUN), selection) == expected


def test_a_selection_of_many_ids_is_taken_in_steps(desk):
    ids = tuple(f"{number:05}" for number in range(1500))
    failed(desk, *ids)
    rerun = desk.open(Trigger.RERUN)
    steps = []
    while some := claim(desk, rerun, Selection(entity_ids=ids), 600):
        steps.append(len(some))
    assert steps == [600, 600, 300]


def test_made_up_ids_are_never_taken(desk):
    failed(desk, "?page 3, record 2", "1?")
    assert claim(desk, desk.open(Trigger.RERUN)) == ["1?"]


def test_only_open_failures_are_taken(desk):
    failed(desk, "resolved", "gone", "open")
    opened = desk.open()
    desk.note(opened, Notes(succeeded=["resolved"], gone=["gone"], failures=[Failure("waiting", "then", "X", kind=Kind.WAITING)]))
    assert claim(desk, desk.open(Trigger.RERUN)) == ["open"]


def test_what_a_rerun_took_and_did_not_settle_is_open_again_at_its_end(desk):
    failed(desk, "1", "2")
    rerun = desk.open(Trigger.RERUN)
    claim(desk, rerun)
    assert set(rows(desk, State.RETRYING)) == {"1", "2"}
    desk.succeed(rerun, "1")
    end(desk, rerun, Status.CANCELLED)
    assert set(rows(desk, State.OPEN)) == {"2"}
    assert rows(desk)["2"].attempts == 1


def test_a_lease_lasts_ten_minutes_after_the_last_sign_of_life(desk):
    failed(desk, "1")
    dead = desk.open(Trigger.RERUN)
    claim(desk, dead)
    for renew in (lambda: desk.journal.beat(dead.flow_run_id, desk.owners[dead.flow_run_id]), lambda: desk.note(dead, Notes())):
        desk.clock.pass_s(599)
        renew()
    desk.clock.pass_s(599)
    assert claim(desk, desk.open(Trigger.RERUN)) == []
    desk.clock.pass_s(2)
    assert claim(desk, desk.open(Trigger.RERUN)) == ["1"]
    with pytest.raises(TakenOverError):
        desk.succeed(dead, "1")


def test_what_a_killed_rerun_took_can_be_taken_at_once(desk):
    code = "from integrator.store.owner import new_owner; print(new_owner())"
    dead = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    failed(desk, "1")
    claim(desk, desk.open(Trigger.RERUN, owner=dead))
    assert claim(desk, desk.open(Trigger.RERUN, owner=new_owner())) == ["1"]


def test_what_cannot_be_repeated_is_unknown_after_a_rerun_died(desk):
    failed(desk, "1", "2")
    claim(desk, desk.open(Trigger.RERUN), limit=1, repeatable=False)
    desk.clock.pass_s(601)
    rerun = desk.open(Trigger.RERUN)
    assert claim(desk, rerun, repeatable=False) == ["2"]
    assert claim(desk, rerun, Selection(entity_ids=("1",)), repeatable=False) == []
    row = rows(desk)["1"]
    assert (row.state, row.error, row.http_status, row.code, row.field, row.attempts) == (
        State.OPEN, "OutcomeUnknownError", None, None, None, 1,
    )  # fmt: skip
    end(desk, rerun)
    assert claim(desk, desk.open(Trigger.RERUN), Selection(entity_ids=("1",)), repeatable=False) == ["1"]


def test_unknown_is_sent_again_only_when_it_is_named_or_can_be_repeated(desk):
    opened = desk.open()
    desk.note(opened, Notes(failures=[Failure("1", "load", "X", kind=Kind.UNKNOWN), Failure("2", "load", "X")]))
    for selection, repeatable, expected in (
        (Selection(), False, ["2"]),
        (Selection(run_id=opened.run_id), False, ["2"]),
        (Selection(error="OutcomeUnknownError"), False, ["1"]),
        (Selection(entity_ids=("1",)), False, ["1"]),
        (Selection(), True, ["1", "2"]),
    ):
        rerun = desk.open(Trigger.RERUN)
        assert claim(desk, rerun, selection, repeatable=repeatable) == expected
        end(desk, rerun)


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_rerun_that_is_taken_up_again_takes_what_it_had_not_settled(desk, repeatable):
    failed(desk, "1", "2", "3")
    first = desk.open(Trigger.RERUN, run_id="rerun")
    assert claim(desk, first, limit=2, repeatable=repeatable) == ["1", "2"]
    desk.fail(first, "1")
    again = desk.open(Trigger.RERUN, run_id="rerun")
    assert again.resumed
    assert claim(desk, again, repeatable=repeatable) == (["2", "3"] if repeatable else ["3"])
    assert rows(desk)["2"].error == ("RecordRefusedError" if repeatable else "OutcomeUnknownError")


def test_a_rerun_that_lost_its_flow_run_takes_nothing(desk):
    failed(desk, "1")
    first = desk.open(Trigger.RERUN, run_id="rerun", owner="one")
    desk.open(Trigger.RERUN, run_id="rerun", owner="two")
    with pytest.raises(TakenOverError):
        desk.journal.claim(KEY, first.flow_run_id, "one", ALL, 5, repeatable=True)
    assert set(rows(desk, State.OPEN)) == {"1"}


def test_a_success_of_the_schedule_is_not_undone_by_a_rerun(desk):
    failed(desk, "1", "2")
    rerun = desk.open(Trigger.RERUN)
    claim(desk, rerun)
    schedule = desk.open()
    desk.succeed(schedule, "1")
    desk.fail(rerun, "1", "2")
    row = rows(desk)["1"]
    assert (row.state, row.resolved_run_id, row.attempts) == (State.RESOLVED, schedule.run_id, 1)
    assert (rows(desk)["2"].state, rows(desk)["2"].attempts) == (State.OPEN, 2)
    desk.fail(schedule, "1")
    assert (rows(desk)["1"].state, rows(desk)["1"].attempts) == (State.OPEN, 2)


def test_a_failure_of_the_schedule_leaves_it_with_the_rerun_that_has_it(desk):
    failed(desk, "1")
    rerun = desk.open(Trigger.RERUN)
    claim(desk, rerun)
    desk.fail(desk.open(), "1", error="MappingError")
    row = rows(desk)["1"]
    assert (row.state, row.attempts, row.error) == (State.RETRYING, 2, "MappingError")
    assert claim(desk, desk.open(Trigger.RERUN)) == []
    desk.succeed(rerun, "1")
    assert rows(desk)["1"].resolved_run_id == rerun.run_id


def test_a_rerun_still_holds_what_nobody_has_settled_or_taken(desk):
    failed(desk, *"abcd")
    rerun = desk.open(Trigger.RERUN)
    claim(desk, rerun, limit=3)
    schedule = desk.open()
    desk.succeed(schedule, "a")
    desk.fail(schedule, "b")
    assert desk.journal.still_claimed(rerun.flow_run_id, ["a", "b", "c", "d", "nobody"]).keys() == {"b", "c"}
    desk.fail(rerun, "c")
    assert desk.journal.still_claimed(rerun.flow_run_id, ["b", "c"]).keys() == {"b"}
    desk.clock.pass_s(601)
    claim(desk, desk.open(Trigger.RERUN))
    assert desk.journal.still_claimed(rerun.flow_run_id, ["a", "b", "c", "d"]).keys() == set()
