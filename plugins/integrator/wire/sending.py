"""From one request to its answer: signing, waiting, retrying what is safe to repeat, and no more than that."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from integrator.errors import (
    OutcomeUnknownError,
    RateLimitedError,
    SignInAgainError,
    TryAgainError,
    UnavailableError,
)
from integrator.settings import Settings
from integrator.wire.message import Answer, LostError, Meter, NotSentError, Request, Transport
from integrator.wire.throttle import Throttle

BUSY = frozenset({429, 503, 529})
"""Statuses by which a system says that it has not taken the request: always safe to send again."""
SHAKY = frozenset({408, 425, 500, 502, 504, 520, 522, 524, 598, 599})
"""Statuses that may pass by themselves: sent again only where that is safe. A 500 is otherwise the system's own refusal."""
LOST = frozenset({408, 502, 504, 520, 522, 524, 598, 599})
"""Of these, the ones that a middleman gives: for a request that must not be repeated the outcome is unknown."""


class Signs(Protocol):
    """What sending asks of an auth scheme."""

    def sign(self, request: Request) -> Request:
        """Return the request with the credential on it."""


class Sender:
    """Sends the requests of one flow run with one credential."""

    def __init__(
        self, name: str, transport: Transport, scheme: Signs, throttle: Throttle, meter: Meter, settings: Settings
    ) -> None:
        self.name = name
        self.throttle = throttle
        self._transport = transport
        self._scheme = scheme
        self._meter = meter
        self._settings = settings

    async def send(self, request: Request) -> Answer:
        """Return the answer, whatever its status, once there is one that counts.

        Raises:
            OutcomeUnknownError: a request that must not be repeated was sent and its answer is lost.
            SignInAgainError: the credential is refused.
            RateLimitedError, UnavailableError: still busy or away after all attempts.
        """
        last: TryAgainError | None = None
        for attempt in range(1, self._settings.attempts + 1):
            answer, wait_s, last = await self._once(request, attempt)
            if answer is not None:
                return answer
            if wait_s > self._settings.wait_max_s or attempt == self._settings.attempts:
                break
            self._meter.retries += 1
            await asyncio.sleep(wait_s)
        raise last or UnavailableError(f"{self.name} cannot be reached")

    async def _once(self, request: Request, attempt: int) -> tuple[Answer | None, float, TryAgainError | None]:
        throttle = self.throttle
        await throttle.enter()
        well = False
        try:
            self._meter.api_calls += 1
            answer = await self._transport.send(self._scheme.sign(request))
            well = answer.status < 500 and answer.status != 429
        except NotSentError:
            wait_s = self._back_off_s(attempt)
            return None, wait_s, UnavailableError(f"{self.name} cannot be reached: nothing answers there; is it running?")
        except LostError:
            if not request.repeatable:
                raise OutcomeUnknownError(f"{self.name} was sent a record and its answer is lost") from None
            return None, self._back_off_s(attempt), UnavailableError(f"{self.name} broke off before its answer was complete")
        finally:
            throttle.leave(well=well)
        self._meter.bytes_read += len(answer.body)
        self._meter.bytes_sent += len(request.body or b"")
        if well and answer.status not in (401, 408, 425):
            return answer, 0.0, None
        return self._judge(request, answer, attempt)

    def _judge(self, request: Request, answer: Answer, attempt: int) -> tuple[Answer | None, float, TryAgainError | None]:
        status = answer.status
        if status == 401:
            raise SignInAgainError(f"{self.name} refuses the credential (401); check its user, password or token")
        if status in BUSY:
            asked = retry_after_s(answer.headers)
            wait_s = self._back_off_s(attempt) if not asked else asked + random.uniform(0, min(0.25, asked / 4))  # noqa: S311 - jitter
            if wait_s <= self._settings.wait_max_s:
                self.throttle.back_off(wait_s)
                self._meter.throttled_s = self.throttle.throttled_s
            kind = RateLimitedError if status == 429 else UnavailableError
            said = "asks for fewer calls" if status == 429 else "is not ready"
            return (
                None,
                wait_s if wait_s > self._settings.wait_max_s else 0.0,
                kind(f"{self.name} {said} ({status})", after_s=wait_s, http_status=status),
            )
        if status in SHAKY:
            if request.repeatable and attempt < self._settings.attempts:
                return None, self._back_off_s(attempt), UnavailableError(f"{self.name} fails ({status})", http_status=status)
            if not request.repeatable and status in LOST:
                raise OutcomeUnknownError(
                    f"{self.name} was sent a record and a gateway lost its answer ({status})", http_status=status
                )
        return answer, 0.0, None

    def _back_off_s(self, attempt: int) -> float:
        return float(min(self._settings.back_off_s * 2 ** (attempt - 1), 60.0)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter

    async def close(self) -> None:
        """Give connections back."""
        await self._transport.close()


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for, as seconds or as a date; None when it says nothing usable.

    Source: RFC 9110, 10.2.3.
    """
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        seconds = float(value) if value[0].isdigit() else None
    except ValueError:
        seconds = None
    if seconds is None:
        try:
            at = parsedate_to_datetime(value)
        except (ValueError, TypeError):
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        seconds = (at - (now or datetime.now(UTC))).total_seconds()
    return max(seconds, 0.0) or None
