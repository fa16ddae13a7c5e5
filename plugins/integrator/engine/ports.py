"""What the engine needs from outside, as shapes. Whoever fits may be handed in; `wiring` decides who."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from integrator.model.record import Found, Held, Item, Page
from integrator.model.run import (
    Cursor,
    FlowKey,
    Kind,
    Notes,
    OpenedFlowRun,
    RunKey,
    Selection,
    Status,
)


class Journal(Protocol):
    """Where runs and failures are written. Blocking; the engine calls it from one thread of its own.

    Every method is one transaction. Methods that take `owner` raise TakenOverError when another attempt
    has taken the flow run over in the meantime (the fence against a worker that was believed dead).
    """

    def open_flow_run(self, key: FlowKey, run: RunKey, owner: str) -> OpenedFlowRun:
        """Open a flow run under its run, or take up the unfinished one of the same run.

        A run is found by Airflow's (dag_id, dag_run_id), else by run_id; it is created when missing. An
        unfinished flow run of the same run is resumed with its counts, checkpoint and marks; a finished one
        is left alone and a new flow run is opened (a cleared task). Unfinished flow runs of the same flow
        under *other* runs whose heartbeat is old are closed as failed. Marks left by earlier flow runs of this
        flow come back as inherited.
        """

    def announce(self, flow_run_id: str, owner: str, marks: bytes) -> int:
        """Note, before sending, which records are about to be sent once and cannot be repeated; returns a number."""

    def note(self, flow_run_id: str, owner: str, notes: Notes) -> None:
        """Write counts, failed IDs, resolved IDs, marks and checkpoint together, and renew the heartbeat."""

    def beat(self, flow_run_id: str, owner: str) -> None:
        """Renew the heartbeat and the leases of a rerun."""

    def open_failure_ids(self, key: FlowKey, limit: int) -> set[str] | None:
        """Return the entity IDs of unresolved failures, or None when there are more than `limit`."""

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
        """End a flow run; moves the cursor when one is given; drops the flow's marks unless they are to be kept."""

    def claim(
        self, key: FlowKey, flow_run_id: str, owner: str, selection: Selection, limit: int, *, repeatable: bool
    ) -> list[str]:
        """Lease up to `limit` failures for this rerun and return their entity IDs; an empty list means no more.

        Takes `open` ones, and `retrying` ones whose lease has ended. With `repeatable` false, a failure whose
        earlier rerun died (its lease ended) is made OutcomeUnknownError instead of being sent again, and
        OutcomeUnknownError is only taken when the selection names it by ID or error class.
        A selection that waits takes those in state `waiting` instead; one by ID takes both.
        A failure is taken once by a flow run.
        """

    def overdue(self, key: FlowKey, before: datetime) -> frozenset[str]:
        """Return the entity IDs of unresolved failures that have waited since before this time."""

    def still_claimed(self, flow_run_id: str, entity_ids: Sequence[str]) -> dict[str, Held]:
        """Return what is known of those of these IDs whose failure this run still holds; another may have written one meanwhile."""


class Source(Protocol):
    """Where a flow's records come from."""

    def pages(self, since: Any, start: dict[str, Any] | None, until: Any = None) -> AsyncIterator[Page]:
        """Yield pages, from the beginning or from a checkpoint. Source: the connector's documentation.

        Raises:
            WindowFullError: the source gives fewer records for one question than there are.
        """

    def rows(self, entity_id: str) -> AsyncIterator[Page]:
        """Yield all rows of one key, read afresh, for a flow that combines rows."""

    def by_ids(self, entity_ids: Sequence[str]) -> AsyncIterator[Page]:
        """Yield these records, read afresh; a page names the IDs that are gone or could not be read."""

    async def close(self) -> None:
        """Give connections back."""


class Destination(Protocol):
    """Where a flow's records go."""

    async def find(self, item: Item) -> Found | None:
        """Look the record up by the flow's match rule."""

    async def create(self, item: Item) -> Kind:
        """Write a record that is not there yet."""

    async def update(self, item: Item, found: Found) -> Kind:
        """Write over the record that was found."""

    async def delete(self, item: Item, found: Found | None) -> Kind:
        """Delete the record; skipped when it is not there."""

    def deleted(self, item: Item, found: Found) -> bool:
        """Tell whether the record that was found is one that was deleted softly before."""

    async def write_batch(self, items: Sequence[Item]) -> list[Kind | Exception]:
        """Write many in one call; one outcome per item, in their order."""

    async def close(self) -> None:
        """Give connections back."""


class LookUp(Protocol):
    """Where a look-up's values come from."""

    def question(self, *scope: Any) -> Any:
        """Return what to ask for a record, something that can be compared; None when a value to ask with is empty."""

    async def ask(self, question: Any) -> list[dict[str, Any]]:
        """Return what is found."""

    async def create(self, *scope: Any) -> Any:
        """Create what is missing; returns the answer."""


class Console(Protocol):
    """Where a pipe's calls are logged while its user wants that. Blocking, and never raises."""

    takes_lines: bool
    """Whether it takes the pipe's own lines, once it has begun."""

    def begin(self, project: str, pipe: str, run_id: str, flow: str) -> None:
        """Begin, if it is switched on now."""

    def line(self, text: str, entity_id: str | None, values: bytes) -> None:
        """Take a line of the pipe's own; values are JSON."""

    def close(self) -> None:
        """Flush, within a bounded time."""


class Closes(Protocol):
    """Holds connections."""

    async def close(self) -> None:
        """Give them back."""
