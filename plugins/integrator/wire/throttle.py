"""How many calls are in flight: grows while all goes well, halves when the other system asks for less."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque

from integrator.errors import LaterError
from integrator.wire.dialects import Told

LEARN_FROM = 3  # calls that must have passed before a refusal, for their number to tell a rate
LEARN_MIN_S = 0.5
"""A system that asks for less is quicker asked again than calls are spaced out."""
LEARN_MARGIN = 1.1
KEEP_S = 30.0
"""How long a learnt spacing is kept as it is; then it shrinks by a tenth each second until the next refusal."""
HOLD_MAX_S = 300.0
UNTOLD_S = 1.0
"""How long calls are held that are not left any more, where no reset was told."""


class Throttle:
    """A gate that every call of a flow to one system passes.

    It starts at `start` calls, adds one for each success until the first throttling (so it doubles with each round
    trip), and afterwards adds one for each round of successes. A pause holds every call. Where answers tell how many
    calls are left until when, no more than those begin; where a refusal tells nothing but how long to wait, what passed
    before it tells how far apart calls should be.

    Args:
        start: calls in flight to begin with.
        cap: most calls in flight.
    """

    __slots__ = (
        "_asked_s", "_cap", "_cycle_s", "_eager", "_end", "_first", "_guarded", "_hold_max_s", "_in_flight", "_learnt_at", "_left",
        "_limit", "_next_at", "_passed", "_paused_until", "_quota", "_resets_at", "_since", "_spacing_s", "_span_s", "_waiting",
        "throttled_s",
    )  # fmt: skip

    def __init__(self, start: int, cap: int) -> None:
        self._limit = float(min(start, cap))
        self._first: float | None = None
        self._cap = float(cap)
        self._hold_max_s = HOLD_MAX_S
        self._in_flight = 0
        self._eager = True
        self._guarded = False  # whether anything but the number in flight may hold a call
        self._paused_until = 0.0
        self._end: LaterError | None = None
        self._left: int | None = None
        self._quota = 0
        self._span_s = self._resets_at = 0.0
        self._passed = 0  # calls that went well since `_since`
        self._since = time.monotonic()
        self._spacing_s = self._next_at = self._learnt_at = 0.0
        self._cycle_s = 0.0  # from there to the end of the wait that a refusal asked for
        self._asked_s = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.throttled_s = 0.0

    def ask_first(self, *, hold_max_s: float) -> None:
        """Let the first call go alone, so that its answer can tell what the others may.

        Args:
            hold_max_s: longest time for which what an answer merely tells may hold calls.
        """
        self._limit, self._first, self._hold_max_s = 1.0, self._limit, hold_max_s

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return int(self._limit)

    async def enter(self) -> None:
        """Wait for a place.

        Raises:
            LaterError: the other system asked for so long a wait that nothing more is sent.
        """
        while True:
            wait_s = self._wait_s() if self._guarded else 0.0
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            elif self._in_flight < int(self._limit):
                self._in_flight += 1
                if self._guarded:
                    self._count()
                return
            else:
                turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(turn)
                try:
                    await turn
                except asyncio.CancelledError:
                    self._wake()
                    raise

    def _wait_s(self) -> float:
        """Return the seconds for which calls are held."""
        if self._end is not None:
            raise self._end
        now = time.monotonic()
        if self._left is not None and now >= self._resets_at:
            self._left, self._resets_at = self._quota, now + self._span_s
        wait_s = max(self._paused_until, self._next_at) - now
        if self._left is not None and self._left <= 0:
            wait_s = max(wait_s, self._resets_at - now)
        return wait_s

    def _count(self) -> None:
        """Count a call that begins against what is left, and against the spacing."""
        if self._left is not None:
            self._left -= 1
        if self._cycle_s:
            self._end_cycle()
        if self._spacing_s:
            now = time.monotonic()
            shrunk = 0.9 ** max(0.0, now - self._learnt_at - KEEP_S)
            self._next_at = max(now, self._next_at) + self._spacing_s * shrunk

    def _end_cycle(self) -> None:
        """Begin anew after a refusal. So many calls passed until then and in the wait: as many may pass in as long a time again."""
        now = time.monotonic()
        if self._asked_s and self._passed >= LEARN_FROM:
            # Once in the time that was asked for is surely not too often, however slow we were for reasons of our own.
            self._spacing_s, self._learnt_at = min(self._cycle_s / self._passed * LEARN_MARGIN, self._asked_s), now
        self._passed, self._since, self._cycle_s = 0, now, 0.0

    def leave(self, *, well: bool) -> None:
        """Give the place back; a call that went well makes room for more."""
        self._in_flight -= 1
        self._passed += well
        if self._first is not None:
            self._limit, self._first = self._first, None
        elif well and self._limit < self._cap and self._in_flight + 1 >= int(self._limit):
            self._limit = min(self._cap, self._limit + (1.0 if self._eager else 1.0 / self._limit))
        self._wake()

    def _wake(self) -> None:
        places = int(self._limit) - self._in_flight
        while self._waiting and places > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                places -= 1

    def back_off(self, seconds: float, *, asked_s: float = 0.0) -> None:
        """Hold all calls for so long and halve what may be in flight; many refusals of one moment count once.

        Args:
            asked_s: the wait that the system itself asked for, where it said nothing else about its limits.
        """
        now = time.monotonic()
        if now >= self._paused_until:
            self._limit = max(1.0, self._limit / 2)
            self._eager = False
            self._cycle_s = now - self._since + (asked_s or seconds)
            self._asked_s = asked_s if asked_s >= LEARN_MIN_S else 0.0
        self.hold(seconds)

    def hold(self, seconds: float) -> None:
        """Hold all calls for so long."""
        now = time.monotonic()
        until = max(self._paused_until, now + seconds)
        self.throttled_s += until - max(self._paused_until, now)
        self._paused_until = until
        self._guarded = True

    def end(self, error: LaterError) -> None:
        """Let no more calls begin: whoever waits is told so."""
        self._end, self._guarded = error, True
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)

    def heed(self, told: Told) -> None:
        """Keep to what an answer tells of the calls that are left."""
        if told.hold_s > 0:
            self.hold(min(told.hold_s, self._hold_max_s))
        if told.left is None:
            return
        if told.resets_s is None:
            if told.left == 0:
                self.hold(UNTOLD_S)
            return
        now = time.monotonic()
        resets_s = min(told.resets_s or UNTOLD_S, self._hold_max_s)
        # What was sent meanwhile may or may not be in the figure already, so it is taken off until nothing is on its way.
        left = told.left - self._in_flight
        fresh = self._left is None or now >= self._resets_at or not self._in_flight
        self._left = left if fresh else min(left, self._left or 0)
        self._quota = told.quota or max(self._quota, told.left + 1)
        self._span_s = min(math.ceil(max(self._span_s, resets_s)), self._hold_max_s)
        self._resets_at = now + resets_s
        self._guarded = True
