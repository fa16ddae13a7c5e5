"""One record's or one batch's way into the destination: found or not, created or updated, and what a lost answer means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from integrator.engine.conflicts import Conflicts
from integrator.engine.ports import Destination
from integrator.errors import (
    LaterError,
    OutcomeUnknownError,
    RecordError,
    RecordRefusedError,
    StopRunError,
    TryAgainError,
    WaitingError,
)
from integrator.mapping.sameness import same
from integrator.model.pipe import Match
from integrator.model.record import Found, Item
from integrator.model.run import Kind

Outcome = Kind | RecordError | TryAgainError
_WRITTEN = frozenset({Kind.CREATED, Kind.UPDATED, Kind.DELETED})
SETTLE_ATTEMPTS = 3
SETTLE_WAIT_S = 0.5


class Writer:
    """Applies a flow's match rule. Nothing here repeats what is not safe to repeat."""

    def __init__(
        self, destination: Destination, match: Match | None, *, batched: bool = False, conflicts: Conflicts | None = None
    ) -> None:
        self._destination = destination
        self._match = match
        self._batched = batched
        self._conflicts = conflicts
        self._last_success = 0.0

    async def write(self, items: Sequence[Item]) -> list[Outcome]:
        """Return one outcome per item, in their order.

        Raises:
            TryAgainError: the destination is away altogether: nothing has succeeded since this was begun.
            LaterError: it wants to be left alone for longer than a worker waits.
            StopRunError: the run cannot go on.
        """
        begun = time.monotonic()
        try:
            outcomes = await self.batch(items) if self._batched else [await self._noted(items[0])]
        except LaterError:
            raise  # nor is a used-up quota, whatever passed before it was
        except TryAgainError as busy:
            if self._last_success < begun:
                raise  # not this record's fault: the whole system is away
            outcomes = [busy] * len(items)
        if any(isinstance(one, Kind) for one in outcomes):
            self._last_success = time.monotonic()
        return outcomes

    async def _noted(self, item: Item) -> Outcome:
        try:
            return await self.one(item)
        except RecordError as error:
            return error

    async def one(self, item: Item) -> Kind:
        """Write one record by the flow's match rule; `item.answer` is then the answer, or the record that was found.

        Raises:
            RecordError: it is not written, or nobody knows.
        """
        return await (self._matched(item, self._match) if self._match else self._destination.create(item))

    async def find(self, item: Item) -> Found | None:
        """Return what the destination has for the record, None also where the flow has no match."""
        return await self._destination.find(item) if self._match else None

    async def _matched(self, item: Item, match: Match) -> Kind:
        found = await self._destination.find(item)
        if found is None:
            if match.missing == "skip":
                return Kind.SKIPPED
            if match.missing == "later":
                raise WaitingError("the destination has no such record yet", code="match_missing")
            if match.missing == "fail":
                raise RecordRefusedError("the destination has no such record, and match.missing is fail", code="match_missing")
            return await self._create(item)
        item.answer = found.record
        if match.found == "leave":
            return Kind.SKIPPED
        if match.found == "fail":
            raise RecordRefusedError("the destination has the record already, and match.found is fail", code="match_found")
        if match.same == "skip" and same(item.mapped, found.record):
            return Kind.SKIPPED
        if self._conflicts is not None and self._conflicts.lost(item, found):
            item.answer = None  # the other side's record stands, and its own flow carries it over
            return Kind.SKIPPED
        return await self._destination.update(item, found)

    async def _create(self, item: Item) -> Kind:
        """Create; when the answer is lost, look whether the record is there before sending it again."""
        for attempt in range(1, SETTLE_ATTEMPTS + 1):
            try:
                return await self._destination.create(item)
            except OutcomeUnknownError:
                await asyncio.sleep(SETTLE_WAIT_S * attempt)
                try:
                    found: Found | None = await self._destination.find(item)
                except (TryAgainError, StopRunError):
                    raise OutcomeUnknownError(
                        "the record was sent, its answer is lost, and the destination cannot be asked for it"
                    ) from None
                if found is not None:
                    item.answer = found.record
                    return Kind.CREATED
        raise OutcomeUnknownError("the record was sent several times, and neither an answer nor the record came back")

    async def batch(self, items: Sequence[Item]) -> list[Outcome]:
        """Write many in one call, in halves where a bad record hides; one outcome per item."""
        try:
            return _ours(await self._destination.write_batch(items))
        except OutcomeUnknownError as lost:
            return [lost] * len(items)
        except RecordRefusedError as refused:
            if len(items) == 1 or not refused.splittable:
                return [refused] * len(items)
        except RecordError as error:
            return [error] * len(items)
        middle = len(items) // 2
        first = await self._half(items[:middle])
        try:
            return [*first, *await self._half(items[middle:])]
        except BaseException:  # the run ends here, and what was written must not be taken for never sent
            for item, outcome in zip(items, first, strict=False):
                item.partly_sent = item.partly_sent or may_be_there(outcome)
            raise

    async def _half(self, items: Sequence[Item]) -> list[Outcome]:
        """Write a half of a batch that was refused; what becomes of it must not hide what became of the other."""
        try:
            return await self.batch(items)
        except TryAgainError as busy:
            return [busy] * len(items)


def may_be_there(outcome: Outcome | None) -> bool:
    """Tell whether something of a record may have been written, by what became of it."""
    return outcome in _WRITTEN or isinstance(outcome, OutcomeUnknownError) or getattr(outcome, "stage", "") == "then"


def refuse_when_all_busy(outcomes: Sequence[Outcome | None]) -> None:
    """Pass unless every one of several calls found its system away: that is the fault of none of their records.

    Raises:
        TryAgainError: it is away.
    """
    if outcomes and isinstance(outcomes[0], TryAgainError) and all(isinstance(one, TryAgainError) for one in outcomes):
        raise next((one for one in outcomes if isinstance(one, LaterError)), outcomes[0])


def _ours(outcomes: Sequence[Kind | Exception]) -> list[Outcome]:
    return [one if isinstance(one, (Kind, RecordError, TryAgainError)) else RecordRefusedError("refused") for one in outcomes]
