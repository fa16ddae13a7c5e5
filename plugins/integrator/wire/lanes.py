"""Connections that are signed in one by one: N lanes of one connection each. Fits `Transport`.

A request's body goes out once, on a connection that is known to be signed in; the legs of a sign-in carry none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from integrator.errors import SignInAgainError, UnavailableError
from integrator.wire.egress import Egress
from integrator.wire.handshakes import (
    NOT_UNDERSTOOD,
    SHAKES,
    UNANSWERED_MAX,
    WHY_AWAY,
    WHY_CLOSED,
    Heard,
    NotSignedInError,
    Signing,
)
from integrator.wire.message import Answer, LostError, NotSentError, Request
from integrator.wire.session import KEPT_S, AiohttpTransport

SIGN_INS_AT_ONCE = 4
"""Connections that are signed in at the same time, once one has been: should the password change, so many fail at most."""


class PinnedConnector(aiohttp.TCPConnector):
    """Hands out one connection for one exchange, and only the one that is wanted. aiohttp alone would silently open another."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.current: Any = None
        self.certificate: bytes | None = None
        self._wanted: Any = None
        self._given = False

    def pin(self, wanted: Any) -> None:
        """Begin an exchange on this connection; None for whichever there is."""
        self._wanted, self._given = wanted, False

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - aiohttp's own signature
        """Return the connection.

        Raises:
            NotSignedInError: there is only another one.
            LostError: the exchange has had it, and it broke under the request.
        """
        if self._given:
            raise LostError
        made = await super().connect(req, traces, timeout)
        if self._wanted is not None and made.protocol is not self._wanted:
            made.release()
            raise NotSignedInError
        self._given, self.current = True, made.protocol
        tls = made.transport.get_extra_info("ssl_object") if made.transport is not None else None
        self.certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        return made


class Lane(AiohttpTransport):
    """One connection, and whether it is signed in."""

    CONNECTOR = PinnedConnector

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, connections=1)
        self._pinned: PinnedConnector | None = None
        self._signed: Any = None
        self._used_at = 0.0
        self.offers: list[str] = []

    def connector(self) -> aiohttp.TCPConnector:
        """Return what makes the connection."""
        made = super().connector()
        self._pinned = made if isinstance(made, PinnedConnector) else None
        return made

    @property
    def signed_in(self) -> bool:
        """Whether it is signed in, and was not left idle for too long."""
        return self._signed is not None and self._signed.is_connected() and time.monotonic() - self._used_at < KEPT_S

    @property
    def alive(self) -> bool:
        """Whether the connection that the last leg went out on is still there."""
        current = self._current()
        return current is not None and current.is_connected()

    @property
    def certificate(self) -> bytes | None:
        """The server's, of the connection in use."""
        return self._pinned.certificate if self._pinned is not None else None

    async def leg(self, request: Request, *, first: bool) -> Answer:
        """Send a leg: the first on any connection, the others on the one that it went out on."""
        self._signed = None
        return await self._on(None if first else self._current(), request)

    def sign(self) -> None:
        """Note that the connection is signed in."""
        self._signed = self._current()

    async def carry(self, request: Request) -> Answer:
        """Send a request on the connection that is signed in, and nothing on any other.

        Raises:
            NotSignedInError: it is gone.
            LostError: it broke under the request.
        """
        if self._signed is None:
            raise NotSignedInError
        return await self._on(self._signed, request)

    async def received(self, response: aiohttp.ClientResponse) -> Answer:
        """Return a whole answer, and keep what it offers."""
        self.offers = response.headers.getall("WWW-Authenticate", [])
        return await super().received(response)

    async def close(self) -> None:
        """Close the connection; the next leg opens another."""
        self._signed = self._pinned = None
        await super().close()

    def _current(self) -> Any:
        return self._pinned.current if self._pinned is not None else None

    async def _on(self, wanted: Any, request: Request) -> Answer:
        self.opened()
        if self._pinned is not None:
            self._pinned.pin(wanted)
        try:
            return await self.send(request)
        finally:
            self._used_at = time.monotonic()


