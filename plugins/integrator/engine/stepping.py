"""A record's longer way: look-ups, parts, mapping, the write or a delete, and the calls after it."""

from __future__ import annotations

import copy
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from integrator.authoring.planning import FlowPlan
from integrator.engine.absent import Absent
from integrator.engine.following import Following, call_of
from integrator.engine.looking_up import LookUps, SkipRecord, all_of
from integrator.engine.parts import Part, Work, not_busy, outcomes_of, split_up, whole
from integrator.engine.ports import Destination
from integrator.engine.write import Outcome, Writer, may_be_there, refuse_when_all_busy
from integrator.errors import (
    LaterError,
    MappingError,
    RecordError,
    StopRunError,
    TooManyDeletesError,
    TryAgainError,
    WaitedTooLongError,
    WaitingError,
)
from integrator.mapping.compile import MISFITS
from integrator.mapping.projection import encode
from integrator.model.record import Item
from integrator.model.run import Kind

HELD_MAX = 100_000
"""Deletes that wait for the end of reading, so that at_most can be judged by all of them."""
AT_ONCE = 64  # parts of one record


class StepWriter:
    """Takes the place of `Writer` in a flow with steps.

    Args:
        plan: the flow, compiled.
        writer: writes one record, or a batch, by the flow's match rule.
        destination: where deletes go.
        look_ups: the flow's look-ups.
        following: its calls after the write.
        absent: told of every record whose key is known, where the flow deletes what is absent at the source.
        hold: whether deletes wait for the end of reading; not so for records that a person named.
    """

    def __init__(
        self,
        plan: FlowPlan,
        writer: Writer,
        destination: Destination,
        look_ups: LookUps,
        following: Following,
        absent: Absent | None,
        *,
        hold: bool,
    ) -> None:
        self._plan, self._writer, self._destination = plan, writer, destination
        self._look_ups, self._following, self._absent, self._hold = look_ups, following, absent, hold
        batch = plan.spec.destination.batch
        self._batch_size = batch.size if batch else 0
        self.overdue: frozenset[str] = frozenset()  # entity IDs that have waited for as long as they may
        self._last_success = 0.0
        self._held, self._held_of = list[Work](), dict[str, Work]()
        self._held_parts = 0
        self._seen = 0

    @property
    def follows_safely(self) -> bool:
        """Whether the calls after the write may be made twice."""
        return self._following.repeat_safe

    async def write(self, items: Sequence[Item]) -> list[Outcome | None]:
        """Return one outcome per item, in their order; None for one whose delete waits for `release`.

        Raises:
            TryAgainError: a system is away altogether, and nothing of these records was done.
            StopRunError: the run cannot go on.
        """
        self._following.refuse_when_away()
        begun = time.monotonic()
        works = [Work(item) for item in items]
        for item in items:
            self._overtake(item.entity_id)
        await all_of(self.prepare(work) for work in works)
        parts = [part for work in works for part in work.parts if part.outcome is None]
        settled = not_busy(works)
        self._seen += len(parts)
        try:
            await self._write_parts(parts)
        except BaseException:  # the run ends here, and what was written must not be taken for never sent
            for work in works:
                work.item.partly_sent = any(part.item.partly_sent or may_be_there(part.outcome) for part in work.parts)
            raise
        return self._told(works, begun, settled)

    def _told(self, works: list[Work], begun: float, settled: int) -> list[Outcome | None]:
        each = outcomes_of(works)
        busy = [one for one in each if isinstance(one, TryAgainError) and one.stage != "then"]
        quota = any(isinstance(one, LaterError) for one in busy)
        away = any(one.away for one in busy)
        if busy and len(busy) == len(each) - settled and (quota or away or self._last_success < begun):
            raise busy[0]  # not these records' fault: the whole system is away
        told: list[Outcome | None] = []
        for work in works:
            waiting = [part for part in work.parts if part.outcome is None]
            if waiting:
                work.item.partly_sent = len(waiting) < len(work.parts)
                self._held.append(work)
                self._held_of[work.item.entity_id] = work
                self._held_parts += len(waiting)
            told.append(None if waiting else self._whole(work))
        if self._held_parts > HELD_MAX:
            raise StopRunError(f"more than {HELD_MAX:,} records are to be deleted; none was. Is delete.when right?")
        return told

    def _overtake(self, entity_id: str) -> None:
        """Let a delete go that waits, since a later state of its record has come."""
        work = self._held_of.pop(entity_id, None)
        if work is None:
            return
        work.overtaken = work.item.left_open = True  # what became of the later state is what counts
        for part in work.parts:
            if part.outcome is None:
                part.outcome = Kind.SKIPPED
                self._held_parts -= 1

    def _whole(self, work: Work) -> Outcome:
        return whole(work, split=self._plan.steps.split is not None, repeat_safe=self._plan.repeat_safe)

    # -- before the write

    async def prepare(self, work: Work) -> None:
        """Make the record's parts, mapped and encoded; what goes wrong is noted on them."""
        item, split = work.item, self._plan.steps.split
        if split is None:
            work.parts = [Part(item)]
        else:
            try:
                work.parts = split_up(split, item, repeat_safe=self._plan.repeat_safe)
            except RecordError as error:
                work.outcome = error
                self._unseen()
                return
        for start in range(0, len(work.parts), AT_ONCE):
            await all_of(self._make(part, item.source) for part in work.parts[start : start + AT_ONCE])

    async def _make(self, part: Part, record: dict[str, Any]) -> None:
        if part.outcome is not None:
            self._unseen()
            return
        item, mapping = part.item, self._plan.mapping
        try:
            item.looked = await self._look_ups.look(item.source, record)
            try:
                item.mapped = mapping.call(item.source, record, item.looked)
            except MISFITS as misfit:
                raise mapping.misfit(misfit) from None
            try:
                item.body = encode(item.mapped)
            except ValueError as fault:
                raise MappingError(str(fault), stage="map") from None
            if self._absent is not None:
                self._absent.see(item)
        except SkipRecord:
            part.outcome = Kind.SKIPPED
            self._unseen()
        except TryAgainError as busy:
            busy.stage = "look_up"
            part.outcome = busy
            self._unseen()
        except RecordError as error:
            self._unseen()
            part.outcome = self._overdue(error, item)

    def _unseen(self) -> None:
        if self._absent is not None:
            self._absent.blind = True

    def _overdue(self, error: Outcome, item: Item) -> Outcome:
        """Return the error, or another one once what the record waits for should have come."""
        if not isinstance(error, WaitingError) or item.entity_id not in self.overdue:
            return error
        return WaitedTooLongError(
            "what the record waits for has not come within wait_at_most", stage=error.stage, code=error.code, field=error.field
        )

    # -- the write

    async def _write_parts(self, parts: list[Part]) -> None:
        alone = parts
        if self._batch_size:
            alone = [part for part in parts if part.outcome is None and self._is_to_go(part)]
            together = [part for part in parts if part.outcome is None and not part.to_delete]
            for start in range(0, len(together), self._batch_size):
                some = together[start : start + self._batch_size]
                try:
                    outcomes: Sequence[Outcome] = await self._writer.batch([part.item for part in some])
                except TryAgainError as busy:
                    outcomes = [copy.copy(busy) for _part in some]
                for part, outcome in zip(some, outcomes, strict=True):
                    part.outcome = outcome
                if any(isinstance(outcome, Kind) for outcome in outcomes):
                    self._last_success = time.monotonic()
        for start in range(0, len(alone), AT_ONCE):
            await all_of(self._write_one(part) for part in alone[start : start + AT_ONCE])

    def _is_to_go(self, part: Part) -> bool:
        """Tell whether the pipe says that this record is to be deleted."""
        when = self._plan.steps.delete_when
        if when is None:
            return False
        item = part.item
        try:
            part.to_delete = bool(when(item.mapped, item.source, item.entity_id, item.looked, item.parent, None))
        except RecordError as error:
            part.outcome = error
        return part.to_delete

    async def _write_one(self, part: Part) -> None:
        if part.outcome is not None:
            return
        try:
            if part.to_delete or self._is_to_go(part):
                part.outcome = await self._unless_gone(part.item) if self._hold else await self._delete(part.item)
            elif part.outcome is None:
                part.outcome = await self._written(part.item)
                self._last_success = time.monotonic()
        except (RecordError, TryAgainError) as error:
            part.outcome = self._overdue(error, part.item)

    async def _written(self, item: Item) -> Kind:
        held = item.held
        if held is not None and held.stage == "then":
            found = await self._writer.find(item)
            if found is not None:  # the write is done; what is missing are calls after it
                item.answer = found.record
                await self._following.follow(item, self._writer, call_of(held.field))
                return Kind.UPDATED
        # Without a match the write is repeated, which is safe; the calls that were made are not.
        again = held is not None and held.stage == "then" and self._plan.spec.destination.match is None
        kind = await self._writer.one(item)
        if kind in (Kind.CREATED, Kind.UPDATED):
            item.partly_sent = True
            if kind is Kind.CREATED and self._plan.spec.destination.match is not None:
                item.in_doubt = False  # it was not there, so none of its calls was made before
            await self._following.follow(item, self._writer, call_of(held.field) if again and held is not None else 0)
        elif item.follow and item.answer is not None:
            await self._following.follow(item, self._writer)
            return Kind.UPDATED if self._following.any else kind
        return kind

    async def _unless_gone(self, item: Item) -> Kind | None:
        """Return None for a record whose delete is to wait; one that is gone already counts for nothing in at_most."""
        if self._plan.spec.destination.match is None:
            return None
        found = await self._writer.find(item)
        return Kind.SKIPPED if found is None or self._destination.deleted(item, found) else None

    async def _delete(self, item: Item) -> Kind:
        found = await self._writer.find(item)
        if found is None and self._plan.spec.destination.match is not None:
            return Kind.SKIPPED
        return await self._destination.delete(item, found)

    # -- deletes that waited

    @property
    def held(self) -> int:
        """How many records wait for the end of reading."""
        return len(self._held)

    async def release(self) -> AsyncIterator[list[tuple[Item, Outcome]]]:
        """Delete what waited, all or nothing, and yield what became of some of those records at a time.

        Raises:
            SignInAgainError: a call after a write was refused for its credential.
            TryAgainError: the destination is away; nothing was done of those that were not yielded.
        """
        self._following.refuse_when_refused()
        spec = self._plan.spec.destination.delete
        works, self._held, self._held_of = self._held, [], {}
        parts = [part for work in works for part in work.parts if part.outcome is None]
        most = spec.at_most if spec is not None else 0
        allowed = len(parts) <= (most if isinstance(most, int) else most * self._seen)
        self._hold = False
        said = f"{len(parts):,} records are to be deleted, more than delete.at_most allows; none was"
        for start in range(0, len(works), AT_ONCE):
            some = works[start : start + AT_ONCE]
            waiting = [part for work in some for part in work.parts if part.outcome is None]
            for part in () if allowed else waiting:
                part.outcome = TooManyDeletesError(said, code="too_many_deletes")
            for at in range(0, len(waiting) if allowed else 0, AT_ONCE):
                await all_of(self._write_one(part) for part in waiting[at : at + AT_ONCE])
            refuse_when_all_busy([part.outcome for part in waiting])
            told = [(work, self._whole(work)) for work in some]
            yield [(work.item, Kind.SKIPPED if work.overtaken else outcome) for work, outcome in told]
