"""Records that wait, and what a failure keeps of its parts and its stage."""

from __future__ import annotations

from datetime import timedelta

import pytest

from integrator.model.record import Held
from integrator.model.run import Failure, Kind, Notes, Selection, State, Status, Trigger
from integrator.store.rules import PARTS_MAX
from tests.unit.store.conftest import KEY, Desk
from tests.unit.store.desk import claim, counted, end, rows

WAITING = Selection(waiting=True)


def waits(desk: Desk, opened, *entity_ids: str) -> None:
    told = [Failure(one, "look_up", "WaitingError", kind=Kind.WAITING) for one in entity_ids]
    desk.note(opened, Notes(counted(waiting=len(entity_ids)), told))


def test_what_waits_is_taken_by_each_run_and_waits_again_when_it_was_not_settled(desk: Desk) -> None:
    first = desk.open()
    waits(desk, first, "a", "b", "c")
    desk.fail(first, "d")
    assert claim(desk, first, WAITING) == []  # not in the run in which it began to wait
    end(desk, first)
    second = desk.open()
    assert claim(desk, second, WAITING) == ["a", "b", "c"]
    desk.succeed(second, "a")
    waits(desk, second, "b")
    end(desk, second)
    assert {name: row.state for name, row in rows(desk).items()} == {
        "a": State.RESOLVED, "b": State.WAITING, "c": State.WAITING, "d": State.OPEN,
    }  # fmt: skip


def test_a_rerun_takes_what_waits_only_by_name(desk: Desk) -> None:
    first = desk.open()
    waits(desk, first, "a")
    desk.fail(first, "d")
    end(desk, first)
    rerun = desk.open(Trigger.RERUN)
    assert claim(desk, rerun) == ["d"]
    end(desk, rerun)
    assert claim(desk, desk.open(Trigger.RERUN), Selection(entity_ids=("a", "d"))) == ["a", "d"]


def test_what_a_killed_run_had_taken_waits_for_the_next(desk: Desk) -> None:
    first = desk.open()
    waits(desk, first, "a")
    desk.fail(first, "d")
    end(desk, first)
    assert claim(desk, desk.open(), WAITING) == ["a"]
    desk.clock.pass_s(700)
    assert claim(desk, desk.open(), WAITING) == ["a"]


def test_waiting_for_too_long_is_counted_from_when_it_began(desk: Desk) -> None:
    first = desk.open()
    waits(desk, first, "a")
    end(desk, first)
    desk.clock.pass_s(100)
    second = desk.open()
    waits(desk, second, "a", "b")
    limit = desk.clock() - timedelta(seconds=50)
    assert desk.journal.overdue(KEY, limit) == {"a"}
    desk.succeed(second, "a")
    assert desk.journal.overdue(KEY, limit) == set()
    end(desk, second)
    third = desk.open()
    waits(desk, third, "a")  # anew
    assert desk.journal.overdue(KEY, limit) == set()


@pytest.mark.parametrize(("count", "kept"), [(0, 0), (2, 2), (PARTS_MAX, PARTS_MAX), (PARTS_MAX + 1, 0)])
def test_a_failure_keeps_its_stage_field_and_failed_parts(desk: Desk, count: int, kept: int) -> None:
    first = desk.open()
    parts = tuple(f"p'{n}\"" for n in range(count))
    desk.note(first, Notes(counted(failed=1), [Failure("a", "then", "X", field="then[1]", parts=parts)]))
    end(desk, first, Status.PARTIAL)
    assert rows(desk)["a"].parts == parts[:kept]
    rerun = desk.open(Trigger.RERUN)
    assert claim(desk, rerun) == ["a"]
    assert desk.journal.still_claimed(rerun.flow_run_id, ["a"]) == {"a": Held("then", "then[1]", parts[:kept])}
    desk.note(rerun, Notes(counted(failed=1), [Failure("a", "load", "Y")]))
    assert rows(desk)["a"].parts == ()


def test_a_shadow_run_is_shown_as_one(desk: Desk) -> None:
    from integrator.model.run import RunKey

    desk.journal.open_flow_run(KEY, RunKey("r", Trigger.MANUAL, shadow=True), "x:1:1:1")
    assert desk.journal.runs()[0].flows[KEY.flow]["shadow"] is True
