"""Conformance of every journal: opening, resuming, the fence, counts, marks, cursors, ending."""

from __future__ import annotations

import subprocess
import sys

import pytest

from integrator.errors import ConfigError, StopRunError, TakenOverError
from integrator.model.run import (
    Counts,
    Cursor,
    FlowKey,
    Notes,
    State,
    Status,
    Trigger,
)
from integrator.store.owner import new_owner
from tests.unit.store.conftest import KEY
from tests.unit.store.desk import counted, end

AIRFLOWS = {"dag_id": "acme.orders", "dag_run_id": "scheduled__2026-03-01"}
ENTRY = bytes(range(12))
OTHER = bytes(range(100, 112))


def test_a_run_is_found_by_airflows_pair_and_keeps_its_first_id(desk):
    first = desk.open(run_id="11111111-1111-1111-1111-111111111111", **AIRFLOWS)
    other_flow = desk.open(key=FlowKey("acme", "orders", "lines"), run_id="22222222-2222-2222-2222-222222222222", **AIRFLOWS)
    assert first.run_id == other_flow.run_id == "11111111-1111-1111-1111-111111111111"
    assert len(desk.journal.runs("acme", "orders", 10)) == 1


def test_a_run_without_airflow_is_found_by_its_own_id(desk):
    first = desk.open(run_id="a", pipe_version="v1")
    again = desk.open(run_id="a")
    assert (again.flow_run_id, again.resumed) == (first.flow_run_id, True)
    (run,) = desk.journal.runs(None, None, 10)
    assert (run.run_id, run.pipe_version, run.trigger, run.status) == ("a", "v1", Trigger.SCHEDULE, Status.RUNNING)


def test_the_former_owner_of_a_resumed_flow_run_can_write_nothing_more(desk):
    first = desk.open(**AIRFLOWS, owner="one")
    desk.open(**AIRFLOWS, owner="two")
    flow_run_id, journal = first.flow_run_id, desk.journal
    for attempt in (
        lambda: journal.note(flow_run_id, "one", Notes(counted(created=1), marks=bytearray(ENTRY))),
        lambda: journal.announce(flow_run_id, "one", ENTRY),
        lambda: journal.beat(flow_run_id, "one"),
        lambda: journal.close_flow_run(flow_run_id, "one", Status.SUCCESS, cursor=Cursor("9")),
    ):
        with pytest.raises(TakenOverError):
            attempt()
    assert desk.journal.cursor(KEY) is None
    seen = desk.open(**AIRFLOWS)
    assert (seen.counts, seen.own_marks) == (Counts(), b"")


def test_a_finished_flow_run_is_left_alone_and_a_new_one_opened(desk):
    first = desk.open(**AIRFLOWS)
    desk.note(first, Notes(counted(created=1)))
    end(desk, first, Status.FAILED, error="SourceBrokenError")
    desk.clock.pass_s(5)
    second = desk.open(**AIRFLOWS)
    assert (second.run_id, second.resumed, second.counts) == (first.run_id, False, Counts())
    assert second.flow_run_id != first.flow_run_id
    end(desk, second)
    (run,) = desk.journal.runs("acme", None, 10)
    assert (run.status, run.flows["orders"]["status"]) == (Status.SUCCESS, Status.SUCCESS)


def test_nothing_is_written_to_a_flow_run_that_has_ended(desk):
    opened = desk.open()
    end(desk, opened)
    with pytest.raises(TakenOverError):
        desk.note(opened, Notes(counted(created=1)))
    with pytest.raises(TakenOverError):
        end(desk, opened)


def test_a_second_run_of_a_flow_waits_for_the_first(desk):
    first = desk.open()
    desk.clock.pass_s(30)
    with pytest.raises(ConfigError, match=rf"already moving records \(run {first.run_id}, started 2026-03-01 12:00:00 UTC"):
        desk.open(run_id="refused")
    assert [run.run_id for run in desk.journal.runs(None, None, 10)] == [first.run_id]
    assert not desk.open(key=FlowKey("acme", "orders", "lines")).resumed
    assert not desk.open(Trigger.RERUN).resumed
    end(desk, first)
    assert not desk.open().resumed


def test_a_rerun_under_way_does_not_hold_up_the_schedule(desk):
    desk.open(Trigger.RERUN)
    assert not desk.open().resumed


