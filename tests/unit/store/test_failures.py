"""Conformance of every journal: failures, their history, leases of reruns."""

from __future__ import annotations

from collections import Counter

import pytest

from integrator.model.run import (
    Counts,
    Failure,
    FlowKey,
    Kind,
    Notes,
    Selection,
    State,
    Trigger,
)
from tests.unit.store.conftest import KEY
from tests.unit.store.desk import claim, failed, rows

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


def test_a_failure_is_kept_with_its_reason(desk):
    opened = failed(desk, "17")
    row = rows(desk)["17"]
    assert (row.stage, row.error, row.http_status, row.code, row.field) == (
        "load", "RecordRefusedError", 422, "bad.sku", "lines[0].sku",
    )  # fmt: skip
    assert (row.flow, row.attempts, row.state, row.run_id, row.resolved_run_id) == (
        "orders", 1, State.OPEN, opened.run_id, None,
    )  # fmt: skip
    assert row.first_failed_at == row.last_failed_at
    assert row.first_failed_at.utcoffset().total_seconds() == 0


def test_a_repeated_failure_counts_an_attempt_and_keeps_when_it_first_failed(desk):
    failed(desk, "17")
    first = rows(desk)["17"]
    desk.clock.pass_s(3600)
    again = desk.open()
    desk.note(
        again, Notes(Counts(read=2, failed=2), [Failure("17", "map", "MappingError"), Failure("18", "map", "MappingError")])
    )
    row = rows(desk)["17"]
    assert (row.attempts, row.stage, row.error, row.http_status, row.code, row.field) == (
        2,
        "map",
        "MappingError",
        None,
        None,
        None,
    )
    assert (row.first_failed_at, row.run_id) == (first.first_failed_at, again.run_id)
    assert (row.last_failed_at - row.first_failed_at).total_seconds() == 3601
    assert rows(desk)["18"].attempts == 1


def test_an_id_that_fails_twice_in_one_note_counts_both_attempts(desk):
    opened = desk.open()
    desk.note(opened, Notes(Counts(read=2, failed=2), [Failure("17", "map", "MappingError"), Failure("17", "load", "X")]))
    assert (rows(desk)["17"].attempts, rows(desk)["17"].error) == (2, "X")


@pytest.mark.parametrize("kind", [Kind.UNKNOWN, Kind.WAITING, Kind.FAILED])
def test_unknown_is_open_and_waiting_waits(desk, kind):
    opened = desk.open()
    desk.note(opened, Notes(failures=[Failure("17", "load", "UnavailableError", kind=kind)]))
    expected = {
        Kind.UNKNOWN: ("OutcomeUnknownError", State.OPEN),
        Kind.WAITING: ("UnavailableError", State.WAITING),
        Kind.FAILED: ("UnavailableError", State.OPEN),
    }[kind]
    assert (rows(desk)["17"].error, rows(desk)["17"].state) == expected


def test_a_success_resolves_and_says_by_which_run(desk):
    failed(desk, "17", "18", "19")
    opened = desk.open()
    desk.succeed(opened, "17", "18", "never failed")
    assert {row.entity_id: row.resolved_run_id for row in rows(desk, State.RESOLVED).values()} == {
        "17": opened.run_id,
        "18": opened.run_id,
    }
    assert set(rows(desk, State.OPEN)) == {"19"}
    later = desk.open(Trigger.RERUN)
    desk.succeed(later, "17")
    assert rows(desk)["17"].resolved_run_id == opened.run_id


def test_a_resolved_failure_that_fails_again_is_open_with_its_history(desk):
    failed(desk, "17")
    opened = desk.open()
    desk.succeed(opened, "17")
    desk.fail(opened, "17")
    row = rows(desk)["17"]
    assert (row.state, row.attempts, row.resolved_run_id) == (State.OPEN, 2, None)


def test_an_id_that_failed_and_succeeded_at_once_stays_open(desk):
    opened = desk.open()
    desk.note(opened, Notes(failures=[Failure("17", "load", "X")], succeeded=["17"], gone=["17"]))
    assert rows(desk)["17"].state is State.OPEN


def test_a_record_that_is_gone_at_the_source_ends_its_failure(desk):
    failed(desk, "17", "18")
    opened = desk.open(Trigger.RERUN)
    desk.succeed(opened, "18")
    desk.note(opened, Notes(gone=["17", "18", "19"]))
    assert {row.entity_id: row.state for row in rows(desk).values()} == {"17": State.GONE, "18": State.RESOLVED}
    desk.succeed(opened, "17")
    assert rows(desk)["17"].state is State.GONE


def test_thousands_are_settled_in_one_note(desk):
    ids = [f"{number:05}" for number in range(2500)]
    failed(desk, *ids)
    opened = desk.open()
    desk.note(opened, Notes(succeeded=ids[:1800], gone=ids[1800:2400]))
    assert Counter(row.state for row in rows(desk).values()) == {
        State.RESOLVED: 1800, State.GONE: 600, State.OPEN: 100,
    }  # fmt: skip


def test_unresolved_ids_are_given_up_to_a_limit(desk):
    failed(desk, "1", "2", "3", "4")
    opened = desk.open()
    desk.succeed(opened, "4")
    assert desk.journal.open_failure_ids(KEY, 3) == {"1", "2", "3"}
    assert desk.journal.open_failure_ids(KEY, 2) is None
    assert desk.journal.open_failure_ids(FlowKey("acme", "orders", "lines"), 0) == set()


def test_hostile_ids_are_only_ids(desk):
    failed(desk, *HOSTILE)
    assert desk.journal.open_failure_ids(KEY, 100) == set(HOSTILE)
    rerun = desk.open(Trigger.RERUN)
    assert claim(desk, rerun, Selection(entity_ids=("' or 1=1 --", "a%", "é"))) == ["' or 1=1 --", "a%", "é"]
    desk.succeed(rerun, "a%", "_")
    desk.note(rerun, Notes(gone=["é"]))
    assert set(rows(desk, State.RESOLVED)) == {"a%", "_"}
    assert set(rows(desk, State.GONE)) == {"é"}
    assert sorted(claim(desk, desk.open(Trigger.RERUN))) == sorted(set(HOSTILE) - {"' or 1=1 --", "a%", "é", "_"})


def test_flows_keep_their_failures_apart(desk):
    failed(desk, "17")
    other = desk.open(key=FlowKey("acme", "orders", "lines"))
    desk.fail(other, "17")
    desk.succeed(other, "17")
    assert desk.journal.failures("acme", "orders", flow="orders")[0].state is State.OPEN
    assert [row.flow for row in desk.journal.failures("acme", "orders")] == ["orders"]
    assert desk.journal.failures("other", "orders", states=list(State)) == []
