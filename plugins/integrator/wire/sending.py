"""From one request to its answer: signing, signing in again once, waiting, retrying what is safe to repeat, and no more than that."""

from __future__ import annotations

import asyncio
import random
import time

from integrator.errors import (
    LaterError,
    OutcomeUnknownError,
    RateLimitedError,
    SignInAgainError,
    TryAgainError,
    UnavailableError,
)
from integrator.settings import Settings
from integrator.wire.dialects import Told, points_s, told
from integrator.wire.limits import NO_LIMITS, Manners
from integrator.wire.message import Answer, LostError, Meter, NotSentError, Request, Transport
from integrator.wire.shared_gate import SharedGate
from integrator.wire.signing import Signer
from integrator.wire.tap import Tap
from integrator.wire.throttle import Throttle

BUSY = frozenset({429, 503, 529})
"""Statuses by which a system says that it has not taken the request: always safe to send again."""
SHAKY = frozenset({408, 425, 500, 502, 504, 520, 522, 524, 598, 599})
"""Statuses that may pass by themselves: sent again only where that is safe. A 500 is otherwise the system's own refusal."""
LOST = frozenset({408, 502, 504, 520, 522, 524, 598, 599})
"""Of these, the ones that a middleman gives: for a request that must not be repeated the outcome is unknown."""


