"""One record's or one batch's way into the destination: found or not, created or updated, and what a lost answer means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from integrator.engine.ports import Destination
from integrator.errors import LaterError, OutcomeUnknownError, RecordError, RecordRefusedError, StopRunError, TryAgainError
from integrator.mapping.casts import text
from integrator.model.pipe import Match
from integrator.model.record import Found, Item
from integrator.model.run import Kind

Outcome = Kind | RecordError | TryAgainError
SETTLE_ATTEMPTS = 3
SETTLE_WAIT_S = 0.5


class Writer:
    """Applies a flow's match rule. Nothing here repeats what is not safe to repeat."""

    def __init__(self, destination: Destination, match: Match | None, *, batched: bool) -> None:
        self._destination = destination
        self._match = match
        self._batched = batched
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
            outcomes = await self._batch(items) if self._batched else [await self._one(items[0])]
        except LaterError:
            raise  # nor is a used-up quota, whatever passed before it was
        except TryAgainError as busy:
            if self._last_success < begun:
                raise  # not this record's fault: the whole system is away
            outcomes = [busy] * len(items)
        if any(isinstance(one, Kind) for one in outcomes):
            self._last_success = time.monotonic()
        return outcomes

    async def _one(self, item: Item) -> Outcome:
        try:
            return await (self._matched(item, self._match) if self._match else self._destination.create(item))
        except RecordError as error:
            return error

    async def _matched(self, item: Item, match: Match) -> Kind:
        found = await self._destination.find(item)
        if found is None:
            if match.missing == "skip":
                return Kind.SKIPPED
            if match.missing == "fail":
                raise RecordRefusedError("the destination has no such record, and match.missing is fail", code="match_missing")
            return await self._create(item)
        if match.found == "leave":
            return Kind.SKIPPED
        if match.found == "fail":
            raise RecordRefusedError("the destination has the record already, and match.found is fail", code="match_found")
        if match.same == "skip" and same(item.mapped, found.record):
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
                    return Kind.CREATED
        raise OutcomeUnknownError("the record was sent several times, and neither an answer nor the record came back")

    async def _batch(self, items: Sequence[Item]) -> list[Outcome]:
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
        return [*await self._half(items[:middle]), *await self._half(items[middle:])]

    async def _half(self, items: Sequence[Item]) -> list[Outcome]:
        """Write a half of a batch that was refused; what becomes of it must not hide what became of the other."""
        try:
            return await self._batch(items)
        except TryAgainError as busy:
            return [busy] * len(items)


def _ours(outcomes: Sequence[Kind | Exception]) -> list[Outcome]:
    return [one if isinstance(one, (Kind, RecordError, TryAgainError)) else RecordRefusedError("refused") for one in outcomes]


def same(wanted: Any, there: Any) -> bool:
    """Tell whether everything that would be written already stands there; members that are only there do not count."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(name in there and same(value, there[name]) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(there, list) and len(wanted) == len(there) and all(map(same, wanted, there))
    if isinstance(wanted, bool) or isinstance(there, bool):
        return wanted is there
    if isinstance(wanted, (int, Decimal)) and isinstance(there, (int, Decimal)):
        return wanted == there
    if isinstance(wanted, (datetime, date)):
        return isinstance(there, str) and text(wanted) == there
    return type(wanted) is type(there) and bool(wanted == there)
