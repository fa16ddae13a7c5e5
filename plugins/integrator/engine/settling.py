"""What became of each record, gathered and noted a few times a second in one transaction each.

Whatever is settled may be noted at once; reading starts again, after a crash, at the first page that is not settled
as a whole, and the marks tell which of its records are.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from integrator.connectors.entity import SYNTHETIC
from integrator.engine.failing import failure_of
from integrator.engine.marks import Marker
from integrator.engine.ports import Journal
from integrator.errors import TryAgainError
from integrator.model.record import Item
from integrator.model.run import Counts, Kind, Notes, OpenedFlowRun
from integrator.wire.message import Meter

NOTE_EVERY_S = 0.25
NOTE_RECORDS = 5000
BEAT_EVERY_S = 10.0
JOURNAL_WAITS_S = (0.2, 1.0, 5.0)
"""Waits before a note is tried again when the journal is busy."""
_METERED = ("api_calls", "retries", "throttled_s", "bytes_read", "bytes_sent")
T = TypeVar("T")


@dataclass(slots=True)
class _OpenPage:
    start: dict[str, Any] | None
    pending: int = 0
    read: bool = False
    intent: int | None = None


class Settling:
    """The accounts of one flow run."""

    def __init__(
        self, journal: Journal, opened: OpenedFlowRun, owner: str, meters: list[Meter], marker: Marker, failed_before: set[str] | None
    ) -> None:  # fmt: skip
        self._journal, self._opened, self._owner, self._meters, self._marker = journal, opened, owner, meters, marker
        self._failed_before = failed_before
        self._noted_meter = Meter()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._notes = Notes()
        self._pages: deque[_OpenPage] = deque()
        self._by_number: dict[int, _OpenPage] = {}
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._last_note = time.monotonic()
        self._noting = asyncio.Lock()
        self.resolving = True  # whether a good outcome settles an earlier failure; not so in a shadow
        self.counts_parts = False
        self.failed_now: set[str] | None = None  # IDs that have failed in this run, where somebody has to know
        self.held = 0  # records whose delete waits for the end of reading
        self.marking = True  # whether a later run may have to know what this one has settled
        self.counts = Counts(**opened.counts.as_dict())

    async def in_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call the journal off the event loop, one call at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(*arguments))

    def open_page(self, number: int, start: dict[str, Any] | None) -> None:
        """Begin to account for a page."""
        page = _OpenPage(start)
        self._pages.append(page)
        self._by_number[number] = page

    async def announce(self, number: int, marks: bytes) -> None:
        """Note which records of a page are about to be sent once and cannot be repeated."""
        if marks:
            self._by_number[number].intent = await self.in_thread(
                self._journal.announce, self._opened.flow_run_id, self._owner, marks
            )

    async def take_back(self, in_doubt: bytes) -> None:
        """Drop the announcements of pages that are not settled, but for these marks."""
        intents = [page.intent for page in self._pages if page.intent is not None]
        if not intents:
            return
        if in_doubt:
            await self.in_thread(self._journal.announce, self._opened.flow_run_id, self._owner, in_doubt)
        self._notes.settled_intents += intents
        await self.finish()

    def hold(self, records: int) -> None:
        """Say that the delete of so many records waits for the end of reading."""
        self.held += records
        self._room.set()

    def expect(self, number: int, records: int) -> None:
        """Say how many of a page's records are on their way, and that the page holds no more."""
        page = self._by_number[number]
        page.pending += records
        page.read = True
        self._advance()

    def settle(
        self,
        number: int,
        entity_id: str,
        outcome: Kind | Exception,
        body: bytes = b"",
        *,
        on_its_way: bool = True,
        resolves: bool = True,
    ) -> None:
        """Note what became of one record.

        Args:
            number: its page.
            entity_id: its ID.
            outcome: what became of it.
            body: what was sent, for its mark.
            on_its_way: whether the page expects it.
            resolves: whether a good outcome settles an earlier failure; not so for a record that was only seen before.
        """
        notes = self._notes
        if isinstance(outcome, Kind):
            notes.counts.count(outcome)
            if resolves and self.resolving and (self._failed_before is None or entity_id in self._failed_before):
                notes.succeeded.append(entity_id)
        else:
            self._failed(entity_id, outcome)
        if self.marking and entity_id[0] != SYNTHETIC:
            notes.marks += self._marker.of(entity_id, body)
        if on_its_way:
            self._by_number[number].pending -= 1
            self._advance()
        if notes.counts.read >= NOTE_RECORDS:
            self._wake.set()

    def settle_all(self, items: Sequence[Item], outcomes: Sequence[Kind | Exception]) -> None:
        """Note what became of records of one page that were sent together."""
        notes, before = self._notes, self._failed_before
        told = list(zip(items, outcomes, strict=True))
        for kind in set(outcomes):
            if isinstance(kind, Kind):
                notes.counts.count(kind, outcomes.count(kind))
        if self.resolving and (before is None or not before.isdisjoint([item.entity_id for item in items])):
            notes.succeeded += [
                item.entity_id
                for item, outcome in told
                if isinstance(outcome, Kind)
                and (before is None or item.entity_id in before)
                and not (item.left_open and outcome is Kind.SKIPPED)
            ]
        if self.counts_parts:
            notes.counts.parts += sum(item.parts for item in items)
            notes.counts.parts_failed += sum(item.parts_failed for item in items)
        for item, outcome in told:
            if not isinstance(outcome, Kind):
                self._failed(item.entity_id, outcome)
        notes.marks += b"".join([item.mark for item in items])
        self._by_number[items[0].page].pending -= len(items)
        self._advance()
        if notes.counts.read >= NOTE_RECORDS:
            self._wake.set()

    def failed_before(self, entity_id: str) -> bool | None:
        """Tell whether an entity has an unresolved failure; None when there are too many to know."""
        return None if self._failed_before is None else entity_id in self._failed_before

    def _failed(self, entity_id: str, error: Exception) -> None:
        failure = failure_of(entity_id, error)
        self._notes.counts.count(failure.kind)
        self._notes.failures.append(failure)
        if self.failed_now is not None:
            self.failed_now.add(entity_id)
        if self._failed_before is not None:
            self._failed_before.add(entity_id)  # a later version of it may succeed in this same run

    def gone(self, entity_id: str) -> None:
        """Note that a record asked for by ID no longer exists at the source."""
        self._notes.counts.count(Kind.SKIPPED)
        self._notes.gone.append(entity_id)

    def skip(self, entity_id: str) -> None:
        """Note a record that another run has taken care of."""
        del entity_id  # that run has resolved its failure
        self._notes.counts.count(Kind.SKIPPED)

    def _advance(self) -> None:
        while self._pages and self._pages[0].read and self._pages[0].pending == 0:
            page = self._pages.popleft()
            if page.intent is not None:
                self._notes.settled_intents.append(page.intent)
            if self._pages:
                self._notes.checkpoint = self._pages[0].start
        if len(self._by_number) > len(self._pages) + 64:
            alive = {id(page) for page in self._pages}
            self._by_number = {n: p for n, p in self._by_number.items() if id(p) in alive}
        self._room.set()

    def open_records(self) -> int:
        """Return how many records are on their way."""
        return sum(page.pending for page in self._pages)

    async def wait_for_room(self, most: int) -> None:
        """Wait until fewer than so many records are on their way, and the journal is not far behind."""
        while self.open_records() - self.held >= most or self._notes.counts.read > 4 * NOTE_RECORDS:
            self._room.clear()
            self._wake.set()
            await self._room.wait()

    async def drained(self) -> None:
        """Wait until no record is on its way but those whose delete waits."""
        while self._pages and (self.open_records() > self.held or not self._pages[-1].read):
            self._room.clear()
            await self._room.wait()

    async def note(self) -> None:
        """Write what is settled by now in one transaction."""
        async with self._noting:
            notes, self._notes = self._notes, Notes()
            self._metered(notes.counts)
            idle = not notes.counts.read and not notes.settled_intents and notes.checkpoint is None
            if idle and time.monotonic() - self._last_note < BEAT_EVERY_S:
                self._unmetered(notes)
                return
            writing = asyncio.create_task(self._write(notes))
            try:
                await asyncio.shield(writing)
            finally:
                # The thread goes on when who waits is cancelled, and what it writes must not be written twice.
                while not writing.done():
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait({writing})
                if writing.cancelled() or writing.exception():
                    self._put_back(notes)  # nothing that is settled may be forgotten; the end of the run tries once more
                else:
                    self.counts.add(notes.counts)
                self._last_note = time.monotonic()
                self._room.set()

    async def _write(self, notes: Notes) -> None:
        for wait_s in (*JOURNAL_WAITS_S, None):
            try:
                return await self.in_thread(self._journal.note, self._opened.flow_run_id, self._owner, notes)
            except TryAgainError:
                if wait_s is None:
                    raise
                await asyncio.sleep(wait_s)
        return None

    def _put_back(self, notes: Notes) -> None:
        newer, self._notes = self._notes, notes
        notes.counts.add(newer.counts)
        notes.failures += newer.failures
        notes.succeeded += newer.succeeded
        notes.gone += newer.gone
        notes.marks += newer.marks
        notes.settled_intents += newer.settled_intents
        notes.checkpoint = newer.checkpoint or notes.checkpoint
        self._unmetered(notes)
        for name in _METERED:
            setattr(notes.counts, name, 0)

    def _unmetered(self, notes: Notes) -> None:
        for name in _METERED:
            value = getattr(notes.counts, name)
            setattr(self._noted_meter, name, getattr(self._noted_meter, name) - value)

    def _metered(self, counts: Counts) -> None:
        for name in _METERED:
            total = sum(getattr(meter, name) for meter in self._meters)
            setattr(counts, name, total - getattr(self._noted_meter, name))
            setattr(self._noted_meter, name, total)

    async def keep_noting(self, on_counts: Callable[[Counts], None] | None = None) -> None:
        """Note a few times a second until cancelled; a journal that fails ends the run."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), NOTE_EVERY_S)
            self._wake.clear()
            await self.note()
            if on_counts is not None:
                on_counts(self.counts)

    async def finish(self) -> None:
        """Note the rest, whatever it is."""
        self._last_note = 0.0
        await self.note()

    def close(self) -> None:
        """Let the journal's thread go."""
        self._thread.shutdown(wait=True)
