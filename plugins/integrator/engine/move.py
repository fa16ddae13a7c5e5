"""The loop: read a page ahead, map, send through a bounded queue, settle, note. One flow, one run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from integrator.authoring.planning import FlowPlan
from integrator.connectors.entity import reader
from integrator.engine.edge import Edge
from integrator.engine.ending import comes_again, judge, ours
from integrator.engine.marks import Marker
from integrator.engine.ports import Destination, Journal, Source
from integrator.engine.settling import Settling
from integrator.engine.sorting import Sorter
from integrator.engine.write import Writer
from integrator.errors import (
    AccessError,
    ConfigError,
    IntegratorError,
    SignInAgainError,
    TakenOverError,
    TryAgainError,
)
from integrator.model.record import Item, Page
from integrator.model.run import Counts, Cursor, FlowReport, OpenedFlowRun, RunKey, Selection, Status
from integrator.wire.message import Meter

GRACE_S = 20.0
"""How long calls in flight may still take once a run has to end."""
NOT_CARRIED_OUT = (TryAgainError, SignInAgainError, AccessError, ConfigError)
"""Errors of a write after which nothing of it can have been done at the other side."""
CLAIM = 500  # failures leased at a time
OPEN_IDS_MAX = 50_000


@dataclass(slots=True)
class OpenFlow:
    """A flow with both its ends open."""

    plan: FlowPlan
    source: Source
    destination: Destination
    meters: list[Meter] = field(default_factory=list)
    in_flight_max: int = 64

    async def close(self) -> None:
        """Give connections back."""
        await self.source.close()
        await self.destination.close()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run was asked to do, beside moving what is new."""

    full: bool = False
    since: str | None = None
    entity_ids: tuple[str, ...] | None = field(default=None, repr=False)
    selection: Selection | None = None
    last_try: bool = True
    """Whether nobody will try again after a TryAgainError; if somebody will, the flow run is left unfinished for them."""

    later_s: float = 0.0
    """Longest wait of a LaterError after which somebody takes the flow run up again, at the last try too."""

    @property
    def few(self) -> bool:
        """Whether single records are asked for, so that neither the cursor nor other runs' marks are touched."""
        return self.selection is not None or self.entity_ids is not None


