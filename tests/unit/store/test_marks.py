"""Conformance of every journal: marks, announcements and cursors."""

from __future__ import annotations

from integrator.model.run import (
    Cursor,
    FlowKey,
    Notes,
    Status,
    Trigger,
)
from tests.unit.store.conftest import KEY
from tests.unit.store.desk import counted, end

AIRFLOWS = {"dag_id": "acme.orders", "dag_run_id": "scheduled__2026-03-01"}
ENTRY = bytes(range(12))
OTHER = bytes(range(100, 112))


def test_an_unfinished_flow_run_is_resumed_with_counts_checkpoint_and_marks(desk):
    first = desk.open(**AIRFLOWS)
    assert not first.resumed
    desk.note(first, Notes(counted(created=3, failed=2), marks=bytearray(ENTRY), checkpoint={"page": 7, "é": [None]}))
    desk.journal.announce(first.flow_run_id, desk.owners[first.flow_run_id], OTHER)
    again = desk.open(**AIRFLOWS)
    assert (again.flow_run_id, again.run_id, again.resumed) == (first.flow_run_id, first.run_id, True)
    assert again.counts == counted(created=3, failed=2)
    assert again.checkpoint == {"page": 7, "é": [None]}
    assert (again.own_marks, again.inherited_marks, again.in_doubt) == (ENTRY, b"", OTHER)


def test_ending_moves_the_cursor_only_when_one_is_given(desk):
    first = desk.open()
    end(desk, first, cursor=Cursor("2026-03-01T12:00:00Z", b"\x00seen\xff"))
    assert desk.journal.cursor(KEY) == Cursor("2026-03-01T12:00:00Z", b"\x00seen\xff")
    second = desk.open()
    assert second.cursor == Cursor("2026-03-01T12:00:00Z", b"\x00seen\xff")
    end(desk, second, Status.FAILED)
    assert desk.journal.cursor(KEY).value == "2026-03-01T12:00:00Z"
    flows = {run.run_id: run.flows["orders"] for run in desk.journal.runs(None, None, 10)}
    assert (flows[first.run_id]["cursor_before"], flows[first.run_id]["cursor_after"]) == (None, "2026-03-01T12:00:00Z")
    assert (flows[second.run_id]["cursor_before"], flows[second.run_id]["cursor_after"]) == ("2026-03-01T12:00:00Z", None)


def test_a_cursor_can_be_moved_and_forgotten_by_hand(desk):
    end(desk, desk.open(), cursor=Cursor("1", b"seen"))
    desk.journal.set_cursor(KEY, "0")
    assert desk.journal.cursor(KEY) == Cursor("0", b"")
    desk.journal.set_cursor(KEY, None)
    desk.journal.set_cursor(KEY, None)
    assert desk.journal.cursor(KEY) is None
    assert desk.journal.cursor(FlowKey("acme", "orders", "ORDERS")) is None


def test_ending_drops_the_flows_marks(desk):
    desk.note(desk.open(), Notes(marks=bytearray(ENTRY)))
    desk.clock.pass_s(61)
    end(desk, desk.open())
    opened = desk.open()
    assert (opened.own_marks, opened.inherited_marks, opened.in_doubt) == (b"", b"", b"")


def test_marks_are_kept_for_the_next_flow_run_when_asked_to(desk):
    first = desk.open()
    desk.note(first, Notes(marks=bytearray(ENTRY)))
    desk.note(first, Notes(marks=bytearray(OTHER)))
    end(desk, first, Status.FAILED, keep_marks=True)
    assert desk.open().inherited_marks == ENTRY + OTHER


def test_marks_of_other_flows_stay_apart(desk):
    first = desk.open()
    desk.note(first, Notes(marks=bytearray(ENTRY)))
    end(desk, first, keep_marks=True)
    other = desk.open(key=FlowKey("acme", "orders", "lines"))
    assert other.inherited_marks == b""
    end(desk, other)
    assert desk.open().inherited_marks == ENTRY


def test_a_rerun_beside_the_schedule_sees_and_drops_none_of_its_marks(desk):
    schedule = desk.open(**AIRFLOWS)
    desk.note(schedule, Notes(marks=bytearray(ENTRY)))
    desk.journal.announce(schedule.flow_run_id, desk.owners[schedule.flow_run_id], OTHER)
    rerun = desk.open(Trigger.RERUN)
    assert (rerun.inherited_marks, rerun.in_doubt) == (b"", b"")
    end(desk, rerun)
    again = desk.open(**AIRFLOWS)
    assert (again.own_marks, again.in_doubt) == (ENTRY, OTHER)


def test_a_rerun_keeps_the_marks_that_guard_the_next_reading(desk):
    first = desk.open()
    desk.note(first, Notes(marks=bytearray(ENTRY)))
    end(desk, first, Status.FAILED, keep_marks=True)
    rerun = desk.open(Trigger.RERUN)
    desk.note(rerun, Notes(marks=bytearray(OTHER)))
    end(desk, rerun)
    assert desk.open().inherited_marks == ENTRY


def test_an_announcement_is_in_doubt_until_it_is_settled(desk):
    opened = desk.open(**AIRFLOWS)
    owner = desk.owners[opened.flow_run_id]
    numbers = [desk.journal.announce(opened.flow_run_id, owner, marks) for marks in (ENTRY, OTHER)]
    assert len(set(numbers)) == 2
    desk.note(opened, Notes(settled_intents=[numbers[0], 999]))
    assert desk.open(**AIRFLOWS).in_doubt == OTHER


def test_an_announcement_of_another_flow_run_cannot_be_taken_back(desk):
    schedule = desk.open(**AIRFLOWS)
    number = desk.journal.announce(schedule.flow_run_id, desk.owners[schedule.flow_run_id], ENTRY)
    desk.note(desk.open(Trigger.RERUN), Notes(settled_intents=[number]))
    assert desk.open(**AIRFLOWS).in_doubt == ENTRY


def test_a_shadow_leaves_no_marks_to_others_and_drops_none_of_theirs(desk):
    live = desk.open()
    desk.note(live, Notes(marks=bytearray(ENTRY)))
    end(desk, live, Status.FAILED, keep_marks=True)
    for kept in (True, False):
        shadow = desk.open(shadow=True)
        assert (shadow.own_marks, shadow.inherited_marks) == (b"", ENTRY)
        desk.note(shadow, Notes(marks=bytearray(OTHER)))
        end(desk, shadow, Status.FAILED, keep_marks=kept)
    assert desk.open().inherited_marks == ENTRY
