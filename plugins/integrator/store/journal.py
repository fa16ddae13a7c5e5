"""The journal in a SQL database: where runs and failures are written. Every method is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Engine

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
from integrator.store import failures, flow_runs, reading, upkeep
from integrator.store.database import reading as reads
from integrator.store.database import writing
from integrator.store.rules import utc_now


class SqlJournal:
    """Fits `engine.ports.Journal`, and reads for the doors.

    Every method raises TryAgainError when the database is locked or away, and StopRunError when it refuses.

    Args:
        engine: of `store.database.open_engine`; its tables are there (`store.database.upgrade`).
        stale_after_s: seconds without a sign of life after which a flow run is taken to be dead.
        now: the clock, aware UTC.
    """

    def __init__(self, engine: Engine, *, stale_after_s: float, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._stale_after_s = stale_after_s
        self._now = now

    def open_flow_run(self, key: FlowKey, run: RunKey, owner: str) -> OpenedFlowRun:
        """Open a flow run, or take up the unfinished one of the same run.

        Raises:
            ConfigError: another run is moving this flow's records.
        """
        with writing(self._engine) as c:
            return flow_runs.open_flow_run(c, key, run, owner, self._now(), self._stale_after_s)

    def announce(self, flow_run_id: str, owner: str, marks: bytes) -> int:
        """Note what is about to be sent and cannot be repeated; returns the announcement's number.

        Raises:
            TakenOverError: another attempt owns the flow run.
        """
        with writing(self._engine) as c:
            underway = flow_runs.sign_of_life(c, flow_run_id, owner, self._now())
            return flow_runs.add_marks(c, underway, flow_runs.ANNOUNCED, bytes(marks))

    def note(self, flow_run_id: str, owner: str, notes: Notes) -> None:
        """Write what became of records. An ID that both failed and succeeded is kept as failed.

        Raises:
            TakenOverError: another attempt owns the flow run.
        """
        now = self._now()
        with writing(self._engine) as c:
            underway = flow_runs.sign_of_life(c, flow_run_id, owner, now, notes.counts, notes.checkpoint)
            failures.note(c, underway, notes.failures, now)
            failed = {failure.entity_id for failure in notes.failures}
            failures.resolve(c, underway, set(notes.succeeded) - failed)
            failures.mark_gone(c, underway, set(notes.gone) - failed)
            if notes.marks:
                flow_runs.add_marks(c, underway, flow_runs.SETTLED, bytes(notes.marks))
            if notes.settled_intents:
                flow_runs.drop_announcements(c, flow_run_id, notes.settled_intents)

    def beat(self, flow_run_id: str, owner: str) -> None:
        """Give a sign of life, which renews a rerun's leases too.

        Raises:
            TakenOverError: another attempt owns the flow run.
        """
        with writing(self._engine) as c:
            flow_runs.sign_of_life(c, flow_run_id, owner, self._now())

    def open_failure_ids(self, key: FlowKey, limit: int) -> set[str] | None:
        """Return the entity IDs that a success would resolve, or None when there are more than `limit`."""
        with reads(self._engine) as c:
            return failures.unresolved_ids(c, key, limit)

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
        """End a flow run; moves the cursor when one is given.

        Raises:
            TakenOverError: another attempt owns the flow run.
            StopRunError: its numbers do not add up; it stays open.
        """
        now = self._now()
        with writing(self._engine) as c:
            underway = flow_runs.sign_of_life(c, flow_run_id, owner, now)
            flow_runs.close_flow_run(c, underway, flow_runs.Ending(status, error, cursor, keep_marks), now)

    def claim(
        self, key: FlowKey, flow_run_id: str, owner: str, selection: Selection, limit: int, *, repeatable: bool
    ) -> list[str]:
        """Take up to `limit` failures for this rerun; an empty list means no more.

        A flow run asks with one selection from first to last: it goes through the failures once, and never back.

        Raises:
            TakenOverError: another attempt owns the flow run.
        """
        now = self._now()
        with writing(self._engine) as c:
            underway = flow_runs.sign_of_life(c, flow_run_id, owner, now)
            return failures.claim(c, underway, selection, limit, now, repeatable=repeatable)

    def overdue(self, key: FlowKey, before: datetime) -> frozenset[str]:
        """Return the entity IDs of unresolved failures that have waited since before this time."""
        with reads(self._engine) as c:
            return failures.overdue(c, key, before)

    def still_claimed(self, flow_run_id: str, entity_ids: Sequence[str]) -> dict[str, Held]:
        """Return what is known of those of these IDs whose failure this run still holds."""
        with reads(self._engine) as c:
            return failures.still_claimed(c, flow_run_id, entity_ids)

    def hopeful_flows(self) -> list[FlowKey]:
        """Return the flows with failures that may get better by themselves."""
        now = self._now()
        with reads(self._engine) as c:
            return upkeep.hopeful_flows(c, now)

    def count_due(self, key: FlowKey, due: Due) -> int:
        """Return how many of a flow's failures are to be tried again now."""
        now = self._now()
        with reads(self._engine) as c:
            return upkeep.count_due(c, key, due, now)

    def pulse(self, key: FlowKey) -> Pulse:
        """Return when a flow first and last moved records."""
        with reads(self._engine) as c:
            return upkeep.pulse(c, key)

    def runs(self, project: str | None = None, pipe: str | None = None, limit: int = 50) -> list[RunRow]:
        """Return the newest runs first, of one project or pipe or of all."""
        with reads(self._engine) as c:
            return reading.run_rows(c, project, pipe, limit, self._now())

    def failures(
        self, project: str, pipe: str, *, flow: str | None = None, states: Sequence[State] = (State.OPEN,)
    ) -> list[FailureRow]:
        """Return a pipe's failures in these states, in the order in which their entities first failed."""
        with reads(self._engine) as c:
            return reading.failure_rows(c, project, pipe, flow, states)

    def cursor(self, key: FlowKey) -> Cursor | None:
        """Return how far the flow has read, or None when it never has."""
        with reads(self._engine) as c:
            return flow_runs.read_cursor(c, key)

    def set_cursor(self, key: FlowKey, value: str | None) -> None:
        """Move the flow's cursor by hand, or forget it with None; either way nothing counts as seen there."""
        with writing(self._engine) as c:
            if value is None:
                flow_runs.clear_cursor(c, key)
            else:
                flow_runs.write_cursor(c, key, Cursor(value), self._now())

    def create_selection(self, project: str, pipe: str, flow: str | None, entity_ids: Sequence[str], created_by: str) -> str:
        """Keep which failures a rerun is to take; returns the selection's ID."""
        with writing(self._engine) as c:
            return reading.add_selection(c, project, pipe, flow, entity_ids, created_by, self._now())

    def selection_ids(self, selection_id: str) -> tuple[str | None, tuple[str, ...]]:
        """Return a selection's flow (None: every flow) and entity IDs.

        Raises:
            ConfigError: there is no such selection.
        """
        with reads(self._engine) as c:
            return reading.read_selection(c, selection_id)
