"""Ending whole families of processes: each part leads a session, and whatever it starts stays in that session.

Airflow gives every task a process group of its own, so a signal to a part's group would miss its tasks.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable

import psutil  # type: ignore[import-untyped]

GRACE_S = 8.0
"""How long processes may take to end by themselves."""


def members(sessions: Iterable[int]) -> list[int]:
    """Return the processes of these sessions that still run."""
    wanted = set(sessions)
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(pid) in wanted and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


def end(sessions: Iterable[int], grace_s: float = GRACE_S) -> None:
    """Ask every process of these sessions to end, and after the grace kill what is left."""
    wanted = set(sessions)
    # The leaders first: a part that ends in order also ends its tasks in order.
    _signal(sorted(wanted), signal.SIGTERM)
    until = time.monotonic() + grace_s
    asked_all = time.monotonic() + grace_s / 2
    while left := members(wanted):
        if time.monotonic() > until:
            _signal(left, signal.SIGKILL)
        elif time.monotonic() > asked_all or not wanted & set(left):
            _signal(left, signal.SIGTERM)
            asked_all = until
        time.sleep(0.1)


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
