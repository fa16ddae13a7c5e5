"""Runs a coroutine to its end on the fastest loop there is; SIGINT and SIGTERM end it in good order."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
COLLECT_AFTER = 50_000
"""Objects made before the garbage collector looks at the young ones again; a page of records is some thousands."""


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run and return its result. A first signal cancels the work, which then settles what is in flight.

    Raises:
        asyncio.CancelledError: a signal ended it.
    """
    with calm_collector(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_cancellable(work))


@contextmanager
def calm_collector() -> Iterator[None]:
    """Let the garbage collector look less often and not at what was there before: neither records nor pipes form cycles.

    With its usual threshold it walks all imported modules again and again, a third of the time that moving takes.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


async def _cancellable(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.getsignal(number) for number in signals}
    for number in signals:
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])  # an Airflow task has handlers of its own


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # a platform without it
        return None
    return uvloop.new_event_loop
