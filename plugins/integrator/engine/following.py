"""The calls after a write, in their order. A call that fails is a failure of stage `then`: a rerun makes it, and no other, again."""

from __future__ import annotations

import time
from collections.abc import Sequence

from integrator.authoring.step_plans import ThenStep
from integrator.engine.ports import Destination
from integrator.engine.write import Writer
from integrator.errors import LaterError, OutcomeUnknownError, RecordError, RecordRefusedError, SignInAgainError, TryAgainError
from integrator.model.record import Item

STAGE = "then"


class Following:
    """A flow's calls after the write.

    Args:
        each: per call what the pipe says of it, and where it goes.
    """

    def __init__(self, each: Sequence[tuple[ThenStep, Destination]]) -> None:
        self._each = [(step, Writer(destination, step.destination.match)) for step, destination in each]
        self._last_success = 0.0
        self._away: TryAgainError | SignInAgainError | None = None

    @property
    def any(self) -> bool:
        """Whether there is any call."""
        return bool(self._each)

    @property
    def repeat_safe(self) -> bool:
        """Whether making all calls twice does no more than once."""
        return all(step.repeat_safe for step, _writer in self._each)

    def refuse_when_away(self) -> None:
        """Pass unless a system that calls go to is away: then no more records are written whose calls would all fail.

        Raises:
            TryAgainError: it is away.
            SignInAgainError: it refuses the credential.
        """
        if self._away is not None:
            raise self._away

    def refuse_when_refused(self) -> None:
        """Pass unless a call was refused for its credential: that ends the run, the last record's too.

        Raises:
            SignInAgainError: it was.
        """
        if isinstance(self._away, SignInAgainError):
            raise self._away

    async def follow(self, item: Item, written: Writer, from_call: int = 0) -> None:
        """Make the calls for a record that was written; when that was answered without a body, ask for the record first.

        Raises:
            RecordError, TryAgainError: a call failed; its stage and field say which, and those after it were not made.
        """
        for number, (step, writer) in enumerate(self._each):
            if number < from_call:
                continue
            try:
                if item.answer is None and step.compiled.used.get("_a"):
                    found = await written.find(item)
                    item.answer = found.record if found is not None else None
                await self._call(step, writer, item)
            except (RecordError, TryAgainError) as error:
                error.stage, error.field = STAGE, f"then[{number}]"
                raise

    async def _call(self, step: ThenStep, writer: Writer, item: Item) -> None:
        if step.when is not None and not step.when(
            item.mapped, item.source, item.entity_id, item.looked, item.parent, item.answer
        ):
            return
        if item.in_doubt and not step.repeat_safe:
            raise OutcomeUnknownError("the call may have been made when an earlier attempt was cut off", code="cut_off")
        if item.answer is None and step.compiled.used.get("_a"):  # null would go out, over what may stand there
            raise RecordRefusedError(
                "the call reads `answer`, the write was answered without a body, and no match finds the record (yet)",
                code="no_answer",
            )
        begun, answer = time.monotonic(), item.answer
        try:
            await writer.one(item)
        except TryAgainError as busy:
            if self._last_success < begun or isinstance(busy, LaterError):
                self._away = busy
            raise
        except SignInAgainError as refused:
            self._away = refused  # the record is written; that its call is missing must be kept, or nobody would make it
            raise RecordRefusedError("the call's credential is refused", http_status=401, code="sign_in_again") from None
        finally:
            item.answer = answer  # each call sees the answer to the write, not the one to the call before it
        self._last_success = time.monotonic()


def call_of(field_: str | None) -> int:
    """Return which call failed, from a failure's field (`then[1]`)."""
    digits = (field_ or "").removeprefix("then[").removesuffix("]")
    return int(digits) if digits.isdecimal() else 0