class Sender:
    """Sends the requests of one flow run with one credential.

    Args:
        name: the credential's, for messages.
        signer: puts the credential on each request.
        throttle: this end's own gate.
        manners: how the credential wants to be used.
        gate: the gate shared by all workers; None when the credential has no limits.
        signs_in: whether these are a sign-in's own calls, of which a refusal is handed back as any other answer.
        tap: told of each call, while it wants to be.
    """

    def __init__(
        self,
        name: str,
        transport: Transport,
        signer: Signer,
        throttle: Throttle,
        meter: Meter,
        settings: Settings,
        manners: Manners = NO_LIMITS,
        gate: SharedGate | None = None,
        *,
        signs_in: bool = False,
        tap: Tap | None = None,
    ) -> None:
        self.name = name
        self.throttle = throttle
        self._transport = transport
        self._signer = signer
        self._heeds = getattr(signer, "heeds", False)
        self._meter = meter
        self._settings = settings
        self._throttled = manners.throttled
        self._says_signed_out = manners.says_signed_out
        self._gate = gate
        self._signs_in = signs_in
        self._tap = tap

    async def send(self, request: Request) -> Answer:
        """Return the answer, whatever its status, once there is one that counts.

        Raises:
            OutcomeUnknownError: a request that must not be repeated was sent and its answer is lost.
            SignInAgainError: the credential is refused.
            RateLimitedError, UnavailableError: still busy or away after all attempts.
            LaterError: it may be sent again, but only after more than `wait_max_s`.
        """
        last: TryAgainError | None = None
        for attempt in range(1, self._settings.attempts + 1):
            answer, wait_s, last = await self._once(request, attempt)
            if answer is not None:
                return answer
            if attempt == self._settings.attempts:
                break
            self._meter.retries += 1
            await asyncio.sleep(wait_s)
        raise last or UnavailableError(f"{self.name} cannot be reached")

    async def _once(self, request: Request, attempt: int) -> tuple[Answer | None, float, TryAgainError | None]:
        throttle, gate = self.throttle, self._gate
        await throttle.enter()
        well = entered = False
        try:
            if gate is not None:
                await gate.enter()
                entered = True
                self._meter_waits()
            answer, signed_out = await self._signed(request)
            throttled = answer.status == 429 or (self._throttled is not None and self._throttled(answer))
            well = answer.status < 500 and not throttled
        except LaterError as error:
            throttle.end(error)
            raise
        except NotSentError as error:
            return None, self._back_off_s(attempt), UnavailableError(f"{self.name} cannot be reached: {error.why}")
        except LostError:
            if not request.repeatable:
                raise OutcomeUnknownError(f"{self.name} was sent a record and its answer is lost") from None
            return None, self._back_off_s(attempt), UnavailableError(f"{self.name} broke off before its answer was complete")
        finally:
            throttle.leave(well=well)
            if gate is not None and entered:
                gate.leave()
        self._meter.bytes_read += len(answer.body)
        self._meter.bytes_sent += len(request.body or b"")
        says = told(answer.headers)
        if says is not None:
            self._heed(says)
        points = points_s(answer.body)
        if points:
            throttle.hold(min(points, self._settings.wait_max_s))
            self._meter_waits()
        if signed_out and not throttled:
            raise SignInAgainError(f"{self.name} refuses the credential ({answer.status}); check its user, password or token")
        if well and answer.status not in (408, 425):
            return answer, 0.0, None
        return self._judge(request, answer, attempt, throttled=throttled, asked=says, points=points)

    async def _signed(self, request: Request) -> tuple[Answer, bool]:
        """Return the answer to a request, and whether it says that the sign-in does not hold, even after signing in again once."""
        signed = await self._signer.sign(request)
        answer = await self._sent(request, signed.request)
        if self._signs_in:
            return answer, False
        asked = self._says_signed_out(answer) or (self._heeds and answer.status == 401)
        if asked and await self._signer.again(signed, answer):
            signed = await self._signer.sign(request)
            answer = await self._sent(request, signed.request)
        return answer, answer.status == 401 or self._says_signed_out(answer)

    async def _sent(self, request: Request, signed: Request) -> Answer:
        self._meter.api_calls += 1
        tap = self._tap
        if tap is None or not tap.on:
            return await self._transport.send(signed)
        began = time.monotonic()
        try:
            answer = await self._transport.send(signed)
        except (NotSentError, LostError) as error:
            tap.note(self.name, request, None, time.monotonic() - began, "lost" if isinstance(error, LostError) else "not sent")
            raise
        tap.note(self.name, request, answer, time.monotonic() - began)  # the request as it was before the credential came on it
        return answer

    def _heed(self, says: Told) -> None:
        self.throttle.heed(says)
        self._meter_waits()

    def _meter_waits(self) -> None:
        self._meter.throttled_s = self.throttle.throttled_s + (self._gate.waited_s if self._gate is not None else 0.0)

    def _judge(
        self, request: Request, answer: Answer, attempt: int, *, throttled: bool, asked: Told | None, points: float | None
    ) -> tuple[Answer | None, float, TryAgainError | None]:
        status = answer.status
        if throttled or status in BUSY:
            asked_s = points or (asked.wait_s if asked is not None else None)
            learn = throttled and asked is not None and asked.retry_s is not None and asked.left is None and self._gate is None
            return None, 0.0, self._busy(status, attempt, asked_s, throttled=throttled, learn=learn)
        if status in SHAKY:
            if request.repeatable and attempt < self._settings.attempts:
                return None, self._back_off_s(attempt), UnavailableError(f"{self.name} fails ({status})", http_status=status)
            if not request.repeatable and status in LOST:
                raise OutcomeUnknownError(
                    f"{self.name} was sent a record and a gateway lost its answer ({status})", http_status=status
                )
        return answer, 0.0, None

    def _busy(self, status: int, attempt: int, asked_s: float | None, *, throttled: bool, learn: bool) -> TryAgainError:
        """Hold all calls, and return what the caller is told if this was the last attempt.

        Raises:
            LaterError: the wait is longer than a worker should sit through; no further call begins.
        """
        wait_s = self._back_off_s(attempt) if not asked_s else asked_s + random.uniform(0, min(0.25, asked_s / 4))  # noqa: S311 - jitter
        if self._gate is not None and (asked_s or throttled):
            self._gate.pause(wait_s)
        said = "asks for fewer calls" if throttled else "is not ready"
        if wait_s > self._settings.wait_max_s:
            later = LaterError(
                f"{self.name} {said} ({status}), and to come back in {wait_s:,.0f} s", after_s=wait_s, http_status=status
            )
            self.throttle.end(later)
            raise later
        self.throttle.back_off(wait_s, asked_s=(asked_s or 0.0) if learn else 0.0)
        self._meter_waits()
        kind = RateLimitedError if throttled else UnavailableError
        return kind(f"{self.name} {said} ({status})", after_s=asked_s, http_status=status)

    def _back_off_s(self, attempt: int) -> float:
        return float(min(self._settings.back_off_s * 2 ** (attempt - 1), 60.0)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter

    async def close(self) -> None:
        """Sign out, and give connections, and whatever was taken from the shared gate, back."""
        try:
            await self._signer.close()
        finally:
            try:
                if self._gate is not None:
                    await self._gate.close()
            finally:
                await self._transport.close()