class Moving:
    """One flow run."""

    def __init__(
        self, flow: OpenFlow, journal: Journal, owner: str, hash_key: bytes, on_counts: Callable[[Counts], None] | None = None
    ) -> None:
        self._flow, self._journal, self._owner = flow, journal, owner
        self._marker = Marker(hash_key)
        self._on_counts = on_counts
        self._batch = flow.plan.spec.destination.batch
        self._writer = Writer(flow.destination, flow.plan.spec.destination.match, batched=self._batch is not None)
        self._queue: asyncio.Queue[list[Item]] = asyncio.Queue(maxsize=2 * flow.in_flight_max)
        self._senders: set[asyncio.Task[None]] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._on_way: set[str] = set()
        self._begun: dict[str, bytes] = {}  # entity ID -> mark of records in a call whose outcome is not known
        self._failure: asyncio.Future[None]
        self._settling: Settling

    async def run(self, run: RunKey, asked: Asked) -> FlowReport:
        """Move the flow's records and return what came of it.

        Raises:
            TryAgainError: the system is away; with `last_try` false the flow run waits to be taken up again.
            StopRunError, ConfigError: the run has ended; what is known is kept.
        """
        began, started_at, plan = time.monotonic(), datetime.now(UTC), self._flow.plan
        opened = self._journal.open_flow_run(plan.key, run, self._owner)
        before = self._journal.open_failure_ids(plan.key, OPEN_IDS_MAX)
        self._settling = Settling(self._journal, opened, self._owner, self._flow.meters, self._marker, before)
        self._settling.marking = not asked.few
        try:
            edge = self._edge(opened, asked)
            await self._until_settled(self._pages(opened, asked, edge), Sorter(plan, opened, self._settling, self._marker, edge))
            cursor = edge.moved(min(started_at, opened.started_at)) if edge is not None else None
            status = judge(self._settling.counts, plan.spec.tolerate)
            await self._close(opened, status, None, cursor, keep_marks=asked.few)
        except TakenOverError:
            raise
        except BaseException as fault:  # noqa: BLE001 - whatever ends a run is noted, then raised
            await self._take_back()
            if not comes_again(fault, last_try=asked.last_try, later_s=asked.later_s):
                status = Status.CANCELLED if isinstance(fault, asyncio.CancelledError) else Status.FAILED
                await self._close(opened, status, fault, None, keep_marks=asked.few or not plan.repeat_safe)
            raise ours(fault) from None
        finally:
            self._settling.close()
        old = None if opened.cursor is None else opened.cursor.value
        seconds = time.monotonic() - began
        return FlowReport(
            opened.run_id, opened.flow_run_id, status, self._settling.counts, seconds, old, cursor.value if cursor else old
        )

    async def _take_back(self) -> None:
        """Take back what was announced and never sent; only calls that were cut off, or answered beyond reading, stay in doubt."""
        with suppress(IntegratorError):  # a journal that fails keeps the announcements, which is the careful reading
            await self._settling.take_back(b"".join(self._begun.values()))

    def _edge(self, opened: OpenedFlowRun, asked: Asked) -> Edge | None:
        spec = self._flow.plan.spec.source.since
        if spec is None or asked.few:
            return None
        return Edge(spec, opened.cursor, self._marker, since=asked.since, full=asked.full)

    async def _close(
        self, opened: OpenedFlowRun, status: Status, fault: BaseException | None, cursor: Cursor | None, *, keep_marks: bool
    ) -> None:
        error = None if fault is None else type(fault).__name__
        await self._settling.in_thread(
            lambda: self._journal.close_flow_run(
                opened.flow_run_id, self._owner, status, error=error, cursor=cursor, keep_marks=keep_marks
            )
        )

    async def _pages(self, opened: OpenedFlowRun, asked: Asked, edge: Edge | None) -> AsyncGenerator[Page]:
        """Yield the pages that were asked for: failures, a few IDs, or what is new."""
        source, plan = self._flow.source, self._flow.plan
        if asked.selection is not None:
            while ids := await self._settling.in_thread(self._claim, opened, asked.selection):
                async for page in source.by_ids(ids):
                    yield await self._still_wanted(opened, page)
        elif asked.entity_ids is not None:
            async for page in source.by_ids(list(dict.fromkeys(asked.entity_ids))):
                yield page
        else:
            # Without a repeatable write, the next run must know every record at the cursor's edge, so all are read again.
            start = opened.checkpoint if plan.repeat_safe or edge is None else None
            async for page in source.pages(edge.bound() if edge is not None else None, start):
                yield page

    def _claim(self, opened: OpenedFlowRun, selection: Selection) -> list[str]:
        plan = self._flow.plan
        return self._journal.claim(plan.key, opened.flow_run_id, self._owner, selection, CLAIM, repeatable=plan.repeat_safe)

    async def _still_wanted(self, opened: OpenedFlowRun, page: Page) -> Page:
        """Leave out records that another run has written since they were claimed: theirs is the newer state."""
        identify = reader(self._flow.plan.spec.source.entity_id)
        ids = [identify(record) for record in page.records]
        wanted = await self._settling.in_thread(self._journal.still_claimed, opened.flow_run_id, ids)
        page.records = [record for one, record in zip(ids, page.records, strict=True) if one in wanted]
        for one in ids:
            if one not in wanted:
                self._settling.skip(one)
        return page

    async def _until_settled(self, pages: AsyncGenerator[Page], sorter: Sorter) -> None:
        """Run reading, sending and noting side by side until all is settled, or one of them fails."""
        self._failure = asyncio.get_running_loop().create_future()
        noting = asyncio.create_task(self._settling.keep_noting(self._on_counts))
        moving = asyncio.create_task(self._read_and_send(pages, sorter))
        try:
            done, _ = await asyncio.wait({noting, moving, self._failure}, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            moving.cancel()
            await self._let_senders_end()
            noting.cancel()
            await asyncio.gather(moving, noting, return_exceptions=True)
            if self._failure.done() and not self._failure.cancelled():
                self._failure.exception()  # looked at, so that nobody logs it
            await pages.aclose()
            await self._settling.finish()

    async def _read_and_send(self, pages: AsyncGenerator[Page], sorter: Sorter) -> None:
        settling, number = self._settling, 0
        ahead = asyncio.ensure_future(anext(pages, None))
        try:
            while (page := await ahead) is not None:
                ahead = asyncio.ensure_future(anext(pages, None))
                settling.open_page(number, page.start)
                items = sorter.sort(page, number)
                for entity_id, error in page.broken.items():
                    settling.settle(number, entity_id, error, on_its_way=False)
                for entity_id in page.gone:
                    settling.gone(entity_id)
                if settling.marking and not self._flow.plan.repeat_safe:
                    await settling.announce(number, b"".join([item.mark for item in items]))
                settling.expect(number, len(items))
                size, page.records = len(page.records), []
                await self._put_all(items)
                await settling.wait_for_room(
                    max(2 * size, 2 * self._flow.in_flight_max * (self._batch.size if self._batch else 1))
                )
                number += 1
            await settling.drained()
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    async def _put_all(self, items: list[Item]) -> None:
        size = self._batch.size if self._batch else 1
        ids = {item.entity_id for item in items}
        if len(ids) == len(items) and self._on_way.isdisjoint(ids):
            self._on_way |= ids
            for at in range(0, len(items), size):
                await self._put(items[at : at + size])
            return
        unit: list[Item] = []
        for item in items:
            if item.entity_id in self._on_way:
                # The same record again while an older state of it is being sent: the older one goes first.
                await self._put(unit)
                unit = []
                while item.entity_id in self._on_way:  # noqa: ASYNC110 - too rare for an event of its own
                    await asyncio.sleep(0.005)
            self._on_way.add(item.entity_id)
            unit.append(item)
            if len(unit) == size:
                await self._put(unit)
                unit = []
        await self._put(unit)

    async def _put(self, unit: list[Item]) -> None:
        if not unit:
            return
        if self._queue.qsize() >= len(self._senders) - len(self._sending) and len(self._senders) < self._flow.in_flight_max:
            self._senders.add(asyncio.create_task(self._send()))
        await self._queue.put(unit)

    async def _send(self) -> None:
        """Take units off the queue and write them, until told to end."""
        me: Any = asyncio.current_task()
        settle_all, queue = self._settling.settle_all, self._queue
        while not self._failure.done():
            unit = await queue.get()
            self._sending.add(me)
            self._begun.update((item.entity_id, item.mark) for item in unit)
            try:
                outcomes = await self._writer.write(unit)
                self._end_of(unit)
                self._on_way.difference_update([item.entity_id for item in unit])
                settle_all(unit, outcomes)
            except asyncio.CancelledError:
                raise
            except BaseException as fault:  # noqa: BLE001 - it ends the run, which raises it
                if isinstance(fault, NOT_CARRIED_OUT):
                    self._end_of(unit)
                if not self._failure.done():
                    self._failure.set_exception(fault)
            finally:
                self._sending.discard(me)

    def _end_of(self, unit: list[Item]) -> None:
        for item in unit:
            self._begun.pop(item.entity_id, None)

    async def _let_senders_end(self) -> None:
        """Let calls in flight come to their answer; a call that is cut off would leave a record in doubt."""
        if not self._failure.done():
            self._failure.cancel()
        for task in self._senders - self._sending:
            task.cancel()
        if self._sending:
            await asyncio.wait(set(self._sending), timeout=GRACE_S)
        for task in self._senders:
            task.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