@pytest.mark.parametrize("trigger", [Trigger.SCHEDULE, Trigger.RERUN])
def test_a_flow_run_without_a_sign_of_life_is_closed_by_the_next_one(desk, trigger):
    dead = desk.open(trigger)
    desk.note(dead, Notes(counted(updated=2), marks=bytearray(ENTRY), checkpoint={"page": 1}))
    desk.journal.announce(dead.flow_run_id, desk.owners[dead.flow_run_id], OTHER)
    desk.clock.pass_s(61)
    opened = desk.open()
    assert (opened.own_marks, opened.inherited_marks, opened.in_doubt) == (b"", ENTRY, OTHER)
    run = next(run for run in desk.journal.runs(None, None, 10) if run.run_id == dead.run_id)
    flow = run.flows["orders"]
    assert (run.status, flow["error"], flow["updated"], flow["seconds"]) == (Status.FAILED, "TakenOverError", 2, 0.0)
    with pytest.raises(TakenOverError):
        desk.note(dead, Notes(counted(updated=1)))


def test_a_sign_of_life_keeps_a_flow_run_alive(desk):
    first = desk.open()
    for _ in range(3):
        desk.clock.pass_s(50)
        desk.journal.beat(first.flow_run_id, desk.owners[first.flow_run_id])
    with pytest.raises(ConfigError):
        desk.open()


def test_a_killed_process_is_taken_over_at_once(desk):
    code = "from integrator.store.owner import new_owner; print(new_owner())"
    dead = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    first = desk.open(owner=dead)
    second = desk.open(owner=new_owner())
    assert second.run_id != first.run_id
    with pytest.raises(ConfigError):
        desk.open()


def test_counts_add_up_over_notes(desk):
    opened = desk.open()
    extra = Counts(api_calls=3, retries=1, throttled_s=1.5, bytes_read=10_000_000_000, bytes_sent=7)
    desk.note(opened, Notes(counted(created=1, skipped=4)))
    desk.note(opened, Notes(extra))
    desk.note(opened, Notes(counted(unknown=2, waiting=1, deleted=1, updated=1, failed=1)))
    expected = counted(created=1, skipped=4, unknown=2, waiting=1, deleted=1, updated=1, failed=1)
    expected.add(extra)
    assert desk.open(run_id=opened.run_id).counts == expected


def test_a_flow_run_whose_numbers_do_not_add_up_is_not_closed(desk):
    opened = desk.open()
    desk.note(opened, Notes(Counts(read=2, created=1)))
    with pytest.raises(StopRunError, match="do not add up: 2 records read, 1 outcomes"):
        end(desk, opened, cursor=Cursor("5"))
    assert desk.journal.cursor(KEY) is None
    desk.note(opened, Notes(Counts(failed=1)))
    end(desk, opened, Status.PARTIAL)
    assert desk.journal.runs(None, None, 1)[0].status is Status.PARTIAL


def test_ending_forgets_the_checkpoint(desk):
    first = desk.open(**AIRFLOWS)
    desk.note(first, Notes(checkpoint={"page": 3}))
    end(desk, first)
    assert desk.open(**AIRFLOWS).checkpoint is None


def test_runs_come_newest_first_with_the_worst_status_of_their_flows(desk):
    for number in range(3):
        opened = desk.open(run_id=str(number), **({"parent_run_id": "0"} if number else {}))
        lines = desk.open(run_id=str(number), key=FlowKey("acme", "orders", "lines"))
        desk.clock.pass_s(2)
        end(desk, opened, Status.PARTIAL if number == 1 else Status.SUCCESS)
        if number < 2:
            end(desk, lines)
    desk.open(key=FlowKey("other", "stock", "stock"))
    found = desk.journal.runs("acme", "orders", 2)
    assert [(run.run_id, run.status, run.parent_run_id) for run in found] == [
        ("2", Status.RUNNING, "0"),
        ("1", Status.PARTIAL, "0"),
    ]
    assert found[0].ended_at is None
    assert (found[1].ended_at - found[1].started_at).total_seconds() == 2
    assert found[1].started_at.tzinfo is not None
    assert {name: flow["seconds"] for name, flow in found[1].flows.items()} == {"orders": 2.0, "lines": 2.0}
    assert len(desk.journal.runs(None, None, 50)) == 4
    assert desk.journal.runs("acme", "stock", 50) == []


def test_a_selection_keeps_its_ids_in_order_each_once(desk):
    ids = [f"{number:04}" for number in range(1200)] + ["0000", "' or 1=1 --", "ÄÖ/%2F"]
    chosen = desk.journal.create_selection("acme", "orders", None, ids, "cli:operator")
    empty = desk.journal.create_selection("acme", "orders", "orders", [], "cli:operator")
    assert desk.journal.selection_ids(chosen) == (None, tuple(dict.fromkeys(ids)))
    assert desk.journal.selection_ids(empty) == ("orders", ())
    with pytest.raises(ConfigError, match="there is no selection gone"):
        desk.journal.selection_ids("gone")


def test_a_new_journal_knows_nothing(desk):
    assert desk.journal.runs(None, None, 10) == []
    assert desk.journal.failures("acme", "orders", states=list(State)) == []
    assert desk.journal.open_failure_ids(KEY, 10) == set()
    assert desk.journal.cursor(KEY) is None
