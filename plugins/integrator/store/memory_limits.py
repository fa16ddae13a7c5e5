"""The twin in memory of the table of limits: the same decisions, for one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from integrator.model.limit import Ask, Grant
from integrator.store.limit_rules import State, decide, give_back, pause


class MemoryLimits:
    """Fits `wire.limits.Limits`; its methods say in `store.limits.SqlLimits` what they do.

    Args:
        now: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._kept: dict[str, State] = {}
        self._lock = Lock()

    def take(self, ask: Ask) -> Grant:
        """Return what the asker gets, and keep it."""
        with self._lock:
            self._kept[ask.credential], grant = decide(self._kept.get(ask.credential, {}), ask, self._now())
            return grant

    def pause(self, credential: str, seconds: float) -> None:
        """Hold all calls with a credential for so long, bounded to an hour."""
        with self._lock:
            self._kept[credential] = pause(self._kept.get(credential, {}), seconds, self._now())

    def give_back(self, ask: Ask, unused: tuple[float, ...]) -> None:
        """Note that a holder has gone, and which of its starts it leaves."""
        with self._lock:
            self._kept[ask.credential] = give_back(self._kept.get(ask.credential, {}), ask, unused, self._now())

    def forget(self, credential: str) -> None:
        """Forget how far a credential has been used, and its pause."""
        with self._lock:
            self._kept.pop(credential, None)
