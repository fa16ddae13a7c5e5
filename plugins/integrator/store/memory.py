"""The journal's twin in memory: the same behaviour, for tests and for trying a pipe out. Nothing survives it."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import wraps
from threading import RLock
from typing import Any, Concatenate, ParamSpec, TypeVar

from integrator.model.record import Held
from integrator.model.run import (
    Cursor,
    Due,
    FailureRow,
    FlowKey,
    Notes,
    OpenedFlowRun,
    Pulse,
    RunKey,
    RunRow,
    Selection,
    State,
    Status,
)
from integrator.store.memory_failures import MemoryFailures
from integrator.store.memory_rows import Announced, FlowRun, Run, Settled, pulse_of
from integrator.store.owner import is_dead
from integrator.store.reading import flow_shown, run_end
from integrator.store.rules import (
    BESIDE,
    TAKEN_OVER,
    Underway,
    already_moving,
    check_sum,
    no_selection,
    taken_over,
    utc_now,
)

P = ParamSpec("P")
R = TypeVar("R")


def _alone(method: Callable[Concatenate[MemoryJournal, P], R]) -> Callable[Concatenate[MemoryJournal, P], R]:
    @wraps(method)
    def locked(self: MemoryJournal, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock:
            return method(self, *args, **kwargs)

    return locked


class MemoryJournal:
    """Fits `engine.ports.Journal`; its methods say in `store.journal.SqlJournal` what they do.

    Args:
        stale_after_s: seconds without a sign of life after which a flow run is taken to be dead.
        now: the clock, aware UTC.
    """

    def __init__(self, *, stale_after_s: float = 60.0, now: Callable[[], datetime] = utc_now) -> None:
        self._stale_after_s = stale_after_s
        self._now = now
        self._lock = RLock()
        self._runs: dict[str, Run] = {}
        self._flow_runs: dict[str, FlowRun] = {}
        self._cursors: dict[FlowKey, Cursor] = {}
        self._marks: dict[int, Announced | Settled] = {}
        self._marks_made = 0
        self._selections: dict[str, tuple[str | None, tuple[str, ...]]] = {}
        self._failures = MemoryFailures(self._flow_runs)

    @_alone
    def open_flow_run(self, key: FlowKey, run: RunKey, owner: str) -> OpenedFlowRun:
        """Open a flow run, or take up the unfinished one of the same run."""
        now = self._now()
        found = self._run(key, run, now)
        self._refuse_or_end_others(key, found, now)
        self._runs[found.run_id] = found
        cursor = self._cursors.get(key)
        same = [one for one in self._flow_runs.values() if one.run_id == found.run_id and one.key == key]
        mine = next((one for one in same if one.status is Status.RUNNING), None)
        resumed = mine is not None
        if mine is None:
            before = cursor.value if cursor else None
            mine = FlowRun(
                str(uuid.uuid4()), found.run_id, key, len(same) + 1, owner, now, now, cursor_before=before, shadow=run.shadow
            )
            self._flow_runs[mine.flow_run_id] = mine
        else:
            mine.owner, mine.heartbeat_at = owner, now
            self._failures.take_up(mine.flow_run_id)
        settled = [one for one in self._left(mine) if isinstance(one, Settled)]
        return OpenedFlowRun(
            run_id=found.run_id,
            flow_run_id=mine.flow_run_id,
            resumed=resumed,
            counts=replace(mine.counts),
            started_at=mine.started_at,
            checkpoint=copy.deepcopy(mine.checkpoint),
            cursor=cursor,
            own_marks=b"".join(one.marks for one in settled if one.flow_run_id == mine.flow_run_id),
            inherited_marks=b"".join(one.marks for one in settled if one.flow_run_id != mine.flow_run_id),
            in_doubt=b"".join(one.marks for one in self._left(mine) if isinstance(one, Announced)),
        )

    def _run(self, key: FlowKey, run: RunKey, now: datetime) -> Run:
        pair = (run.dag_id, run.dag_run_id)
        if None not in pair:
            for one in self._runs.values():
                if (one.asked.dag_id, one.asked.dag_run_id) == pair:
                    return one
        return self._runs.get(run.run_id) or Run(run.run_id, key.project, key.pipe, run, now)

    def _refuse_or_end_others(self, key: FlowKey, run: Run, now: datetime) -> None:
        stale = now - timedelta(seconds=self._stale_after_s)
        running = [one for one in self._flow_runs.values() if one.key == key and one.status is Status.RUNNING]
        others = [(one, is_dead(one.owner)) for one in running if one.run_id != run.run_id]
        for one, gone in others:
            alone = self._runs[one.run_id].asked.trigger not in BESIDE
            if not gone and one.heartbeat_at >= stale and run.asked.trigger not in BESIDE and alone:
                raise already_moving(key, one.run_id, one.started_at)
        for one, gone in others:
            if gone or one.heartbeat_at < stale:
                one.status, one.error, one.ended_at, one.checkpoint = Status.FAILED, TAKEN_OVER, one.heartbeat_at, None
                if gone:
                    self._failures.end_leases(one.flow_run_id)

    def _left(self, mine: FlowRun) -> list[Announced | Settled]:
        """Return the marks of this flow but those of flow runs that live beside this one, and of other shadows."""
        each = [one for one in self._marks.values() if one.key == mine.key and not self._lives_beside(one, mine)]
        return [one for one in each if one.flow_run_id == mine.flow_run_id or not self._flow_runs[one.flow_run_id].shadow]

    def _lives_beside(self, mark: Announced | Settled, mine: FlowRun) -> bool:
        return mark.flow_run_id != mine.flow_run_id and self._flow_runs[mark.flow_run_id].status is Status.RUNNING

    def _alive(self, flow_run_id: str, owner: str) -> tuple[FlowRun, Underway]:
        mine = self._flow_runs.get(flow_run_id)
        if mine is None or mine.owner != owner or mine.status is not Status.RUNNING:
            raise taken_over(flow_run_id)
        mine.heartbeat_at = self._now()
        return mine, Underway(flow_run_id, mine.run_id, mine.key, self._runs[mine.run_id].asked.trigger)

    def _mark(self, mark: Announced | Settled) -> int:
        self._marks_made += 1
        self._marks[self._marks_made] = mark
        return self._marks_made

    @_alone
    def announce(self, flow_run_id: str, owner: str, marks: bytes) -> int:
        """Note what is about to be sent and cannot be repeated; returns the announcement's number."""
        mine, _ = self._alive(flow_run_id, owner)
        return self._mark(Announced(mine.key, flow_run_id, bytes(marks)))

    @_alone
    def note(self, flow_run_id: str, owner: str, notes: Notes) -> None:
        """Write what became of records."""
        mine, underway = self._alive(flow_run_id, owner)
        mine.counts.add(notes.counts)
        mine.checkpoint = copy.deepcopy(notes.checkpoint) if notes.checkpoint is not None else mine.checkpoint
        failed = {failure.entity_id for failure in notes.failures}
        self._failures.note(underway, notes.failures, self._now())
        self._failures.settle(underway, set(notes.succeeded) - failed, State.RESOLVED)
        self._failures.settle(underway, set(notes.gone) - failed, State.GONE)
        if notes.marks:
            self._mark(Settled(mine.key, flow_run_id, bytes(notes.marks)))
        for number in notes.settled_intents:
            mark = self._marks.get(number)
            if isinstance(mark, Announced) and mark.flow_run_id == flow_run_id:
                del self._marks[number]

    @_alone
    def beat(self, flow_run_id: str, owner: str) -> None:
        """Give a sign of life, which renews a rerun's leases too."""
        self._alive(flow_run_id, owner)

    @_alone
    def open_failure_ids(self, key: FlowKey, limit: int) -> set[str] | None:
        """Return the entity IDs that a success would resolve, or None when there are more than `limit`."""
        found = self._failures.unresolved_ids(key)
        return found if len(found) <= limit else None

    @_alone
    def close_flow_run(
        self,
        flow_run_id: str,
        owner: str,
        status: Status,
        *,
        error: str | None = None,
        cursor: Cursor | None = None,
        keep_marks: bool = False,
    ) -> None:
        """End a flow run; moves the cursor when one is given."""
        before = self._flow_runs[flow_run_id].heartbeat_at if flow_run_id in self._flow_runs else None
        mine, underway = self._alive(flow_run_id, owner)
        if not mine.counts.adds_up() and before is not None:
            mine.heartbeat_at = before  # a transaction that fails leaves no sign of life either
        check_sum(flow_run_id, mine.counts)
        mine.status, mine.error, mine.ended_at, mine.checkpoint = status, error, self._now(), None
        if cursor is not None:
            mine.cursor_after, self._cursors[mine.key] = cursor.value, cursor
        if not keep_marks:
            own_only = mine.shadow or underway.trigger in BESIDE
            drop = [one for one in self._left(mine) if not own_only or one.flow_run_id == flow_run_id]
            self._marks = {number: one for number, one in self._marks.items() if not any(one is old for old in drop)}
        self._failures.release(flow_run_id)

    @_alone
    def claim(
        self, key: FlowKey, flow_run_id: str, owner: str, selection: Selection, limit: int, *, repeatable: bool
    ) -> list[str]:
        """Take up to `limit` failures for this rerun; an empty list means no more."""
        _, underway = self._alive(flow_run_id, owner)
        return self._failures.claim(underway, selection, limit, self._now(), repeatable=repeatable)

    @_alone
    def overdue(self, key: FlowKey, before: datetime) -> frozenset[str]:
        """Return the entity IDs of unresolved failures that have waited since before this time."""
        return self._failures.overdue(key, before)

    @_alone
    def still_claimed(self, flow_run_id: str, entity_ids: Sequence[str]) -> dict[str, Held]:
        """Return what is known of those of these IDs whose failure this run still holds."""
        return self._failures.still_claimed(flow_run_id, entity_ids)

    @_alone
    def hopeful_flows(self) -> list[FlowKey]:
        """Return the flows with failures that may get better by themselves."""
        return self._failures.hopeful_flows(self._now())

    @_alone
    def count_due(self, key: FlowKey, due: Due) -> int:
        """Return how many of a flow's failures are to be tried again now."""
        return self._failures.count_due(key, due, self._now())

    @_alone
    def pulse(self, key: FlowKey) -> Pulse:
        """Return when a flow first and last moved records."""
        return pulse_of([(one, self._runs[one.run_id].asked.trigger) for one in self._flow_runs.values() if one.key == key])

    @_alone
    def runs(self, project: str | None = None, pipe: str | None = None, limit: int = 50) -> list[RunRow]:
        """Return the newest runs first, of one project or pipe or of all."""
        wanted = [one for one in self._runs.values() if project in (None, one.project) and pipe in (None, one.pipe)]
        wanted.sort(key=lambda one: (one.started_at, one.run_id), reverse=True)
        return [self._run_row(one) for one in wanted[:limit]]

    def _run_row(self, run: Run) -> RunRow:
        flows: dict[str, dict[str, Any]] = {}
        for one in self._flow_runs.values():
            if one.run_id == run.run_id:
                flows[one.key.flow] = flow_shown(
                    one.status, one.counts.as_dict(), one.started_at, one.ended_at, self._now(),
                    error=one.error, cursor_before=one.cursor_before, cursor_after=one.cursor_after, shadow=one.shadow,
                )  # fmt: skip
        status, ended_at = run_end(flows)
        asked = run.asked
        return RunRow(
            run.run_id, run.project, run.pipe, asked.trigger, status, run.started_at, ended_at,
            asked.dag_id, asked.dag_run_id, asked.parent_run_id, asked.pipe_version, flows,
        )  # fmt: skip

    @_alone
    def failures(
        self, project: str, pipe: str, *, flow: str | None = None, states: Sequence[State] = (State.OPEN,)
    ) -> list[FailureRow]:
        """Return a pipe's failures in these states, in the order in which their entities first failed."""
        return self._failures.rows(project, pipe, flow, states)

    @_alone
    def cursor(self, key: FlowKey) -> Cursor | None:
        """Return how far the flow has read, or None when it never has."""
        return self._cursors.get(key)

    @_alone
    def set_cursor(self, key: FlowKey, value: str | None) -> None:
        """Move the flow's cursor by hand, or forget it with None."""
        if value is None:
            self._cursors.pop(key, None)
        else:
            self._cursors[key] = Cursor(value)

    @_alone
    def create_selection(self, project: str, pipe: str, flow: str | None, entity_ids: Sequence[str], created_by: str) -> str:
        """Keep which failures a rerun is to take; returns the selection's ID."""
        selection_id = str(uuid.uuid4())
        self._selections[selection_id] = (flow, tuple(dict.fromkeys(entity_ids)))
        return selection_id

    @_alone
    def selection_ids(self, selection_id: str) -> tuple[str | None, tuple[str, ...]]:
        """Return a selection's flow (None: every flow) and entity IDs."""
        if selection_id not in self._selections:
            raise no_selection(selection_id)
        return self._selections[selection_id]
