"""Runs a coroutine to its end on the fastest loop there is; SIGINT and SIGTERM end it in good order."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run and return its result. A first signal cancels the work, which then settles what is in flight.

    Raises:
        asyncio.CancelledError: a signal ended it.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_cancellable(work))


async def _cancellable(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    for number in signals:
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # a platform without it
        return None
    return uvloop.new_event_loop
