"""What an answer says of each record: batch results by index, by key, as a whole, or after polling; and error codes."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from integrator.connectors.entity import steps_or_fault
from integrator.errors import MappingError, OutcomeUnknownError, RecordRefusedError, TryAgainError
from integrator.mapping.casts import text_or_none
from integrator.mapping.compile import MISFITS, Made, Tables, compile_expression, compile_shape
from integrator.mapping.projection import encode
from integrator.mapping.shapes import ShapeFault
from integrator.mapping.templates import RequestTemplate, compile_request
from integrator.model import pipe
from integrator.model.record import Item
from integrator.model.run import Kind
from integrator.paging.pager import at
from integrator.wire.message import Answer

_CREATED = Kind.CREATED
_exact = msgspec.json.Decoder(float_hook=Decimal)
CODE = re.compile(r"[\w.-]{1,64}", re.ASCII)
_CODE_PATHS = (("error", "code"), ("errors", 0, "code"), ("error_code",), ("errorCode",), ("error", "type"))


def clean_code(value: Any, sent: bytes) -> str | None:
    """Return another system's error code if it is one: short, plain, and not something of the record that was sent."""
    if type(value) is int:
        return str(value) if abs(value) < 10**9 and str(value).encode() not in sent else None
    if type(value) is not str or not CODE.fullmatch(value):
        return None
    return None if value.encode() in sent else value


def code_of(body: bytes, sent: bytes) -> str | None:
    """Return the error code of a refusal, from the places where systems put one; never text that may echo the record."""
    if not body or len(body) > 1 << 20:
        return None
    try:
        made = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return next((code for path in _CODE_PATHS if (code := clean_code(at(made, path), sent))), None)


@dataclass(slots=True)
class Verdicts:
    """How a batch is written and its answer read, compiled."""

    shape: Made | None
    records: tuple[str | int, ...]
    key: tuple[str | int, ...] | None
    whole: bool
    success: Made | None
    code: Made | None
    poll: RequestTemplate | None
    done: Made | None
    every_s: float = 2.0
    within_s: float = 600.0

    def body(self, items: Sequence[Item]) -> bytes:
        """Return the batch's body."""
        parts = [msgspec.Raw(item.body) for item in items]
        try:
            return encode(parts if self.shape is None else self.shape(parts))
        except ValueError as fault:
            raise MappingError(str(fault), stage="map", field="body") from None

    def read(self, answer: Answer, items: Sequence[Item]) -> list[Kind | Exception]:
        """Return one outcome per item; what the answer does not tell is unknown, never taken for a success."""
        if self.whole and self.success is None:
            return [Kind.CREATED] * len(items)
        try:
            made = _exact.decode(answer.body)
        except (msgspec.MsgspecError, RecursionError):
            return [_untold() for _ in items]
        if self.whole:
            return self._read_whole(made, answer, items)
        results = at(made, self.records) if self.records else made
        if not isinstance(results, list):
            return [_untold() for _ in items]
        if self.key is not None:
            return self._by_key(results, made, answer, items)
        if len(results) != len(items):
            return [_untold() for _ in items]
        return self._by_index(results, made, answer, items)

    def _by_index(self, results: list[Any], made: Any, answer: Answer, items: Sequence[Item]) -> list[Kind | Exception]:
        success, status = self.success and self.success.call, answer.status
        told: list[Kind | Exception] = []
        for result, item in zip(results, items, strict=False):
            try:
                well = success is None or (type(result) is dict and success(result, status, made))
            except MISFITS:
                well = False
            told.append(_CREATED if well else self._refusal(result, made, answer, item))
        return told + [_untold() for _ in items[len(told) :]]

    def _read_whole(self, made: Any, answer: Answer, items: Sequence[Item]) -> list[Kind | Exception]:
        if self._true(self.success, made, made, answer):
            return [Kind.CREATED] * len(items)
        refused = RecordRefusedError("the destination refuses the batch", http_status=answer.status)
        refused.splittable = True
        raise refused

    def _by_key(self, results: list[Any], made: Any, answer: Answer, items: Sequence[Item]) -> list[Kind | Exception]:
        keys = [text_or_none(at(result, self.key)) for result in results]
        told = dict(zip(keys, results, strict=True))
        wanted = [text_or_none(at(item.mapped, self.key)) for item in items]
        often = {key for keyed in (Counter(keys), Counter(wanted)) for key, times in keyed.items() if times > 1}
        outcomes: list[Kind | Exception] = []
        for key, item in zip(wanted, items, strict=True):
            known = key is not None and key in told and key not in often  # a key that repeats tells nothing of either record
            outcomes.append(self._verdict(told[key], made, answer, item) if known else _untold())
        return outcomes

    def _verdict(self, result: Any, made: Any, answer: Answer, item: Item) -> Kind | Exception:
        return _CREATED if self._true(self.success, result, made, answer) else self._refusal(result, made, answer, item)

    def _refusal(self, result: Any, made: Any, answer: Answer, item: Item) -> RecordRefusedError:
        code = None
        if self.code is not None and isinstance(result, dict):
            try:
                code = clean_code(self.code(result, answer.status, made), item.body)
            except MappingError:
                code = None
        return RecordRefusedError("the destination refuses the record", http_status=answer.status, code=code)

    def _true(self, made: Made | None, result: Any, whole: Any, answer: Answer) -> bool:
        if made is None:
            return True
        if not isinstance(result, dict):
            return False
        try:
            return bool(made(result, answer.status, whole))
        except MappingError:
            return False


