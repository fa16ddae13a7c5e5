"""How many calls are in flight: grows while all goes well, halves when the other system asks for less."""

from __future__ import annotations

import asyncio
import time
from collections import deque


class Throttle:
    """A gate that every call of a flow to one system passes.

    It starts at `start` calls, adds one for each success until the first throttling (so it doubles with each round
    trip), and afterwards adds one for each round of successes. A pause holds every call.
    """

    __slots__ = ("_cap", "_eager", "_in_flight", "_limit", "_paused_until", "_waiting", "throttled_s")

    def __init__(self, start: int, cap: int) -> None:
        self._limit = float(min(start, cap))
        self._cap = float(cap)
        self._in_flight = 0
        self._eager = True
        self._paused_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.throttled_s = 0.0

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return int(self._limit)

    async def enter(self) -> None:
        """Wait for a place."""
        while True:
            wait_s = self._paused_until - time.monotonic() if self._paused_until else 0.0
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            elif self._in_flight < int(self._limit):
                self._in_flight += 1
                return
            else:
                turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(turn)
                try:
                    await turn
                except asyncio.CancelledError:
                    self._wake()
                    raise

    def leave(self, *, well: bool) -> None:
        """Give the place back; a call that went well makes room for more."""
        self._in_flight -= 1
        if well and self._limit < self._cap and self._in_flight + 1 >= int(self._limit):
            self._limit = min(self._cap, self._limit + (1.0 if self._eager else 1.0 / self._limit))
        self._wake()

    def _wake(self) -> None:
        places = int(self._limit) - self._in_flight
        while self._waiting and places > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                places -= 1

    def back_off(self, seconds: float) -> None:
        """Hold all calls for so long and halve what may be in flight; many refusals of one moment count once."""
        now = time.monotonic()
        if now >= self._paused_until:
            self._limit = max(1.0, self._limit / 2)
            self._eager = False
        until = max(self._paused_until, now + seconds)
        self.throttled_s += until - max(self._paused_until, now)
        self._paused_until = until