class LanesTransport:
    """Fits `Transport`. One per credential and flow run.

    Args:
        egress: who may be reached.
        make: returns a lane.
        signing: what signs connections in.
    """

    def __init__(self, egress: Egress, make: Callable[[], Lane], signing: Signing) -> None:
        self._egress, self._make, self._signing = egress, make, signing
        self._slots = asyncio.Semaphore(signing.scheme.connections)
        self._free: list[Lane] = []
        self._lanes: list[Lane] = []
        self._turns, self._first = asyncio.Semaphore(SIGN_INS_AT_ONCE), asyncio.Lock()
        self._proven = False
        self._refusal: SignInAgainError | None = None
        self._unanswered = 0

    async def send(self, request: Request) -> Answer:
        """Send once, on a lane of its own; the last one used comes first, so that few connections are opened."""
        self._egress.refuse_url(request.url)
        async with self._slots:
            lane = self._free.pop() if self._free else self._new()
            try:
                return await self._through(lane, request)
            finally:
                self._free.append(lane)

    async def close(self) -> None:
        """Close every connection."""
        for lane in self._lanes:
            await lane.close()

    def _new(self) -> Lane:
        lane = self._make()
        self._lanes.append(lane)
        return lane

    async def _through(self, lane: Lane, request: Request) -> Answer:
        for _ in range(SHAKES):
            kept, signed = lane.signed_in, Heard.SIGNED_IN
            if not kept:
                signed, answer = await self._signed_in(lane, request.url)
                if signed is Heard.BUSY:
                    return answer
            try:
                answer = await lane.carry(request)
            except NotSignedInError:
                continue
            if answer.status != 401:
                return answer
            # Signed out there, so the request was not carried out: it may be sent again, on a connection that is signed in anew.
            await lane.close()
            if not kept and signed is Heard.OPEN:
                return answer
            if not kept:
                raise SignInAgainError(
                    f"{self._egress.conn_id} accepts the sign-in and refuses the next call on the same connection (401); does it, "
                    "or a load balancer before it, ask for a sign-in with each request (authPersistSingleRequest)?"
                )
        raise NotSentError(WHY_CLOSED)

    async def _signed_in(self, lane: Lane, url: str) -> tuple[Heard, Answer]:
        """Sign a lane in: the first alone, so that a wrong password is tried once and not by each lane."""
        async with self._turns:
            if not self._proven:
                async with self._first:
                    if not self._proven:
                        return await self._prove(lane, url)
            return await self._shake(lane, url)

    async def _prove(self, lane: Lane, url: str) -> tuple[Heard, Answer]:
        """Sign in as the first one of this flow run, unless it is known that it will be refused."""
        waits = self._signing.waits
        if self._refusal is None and (words := await asyncio.to_thread(waits.told)) is not None:
            self._refusal = SignInAgainError(words, lasting=True)
        if self._refusal is not None:
            raise self._refusal
        made = await self._shake(lane, url)
        if made[0] is Heard.SIGNED_IN:
            await asyncio.to_thread(waits.clear)
        return made

    async def _shake(self, lane: Lane, url: str) -> tuple[Heard, Answer]:
        for _ in range(SHAKES):
            if self._unanswered >= UNANSWERED_MAX:
                raise UnavailableError(
                    f"{self._egress.conn_id} closes the connection when it is to accept the sign-in; "
                    "it is not tried again in this run, lest the account be locked"
                )
            try:
                heard, answer = await self._legs(lane, url)
            except (LostError, NotSignedInError):
                await lane.close()
                continue
            except BaseException:
                await lane.close()  # nobody carries on with half a sign-in
                raise
            if heard in (Heard.REFUSED, Heard.BUSY, Heard.AWAY):
                await lane.close()
            if heard is Heard.REFUSED:
                self._proven, self._refusal = False, self._signing.refused()
                await asyncio.to_thread(self._signing.waits.mark, str(self._refusal))
                raise self._refusal
            if heard is Heard.AWAY:
                raise NotSentError(WHY_AWAY)
            return heard, answer
        raise NotSentError(WHY_CLOSED)

    async def _legs(self, lane: Lane, url: str) -> tuple[Heard, Answer]:
        for method, asked in self._signing.ways.of(url):
            sign_in, heard, first = self._signing.begin(urlsplit(url).hostname or ""), Heard.GO_ON, True
            while heard is Heard.GO_ON and (first or lane.alive):
                leg = Request(method, asked, {**self._signing.headers, **sign_in.headers()})
                try:
                    answer = await lane.leg(leg, first=first)
                except LostError:
                    self._unanswered += sign_in.complete
                    raise
                heard, first = sign_in.hear(answer.status, lane.offers, lane.certificate), False
            if heard is Heard.SIGNED_IN:
                self._proven, self._unanswered = True, 0
            if heard in (Heard.REFUSED, Heard.BUSY, Heard.AWAY):
                break
            if not lane.alive:
                self._signing.ways.ends(method)
            elif heard is Heard.SIGNED_IN or answer.status not in NOT_UNDERSTOOD:
                break
        if heard in (Heard.SIGNED_IN, Heard.OPEN):
            lane.sign()
        return heard, answer