def _untold() -> OutcomeUnknownError:
    return OutcomeUnknownError("the batch's answer does not say what became of the record", code="not_in_answer")


def compile_verdicts(batch: pipe.Batch, tables: Tables, faults: list[ShapeFault]) -> Verdicts:
    """Compile a batch; faults are added to the list."""
    shape = None
    if batch.body is not None:
        shape = compile_shape(
            batch.body, ["_records"], members=None, named={"records": "_records"}, tables=tables, path=("batch", "body")
        )
    answer = batch.answer
    by = answer.by
    poll = done = None
    every_s, within_s = 2.0, 600.0
    place = ("batch", "answer")
    named = {"answer": "_answer", "status": "_status", "record": "_i"}
    scope: dict[str, Any] = {"members": "_i", "named": named, "tables": tables}
    if isinstance(by, pipe.Poll):
        poll = compile_request(
            by.poll, {}, {}, ["_answer"], members=None, named={"answer": "_answer"}, tables=tables, at=(*place, "by")
        )
        done_named = {"answer": "_answer", "record": "_i"}  # here `status` is the job's own member, not HTTP's
        done = compile_expression(
            by.done, ["_i", "_answer"], members="_i", named=done_named, tables=tables, path=(*place, "by", "done")
        )
        every_s, within_s = by.every.total_seconds(), by.within.total_seconds()
        faults += [*poll.faults, *done.faults]
        by = by.by
    arguments = ["_i", "_status", "_answer"]
    made: list[Made | None] = [
        None if text is None else compile_expression(text, arguments, **scope, path=(*place, name))
        for name, text in (("success", answer.success), ("code", answer.code))
    ]
    faults += [fault for part in (shape, *made) if part for fault in part.faults]
    records, key = steps_or_fault(answer.records, (*place, "records"), faults), None
    if isinstance(by, pipe.Key):
        key = steps_or_fault(by.key, (*place, "by", "key"), faults)
    return Verdicts(shape, records, key, by == "all_or_nothing", made[0], made[1], poll, done, every_s, within_s)


async def poll_until_done(verdicts: Verdicts, accepted: Answer, ask: Callable[[str], Awaitable[Answer]]) -> Answer:
    """Return the answer of a bulk job that has ended.

    Raises:
        OutcomeUnknownError: it does not end in time, or its state cannot be read; it may still be carried out.
    """
    assert verdicts.poll is not None  # noqa: S101 - compiled together
    assert verdicts.done is not None  # noqa: S101
    until = time.monotonic() + verdicts.within_s
    try:
        first = msgspec.json.decode(accepted.body)
        path, _headers = verdicts.poll.fill(first)
        while time.monotonic() < until:
            answer = await ask(path)
            if 200 <= answer.status < 300:
                made = msgspec.json.decode(answer.body)
                if isinstance(made, dict) and verdicts.done(made, first):
                    return answer
            await asyncio.sleep(verdicts.every_s)
    except (msgspec.MsgspecError, RecursionError, MappingError, TryAgainError):
        pass
    raise OutcomeUnknownError("the batch was accepted, and what became of it cannot be learnt", code="job_not_ended")
