"""The gate that all calls with a limited credential pass, in whatever flow, process or machine they are made.

It takes starts and places in small blocks from whoever keeps count (`Limits`), so that this is not asked once a call,
in a thread, so that the event loop never waits for a database.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from integrator.errors import IntegratorError, LaterError, TryAgainError
from integrator.model.limit import Ask, Grant
from integrator.wire.limits import Limits, Manners

BLOCK_S = 0.5
"""Seconds' worth of calls that are taken at once."""
BEAT_S = 1.0
LEASE_S = 30.0
POLL_S = 0.25
NAP_S = 5.0
"""Longest wait before whoever keeps count is asked again: a pause may have been made longer, or a place come free."""
AWAY_WAITS_S = (0.2, 1.0, 5.0)
CLOCK_JUMP_S = 2.0
T = TypeVar("T")


class SharedGate:
    """One holder's side of the gate: one end of one flow run.

    Args:
        limits: keeps count for all workers.
        credential: its connection ID.
        manners: its limits.
        holder: a name of this gate's own.
        wait_max_s: above this a call is not waited for.
    """

    def __init__(self, limits: Limits, credential: str, manners: Manners, holder: str, wait_max_s: float) -> None:
        self._limits, self._credential, self._manners, self._holder = limits, credential, manners, holder
        self._wait_max_s = wait_max_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="limits")  # one: what is given back comes after what was taken
        self._turn, self._asking = asyncio.Lock(), asyncio.Lock()
        self._freed = asyncio.Event()
        self._starts: deque[float] = deque()
        self._skew: float | None = None  # the common clock minus the loop's
        self._lead_s = 0.0
        self._grace_s = min((rule.margin_s for rule in manners.rules), default=0.0)
        self._in_use = self._waiting = self._places = self._held = 0  # held: places that are ours in the common count
        self._contended = False
        self._paused_until = 0.0
        self._told_at = 0.0
        self._beating: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.waited_s = 0.0

    async def enter(self) -> None:
        """Wait until one call may begin.

        Raises:
            LaterError: that is longer than a worker should wait.
            TryAgainError: whoever keeps count is away.
        """
        self._waiting += 1
        try:
            async with self._turn:  # first come, first served
                if self._beating is None:
                    self._beating = asyncio.create_task(self._beat())
                while not await self._begun():
                    pass
                self._in_use += 1
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        """Say that the call has ended."""
        self._in_use -= 1
        if self._contended:
            self._places = self._in_use  # somebody else may be next; what is needed is asked for anew
            if not self._waiting:
                self._beside(self._give_places_back())
        self._freed.set()

    def pause(self, seconds: float) -> None:
        """Hold all calls with this credential, here at once and elsewhere as soon as they ask."""
        until = self._now() + min(seconds, self._wait_max_s)
        longer = until - self._paused_until
        self._paused_until = max(self._paused_until, until)
        if longer > 0.05:
            self._beside(self._share(seconds))

    async def close(self) -> None:
        """Give everything back."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, *self._tasks, return_exceptions=True)
            with suppress(IntegratorError):  # else the lease ends by itself
                await self._in_thread(lambda: self._limits.give_back(self._ask_for(0), tuple(self._starts)))
        self._thread.shutdown()

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _begun(self) -> bool:
        """Wait for what is missing; tell whether the call may begin now."""
        if self._paused_until > self._now():
            await self._nap(self._paused_until - self._now())
            return False
        if not self._has_place():
            self._freed.clear()
            if self._in_use >= self._places:
                await self._take()
            if not self._has_place():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._freed.wait(), POLL_S * random.uniform(0.6, 1.4))  # noqa: S311 - jitter
            return False
        if not self._manners.rules:
            return True
        if not self._starts:
            await self._take()
            return False
        start = self._starts.popleft() - (self._skew or 0.0)
        if start > self._now():
            try:
                await self._nap(start - self._now())
            except asyncio.CancelledError:
                self._starts.appendleft(start + (self._skew or 0.0))
                raise
        # A start that was missed is let go: made up for late, it would fall into somebody else's time.
        return self._now() <= start + self._grace_s and self._paused_until <= self._now() and self._has_place()

    def _has_place(self) -> bool:
        return self._manners.in_flight is None or self._in_use < self._places

    async def _nap(self, seconds: float) -> None:
        began = self._now()
        try:
            await asyncio.sleep(min(seconds, NAP_S))
        finally:
            self.waited_s += self._now() - began

    def _block(self) -> int:
        """Return how many calls to ask for: as many as wait, and at most half a second's worth of each rule."""
        most = self._waiting
        for rule in self._manners.rules:
            most = min(most, max(1, int(rule.calls * BLOCK_S / rule.per_s), 0 if rule.paced else rule.calls // 50))
        return most

    async def _take(self) -> None:
        calls = self._block() if self._manners.rules and not self._starts else 0
        grant = await self._told(calls)
        if not calls or grant.starts:
            return
        if grant.wait_s > self._wait_max_s:
            raise LaterError(f"{self._credential} may be used again in {grant.wait_s:,.0f} s", after_s=grant.wait_s)
        if grant.wait_s:
            await self._nap(grant.wait_s)

    def _ask_for(self, calls: int) -> Ask:
        manners = self._manners
        wanted = 0 if manners.in_flight is None else min(manners.in_flight, self._in_use + self._waiting)
        return Ask(
            self._credential, self._holder, manners.rules, manners.in_flight, calls, self._lead_s, self._in_use, wanted, LEASE_S
        )

    async def _told(self, calls: int) -> Grant:
        """Ask whoever keeps count, one question at a time."""
        async with self._asking:
            for wait_s in (*AWAY_WAITS_S, None):
                began = self._now()
                ask = self._ask_for(calls)
                self._places = min(self._places, ask.used)  # until the answer is there, no more begin than were told of
                try:
                    grant = await self._in_thread(lambda: self._limits.take(ask))  # noqa: B023 - awaited here
                except TryAgainError:
                    if wait_s is None:
                        raise
                    await asyncio.sleep(wait_s)
                else:
                    break
            self._heard(grant, began)
            return grant

    def _heard(self, grant: Grant, began: float) -> None:
        now = self._told_at = self._now()
        self._lead_s = min(now - began, 1.0)
        skew = grant.now - now
        if self._skew is None or abs(skew - self._skew) > CLOCK_JUMP_S:
            self._skew = skew
            self._starts.clear()  # of a clock that is no more
        else:
            self._skew = max(self._skew - 0.001, skew)  # the answer that took least tells it best
        self._starts.extend(grant.starts)
        if grant.places is not None:
            self._places, self._held, self._contended = grant.places, grant.places, grant.contended
            self._freed.set()

    async def _beat(self) -> None:
        """Renew the lease of the places, and give back those that nobody here needs."""
        while self._manners.in_flight is not None:
            await asyncio.sleep(BEAT_S)
            unneeded = self._held > self._in_use + self._waiting or self._contended
            if self._held and (unneeded or self._now() - self._told_at > LEASE_S / 6):
                await self._give_places_back()

    async def _give_places_back(self) -> None:
        """Tell how many places are needed here, which renews the lease of those that are."""
        with suppress(IntegratorError):
            await self._told(0)

    async def _share(self, seconds: float) -> None:
        with suppress(IntegratorError):  # each worker is told by the system itself as well
            await self._in_thread(lambda: self._limits.pause(self._credential, seconds))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
