"""The loop: read a page ahead, map, send through a bounded queue, settle, note. One flow, one run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from integrator.engine.absent import Absent
from integrator.engine.asking import Asked, Asking
from integrator.engine.edge import Edge
from integrator.engine.ending import comes_again, judge, ours
from integrator.engine.logging_lines import lines_of_functions, with_lines
from integrator.engine.marks import Marker
from integrator.engine.opening import OpenFlow, absent_of, delete_absent, writer_of
from integrator.engine.ports import Journal
from integrator.engine.settling import Settling
from integrator.engine.sorting import Sorter
from integrator.engine.stepping import StepWriter
from integrator.engine.write import Outcome, Writer
from integrator.errors import (
    AccessError,
    ConfigError,
    IntegratorError,
    SignInAgainError,
    TakenOverError,
    TryAgainError,
)
from integrator.model.record import Item, Page
from integrator.model.run import Counts, Cursor, FlowReport, OpenedFlowRun, RunKey, Status

__all__ = ["Asked", "Moving", "OpenFlow"]

GRACE_S = 20.0
"""How long calls in flight may still take once a run has to end."""
NOT_CARRIED_OUT = (TryAgainError, SignInAgainError, AccessError, ConfigError)
"""Errors of a write after which nothing of it can have been done at the other side."""
OPEN_IDS_MAX = 50_000


class Moving:
    """One flow run."""

    def __init__(
        self, flow: OpenFlow, journal: Journal, owner: str, hash_key: bytes, on_counts: Callable[[Counts], None] | None = None
    ) -> None:
        self._flow, self._journal, self._owner = flow, journal, owner
        self._marker = Marker(hash_key)
        self._on_counts = on_counts
        self._batch = flow.plan.spec.destination.batch
        self._writer: Writer | StepWriter
        self._absent: Absent | None = None
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
        opened = self._journal.open_flow_run(plan.key, replace(run, shadow=plan.spec.shadow), self._owner)
        if self._flow.console is not None:
            self._flow.console.begin(plan.key.project, plan.key.pipe, opened.run_id, plan.key.flow)
            plan = self._flow.plan = with_lines(plan, self._flow.console)
        before = self._journal.open_failure_ids(plan.key, OPEN_IDS_MAX)
        self._settling = Settling(self._journal, opened, self._owner, self._flow.meters, self._marker, before)
        self._settling.marking = not asked.few
        self._settling.resolving, self._settling.counts_parts = not plan.spec.shadow, bool(plan.spec.split or plan.combine)
        try:
            edge = self._edge(opened, asked)
            sorter = self._sorter(opened, asked, edge)
            asking = Asking(plan, self._flow.source, self._journal, self._settling, opened, self._owner, edge)
            if isinstance(self._writer, StepWriter) and plan.steps.waits:
                self._writer.overdue = self._journal.overdue(plan.key, started_at - plan.spec.wait_at_most)
            with lines_of_functions(self._flow.console):
                await self._until_settled(asking.pages(asked), sorter)
            moved = edge is not None and not plan.spec.shadow
            cursor = edge.moved(min(started_at, opened.started_at)) if edge is not None and moved else None
            status = judge(self._settling.counts, plan.spec.tolerate)
            await self._close(opened, status, None, cursor, keep_marks=asked.few)
        except TakenOverError:
            raise
        except BaseException as fault:  # noqa: BLE001 - whatever ends a run is noted, then raised
            await self._take_back()
            if not comes_again(fault, last_try=asked.last_try, later_s=asked.later_s):
                status = Status.CANCELLED if isinstance(fault, asyncio.CancelledError) else Status.FAILED
                await self._close(opened, status, fault, None, keep_marks=asked.few or plan.announces)
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

    def _sorter(self, opened: OpenedFlowRun, asked: Asked, edge: Edge | None) -> Sorter:
        """Return what sorts pages, and make what writes their records."""
        plan, absent = self._flow.plan, absent_of(self._flow, self._marker, asked)
        self._writer = writer_of(self._flow, asked, absent)
        safely = not isinstance(self._writer, StepWriter) or self._writer.follows_safely
        of_records = edge if plan.combine is None else None  # where rows are combined, the edge is theirs
        sorter = Sorter(plan, opened, self._settling, self._marker, of_records, absent, follows_safely=safely)
        if not sorter.looks_back:  # a run that goes on where another was cut off does not see all of the source
            self._absent = absent
            self._settling.failed_now = None if absent is None else set()
        return sorter

    def _edge(self, opened: OpenedFlowRun, asked: Asked) -> Edge | None:
        spec = self._flow.plan.spec.source.delta
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
                if (page.short or page.broken) and self._absent is not None:
                    self._absent.blind = True  # what did not come, or could not be combined, is not absent
                items = sorter.sort(page, number)
                for entity_id, error in page.broken.items():
                    settling.settle(number, entity_id, error, on_its_way=False)
                for entity_id in page.gone:
                    settling.gone(entity_id)
                if settling.marking and self._flow.plan.announces and not self._flow.plan.spec.shadow:
                    await settling.announce(number, b"".join([item.mark for item in items]))
                settling.expect(number, len(items))
                size, page.records = len(page.records), []
                await self._put_all(items)
                await settling.wait_for_room(
                    max(2 * size, 2 * self._flow.in_flight_max * (self._batch.size if self._batch else 1))
                )
                number += 1
            await settling.drained()
            if isinstance(self._writer, StepWriter):
                await self._end_steps(self._writer, number)
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    async def _end_steps(self, writer: StepWriter, number: int) -> None:
        """Do what waits for the end of reading: deletes that at_most has to judge, and those of what is absent at the source."""
        self._settling.held = 0
        async for told in writer.release():
            for item, outcome in told:
                self._begun.pop(item.entity_id, None)
                self._settling.settle_all([item], [outcome])
        if self._absent is not None and self._flow.listing is not None:
            self._settling.open_page(number, None)
            self._settling.expect(number, 0)
            failed = set(self._settling.failed_now or ())  # keys that may stand for other records than the source's IDs do
            async for some in delete_absent(self._flow, self._absent):
                for entity_id, outcome in some:
                    self._settling.settle(number, entity_id, outcome, on_its_way=False, resolves=entity_id not in failed)
        await self._settling.drained()

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
                outcomes: Sequence[Outcome | None] = await self._writer.write(unit)
                self._on_way.difference_update([item.entity_id for item in unit])
                if None in outcomes:
                    unit, outcomes = self._without_held(unit, outcomes)
                self._end_of(unit)
                if unit:
                    settle_all(unit, outcomes)  # type: ignore[arg-type]
            except asyncio.CancelledError:
                raise
            except BaseException as fault:  # noqa: BLE001 - it ends the run, which raises it
                if isinstance(fault, NOT_CARRIED_OUT):
                    self._end_of([item for item in unit if not item.partly_sent])
                if not self._failure.done():
                    self._failure.set_exception(fault)
            finally:
                self._sending.discard(me)

    def _without_held(self, unit: list[Item], outcomes: Sequence[Outcome | None]) -> tuple[list[Item], list[Outcome | None]]:
        """Return what can be settled now; the others wait for the end of reading."""
        told = [(item, outcome) for item, outcome in zip(unit, outcomes, strict=True) if outcome is not None]
        self._settling.hold(len(unit) - len(told))
        self._end_of([item for item, outcome in zip(unit, outcomes, strict=True) if outcome is None and not item.partly_sent])
        return [item for item, _ in told], [outcome for _, outcome in told]

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
