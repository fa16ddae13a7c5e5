"""Reads a range of time in windows, each halved for as long as the source gives fewer records for one question than there are."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from integrator.engine.ports import Source
from integrator.errors import SourceBrokenError, WindowFullError
from integrator.mapping.projection import encode
from integrator.mapping.stamps import read_stamp, written
from integrator.model.pipe import Since
from integrator.model.record import Page

RECENT = 100_000
"""Records that are remembered to leave one out that comes twice."""
AHEAD = timedelta(days=1)
"""How far beyond now the last window reads: clocks differ."""


def everything(source: Source, spec: Since | None) -> AsyncIterator[Page]:
    """Return the pages of all that the flow carries, from since.start on; in windows where the source gives only so much at once."""
    begin = read_stamp(spec.start, spec) if spec is not None else None
    if spec is None or begin is None:
        return source.pages(None, None)
    if spec.window is None or not isinstance(begin, datetime):
        return source.pages(written(begin, spec), None)
    return _once(in_windows(source, spec, begin, None))


async def _once(pages: AsyncIterator[Page]) -> AsyncGenerator[Page]:
    """Yield pages without the records that a window which was halved gives again."""
    recent: dict[int, None] = {}
    async for page in pages:
        fresh: list[Any] = []
        for record in page.records:
            try:
                content = hash(encode(record))
            except ValueError:
                content = id(record)  # it has no JSON form, and is looked at each time
            if content not in recent:
                fresh.append(record)
            recent[content] = None
        page.records = fresh
        if len(recent) > 2 * RECENT:
            recent = dict.fromkeys(list(recent)[-RECENT:])
        yield page


async def in_windows(
    source: Source, spec: Since, begin: datetime, start: dict[str, Any] | None, now: datetime | None = None
) -> AsyncIterator[Page]:
    """Yield the pages of one window after the other.

    Args:
        source: what is read.
        spec: its since, with a window.
        begin: where the first window begins.
        start: a checkpoint of a page that was yielded here.
        now: this instant.

    Raises:
        SourceBrokenError: even the smallest window holds more than the source gives for one question.
    """
    assert spec.window is not None  # noqa: S101 - the caller has looked
    end = (now or datetime.now(UTC)) + AHEAD
    open_ask = None
    waiting: list[tuple[datetime, datetime]] = []
    if start is not None:
        low, high = (datetime.fromisoformat(one) for one in start["window"])
        waiting, open_ask, begin = [(low, high)], start["ask"], high
    smallest = max(2 * spec.precision, timedelta(seconds=1))
    while waiting or begin < end:
        if not waiting:
            waiting, begin = [(begin, begin + spec.window)], begin + spec.window
        low, high = waiting.pop()
        try:
            async for page in source.pages(written(low, spec), open_ask, written(high, spec)):
                if page.start is not None:
                    page.start = {"window": [low.isoformat(), high.isoformat()], "ask": page.start}
                yield page
        except WindowFullError as full:
            if high - low <= smallest:
                raise SourceBrokenError(f"{full}; and more than that changed within {smallest.total_seconds():g} s") from None
            middle = low + (high - low) / 2
            waiting += [(middle, high), (low, middle)]
        open_ask = None
