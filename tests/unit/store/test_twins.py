"""Whatever is asked of them in whatever order, the journal in memory and the one in SQLite answer alike."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from integrator.errors import IntegratorError
from integrator.model.run import (
    Counts,
    Cursor,
    Due,
    Failure,
    FlowKey,
    Kind,
    Notes,
    OpenedFlowRun,
    RunKey,
    Selection,
    State,
    Status,
    Trigger,
)
from integrator.store.database import open_engine, writing
from integrator.store.journal import SqlJournal
from integrator.store.memory import MemoryJournal
from integrator.store.tables import metadata
from tests.unit.store.conftest import KEY, Clock

OTHER_KEY = FlowKey("acme", "orders", "lines")
IDS = st.sampled_from(["a", "b", "c", "?d"])
SOME_IDS = st.lists(IDS, max_size=3)
KINDS = st.sampled_from([Kind.FAILED, Kind.FAILED, Kind.UNKNOWN, Kind.WAITING])
PARTS = st.sampled_from([(), (), ("p1",), ("p1", "p2"), tuple(map(str, range(1001)))])
STAGES = st.sampled_from(["load", "then"])
FAILURES = st.lists(
    st.builds(Failure, IDS, STAGES, st.sampled_from(["X", "Y", "UnavailableError"]), kind=KINDS, parts=PARTS)
    | st.builds(Failure, IDS, STAGES, st.just("WaitingError"), kind=st.just(Kind.WAITING)),
    max_size=3,
)
COUNTS = st.builds(lambda kind, records: counted(kind, records), st.sampled_from(Kind), st.integers(0, 3))
NOTES = st.builds(
    Notes,
    counts=COUNTS,
    failures=FAILURES,
    succeeded=SOME_IDS,
    gone=SOME_IDS,
    marks=st.builds(bytearray, st.binary(max_size=2)),
    checkpoint=st.none() | st.dictionaries(st.just("page"), st.integers(0, 9)),
)
DUE = Due(attempts=4, back_off_s=60)
SELECTIONS = st.builds(
    Selection, run_id=st.none() | st.sampled_from("123"), error=st.sampled_from([None, None, "X", "OutcomeUnknownError"]),
    entity_ids=st.none() | st.builds(tuple, SOME_IDS), waiting=st.booleans(), due=st.sampled_from([None, None, DUE]),
)  # fmt: skip


def counted(kind: Kind, records: int) -> Counts:
    counts = Counts()
    counts.count(kind, records)
    return counts


class Twins(RuleBasedStateMachine):
    """Two journals, one clock, and the flow run IDs of each."""

    opened: Bundle[tuple[OpenedFlowRun, OpenedFlowRun, str]] = Bundle("opened")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.engine = open_engine(f"sqlite:///{self.folder / 'journal.db'}")
        with writing(self.engine) as connection:
            metadata.create_all(connection)
        self.sql = SqlJournal(self.engine, stale_after_s=60, now=self.clock)
        self.memory = MemoryJournal(stale_after_s=60, now=self.clock)
        self.owners = 0

    def both(self, method: str, sql_args: tuple[Any, ...], memory_args: tuple[Any, ...], **more: Any) -> list[Any]:
        answers: list[Any] = []
        for journal, args in ((self.sql, sql_args), (self.memory, memory_args)):
            try:
                answers.append(getattr(journal, method)(*args, **more))
            except IntegratorError as error:
                answers.append(type(error))
        return answers

    def same(self, method: str, opened: tuple[OpenedFlowRun, OpenedFlowRun, str], *args: Any, **more: Any) -> None:
        sql, memory, owner = opened
        answers = self.both(method, (sql.flow_run_id, owner, *args), (memory.flow_run_id, owner, *args), **more)
        assert answers[0] == answers[1]

    @rule(
        target=opened, run_id=st.sampled_from("123"), trigger=st.sampled_from(Trigger), key=st.sampled_from([KEY, KEY, OTHER_KEY])
    )
    def open(self, run_id: str, trigger: Trigger, key: FlowKey) -> Any:
        self.owners += 1
        owner = f"elsewhere:1:1:{self.owners}"
        args = (key, RunKey(run_id, trigger), owner)
        sql, memory = self.both("open_flow_run", args, args)
        if isinstance(sql, type) or isinstance(memory, type):
            assert sql == memory
            nothing = OpenedFlowRun("none", "none", False, Counts(), datetime.now(UTC))
            return (nothing, nothing, owner)
        for name in (
            "run_id",
            "resumed",
            "counts",
            "started_at",
            "checkpoint",
            "cursor",
            "own_marks",
            "inherited_marks",
            "in_doubt",
        ):
            assert getattr(sql, name) == getattr(memory, name), name
        return (sql, memory, owner)

    @rule(opened=opened, notes=NOTES)
    def note(self, opened: Any, notes: Notes) -> None:
        self.same("note", opened, notes)

    @rule(opened=opened, marks=st.binary(max_size=2))
    def announce(self, opened: Any, marks: bytes) -> None:
        sql, memory, owner = opened
        answers = self.both("announce", (sql.flow_run_id, owner, marks), (memory.flow_run_id, owner, marks))
        assert isinstance(answers[0], type) == isinstance(answers[1], type)
        if isinstance(answers[0], int):
            for journal, flow_run_id, number in zip((self.sql, self.memory), (sql, memory), answers, strict=True):
                if marks.startswith(b"\0"):
                    journal.note(flow_run_id.flow_run_id, owner, Notes(settled_intents=[number]))

    @rule(opened=opened)
    def beat(self, opened: Any) -> None:
        self.same("beat", opened)

    @rule(opened=opened, selection=SELECTIONS, limit=st.integers(1, 3), repeatable=st.booleans())
    def claim(self, opened: Any, selection: Selection, limit: int, repeatable: bool) -> None:
        sql, memory, owner = opened
        answers = [
            self.both("claim", (key, sql.flow_run_id, owner, selection, limit), (key, memory.flow_run_id, owner, selection, limit),
                      repeatable=repeatable)
            for key in (KEY,)
        ]  # fmt: skip
        assert answers[0][0] == answers[0][1]
        held = self.both("still_claimed", (sql.flow_run_id, ["a", "b", "c"]), (memory.flow_run_id, ["a", "b", "c"]))
        assert held[0] == held[1]

    @rule(
        opened=consumes(opened), status=st.sampled_from([Status.SUCCESS, Status.FAILED]),
        cursor=st.none() | st.builds(Cursor, st.sampled_from("12"), st.binary(max_size=1)), keep_marks=st.booleans(),
        error=st.sampled_from([None, "UnavailableError"]),
    )  # fmt: skip
    def close(self, opened: Any, status: Status, cursor: Cursor | None, keep_marks: bool, error: str | None) -> None:
        self.same("close_flow_run", opened, status, cursor=cursor, keep_marks=keep_marks, error=error)

    @rule(seconds=st.sampled_from([1, 59, 61, 601]))
    def wait(self, seconds: int) -> None:
        self.clock.pass_s(seconds)

    @invariant()
    def shows_the_same(self) -> None:
        states = list(State)
        assert self.sql.failures("acme", "orders", states=states) == self.memory.failures("acme", "orders", states=states)
        assert self.sql.runs(None, None, 10) == self.memory.runs(None, None, 10)
        assert self.sql.hopeful_flows() == self.memory.hopeful_flows()
        for key in (KEY, OTHER_KEY):
            assert self.sql.open_failure_ids(key, 2) == self.memory.open_failure_ids(key, 2)
            assert self.sql.pulse(key) == self.memory.pulse(key)
            assert self.sql.count_due(key, DUE) == self.memory.count_due(key, DUE)
            assert self.sql.cursor(key) == self.memory.cursor(key)
            before = self.clock() - timedelta(seconds=60)
            assert self.sql.overdue(key, before) == self.memory.overdue(key, before)

    def teardown(self) -> None:
        self.engine.dispose()
        shutil.rmtree(self.folder)


Twins.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    phases=[Phase.generate],
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestTwins = Twins.TestCase
