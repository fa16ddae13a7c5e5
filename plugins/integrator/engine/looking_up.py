"""Values from other records: one call for each distinct key, however many records ask for it at once; kept in worker memory only."""

from __future__ import annotations

import asyncio
import copy
import time
from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, TypeVar

from integrator.authoring.step_plans import LookUpStep
from integrator.engine.ports import LookUp
from integrator.errors import OutcomeUnknownError, RecordError, RecordRefusedError, TryAgainError, WaitingError
from integrator.mapping.compile import Made
from integrator.model.pipe import Create

KEYS_MAX = 50_000
"""Keys that one look-up remembers; the one that was used longest ago goes first."""
SETTLE_ATTEMPTS = 3
SETTLE_WAIT_S = 0.5
STAGE = "look_up"
UNKNOWN = object()
_MISSED = object()
T = TypeVar("T")


class SkipRecord(Exception):  # noqa: N818 - no error: a pipe's `missing: skip`
    """The record is left out, as the pipe says."""


async def all_of(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Wait for all of them, then return their results, or raise the gravest of what they raised: none is left running."""
    each = list(calls)
    if len(each) == 1:
        return [await each[0]]  # without a task of its own
    made = await asyncio.gather(*each, return_exceptions=True)
    raised = [one for one in made if isinstance(one, BaseException)]
    if raised:
        raise min(raised, key=_gravity)
    return made  # type: ignore[return-value]


def _gravity(error: BaseException) -> int:
    order: Sequence[Any] = (RecordError, TryAgainError, SkipRecord)
    return next((at for at, kind in enumerate(order, 1) if isinstance(error, kind)), 0)


class LookingUp:
    """One look-up of a flow.

    Args:
        step: what the pipe says of it.
        port: the connector's side.
        writes: whether what is missing may be created; not so when nothing is to be written.
    """

    def __init__(self, step: LookUpStep, port: LookUp, *, writes: bool = True) -> None:
        self._step, self._port, self._writes = step, port, writes
        self._known: OrderedDict[Any, Any] = OrderedDict()
        self._last_success = 0.0

    def question(self, *scope: Any) -> Any:
        """Return what to ask for a record, None when a value to ask with is empty.

        Args:
            scope: the part, the record that it is of, and what was looked up before.

        Raises:
            RecordError: a value cannot stand in the question.
        """
        try:
            return self._port.question(*scope)
        except RecordError as error:
            raise self._ours(error) from None

    def at_once(self, question: Any) -> Any:
        """Return what this record is given if that is known already, else UNKNOWN.

        Raises:
            RecordError, SkipRecord: as `value` does.
        """
        if question is None:
            return self._without(empty=True)
        known = self._known.get(question, UNKNOWN)
        if known is UNKNOWN or isinstance(known, asyncio.Future):
            return UNKNOWN
        self._known.move_to_end(question)
        return self._without(empty=False) if known is _MISSED else known

    async def value(self, question: Any, *scope: Any) -> Any:
        """Return what this record is given.

        Raises:
            RecordError: there is none, and the pipe says that the record fails (or waits).
            SkipRecord: there is none, and the pipe says that the record is left out.
        """
        try:
            found = await self._once(question, scope)
        except RecordError as error:
            raise self._ours(error) from None
        return self._without(empty=False) if found is _MISSED else found

    async def value_of(self, *scope: Any) -> Any:
        """Return what this record is given, whether it is known already or has to be asked for."""
        question = self.question(*scope)
        value = self.at_once(question)
        return await self.value(question, *scope) if value is UNKNOWN else value

    def _ours(self, error: RecordError) -> RecordError:
        error.stage = STAGE
        error.field = error.field or self._step.name
        return error

    async def _once(self, question: Any, scope: Sequence[Any]) -> Any:
        known = self._known.get(question, self)
        if known is self:
            return await self._first(question, scope)
        self._known.move_to_end(question)
        if isinstance(known, asyncio.Future):
            try:
                return await asyncio.shield(known)
            except (RecordError, TryAgainError) as error:
                raise copy.copy(error) from None  # each record's error is its own
        return known

    async def _first(self, question: Any, scope: Sequence[Any]) -> Any:
        """Ask, while others that have the same question wait for the answer."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._known[question] = answer
        try:
            value = await self._asked(question, scope)
        except BaseException as error:
            self._known.pop(question, None)
            if isinstance(error, asyncio.CancelledError):
                answer.cancel()
            else:
                answer.set_exception(error)
                answer.exception()  # looked at, in case nobody else waits
            raise
        if self._step.spec.file:
            self._known.pop(question, None)  # a file is not held any longer than it takes to hand it on
        else:
            self._known[question] = value
        answer.set_result(value)
        if len(self._known) > KEYS_MAX:
            self._known.popitem(last=False)
        return value

    async def _asked(self, question: Any, scope: Sequence[Any]) -> Any:
        begun = time.monotonic()
        try:
            found = await self._port.ask(question)
        except TryAgainError as busy:
            busy.away = self._last_success < begun
            raise
        self._last_success = time.monotonic()
        if found:
            return self._taken(found)
        if isinstance(self._step.spec.missing, Create):
            return await self._create(question, scope) if self._writes else None
        return _MISSED

    def _taken(self, found: list[dict[str, Any]]) -> Any:
        take = self._step.take
        if self._step.spec.many:
            return [self._kept(take, one) for one in found]
        return self._kept(take, found[0])

    def _kept(self, take: Made | None, record: Any) -> Any:
        """Return what is remembered of a record: without a `take`, only the members that somebody reads."""
        if take is not None:
            return take(record)
        members = self._step.members
        return (
            {name: record[name] for name in members if name in record}
            if members is not None and isinstance(record, dict)
            else record
        )

    async def _create(self, question: Any, scope: Sequence[Any]) -> Any:
        """Create what is missing; when the answer is lost, look whether it is there before anything is sent again.

        What was created and answered for without a word is only looked for: it may be found a little later.
        """
        created = False
        for attempt in range(1, SETTLE_ATTEMPTS + 1):
            try:
                made = None if created else await self._port.create(*scope)
                created = True
            except OutcomeUnknownError:
                made = None
            if isinstance(made, dict):
                value = self._kept(self._step.make_take, made)
                return [value] if self._step.spec.many else value
            if not created or attempt > 1:
                await asyncio.sleep(SETTLE_WAIT_S * attempt)
            found = await self._port.ask(question)
            if found:
                return self._taken(found)
        raise RecordRefusedError(
            "what the look-up misses was created, and neither an answer nor the record came back", code="create_lost"
        )

    def _without(self, *, empty: bool) -> Any:
        name, missing = self._step.name, self._step.spec.missing
        code = "look_up_key_empty" if empty else "look_up_missing"
        said = f"look_up {name}: " + ("the record has no value to look up with" if empty else "nothing is found")
        if missing in (None, "null"):
            return None
        if missing == "skip":
            raise SkipRecord
        if missing == "later":
            raise WaitingError(said, stage=STAGE, code=code, field=name)
        raise RecordRefusedError(said, stage=STAGE, code=code, field=name)


class LookUps:
    """All look-ups of a flow, in their order."""

    def __init__(self, each: Sequence[tuple[LookUpStep, LookingUp]]) -> None:
        self._each = each
        self._side_by_side = len(each) > 1 and not any(step.uses_others for step, _one in each)

    async def look(self, part: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
        """Return name -> what was found.

        Raises:
            RecordError, SkipRecord: see `LookingUp.value`.
        """
        found: dict[str, Any] = {}
        if not self._side_by_side:
            for step, one in self._each:
                found[step.name] = await one.value_of(part, record, found)
            return found
        asked: list[tuple[str, LookingUp, Any]] = []
        for step, one in self._each:
            question = one.question(part, record, found)
            found[step.name] = value = one.at_once(question)
            if value is UNKNOWN:
                asked.append((step.name, one, question))
        if asked:
            values = await all_of(one.value(question, part, record, found) for _name, one, question in asked)
            found |= {name: value for (name, _one, _question), value in zip(asked, values, strict=True)}
        return found
