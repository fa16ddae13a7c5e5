"""Earns a credential's token: one sign-in at a time over all workers, kept before it is used, renewed once when it is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast

from integrator.auth.scheme import Call, Earns, Stays
from integrator.auth.tokens import Tokens
from integrator.errors import IntegratorError, SignInAgainError, TryAgainError, UnavailableError
from integrator.model.tokens import LEASE_S, Token, TokenKey, is_due

T = TypeVar("T")
TO_ITS_END_S = 35.0
"""How long closing waits for a sign-in that is under way: above what one call of it may take."""
KEEP_AGAIN_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits between attempts to keep what was earned."""


class Earner:
    """One process's side of a credential's sign-in.

    Args:
        key: whose token it is.
        scheme: earns it.
        call: sends the sign-in's own requests.
        tokens: keeps it for all workers.
        owner: this process, for whoever waits.
        on_secret: told of every new secret, so that logs can mask it.
        force: whether to try although the credential waits for a person.
    """

    def __init__(
        self,
        key: TokenKey,
        scheme: Earns,
        call: Call,
        tokens: Tokens,
        owner: str,
        on_secret: Callable[[str], None] = lambda _secret: None,
        *,
        force: bool = False,
    ) -> None:
        self._key, self._scheme, self._call, self._tokens, self._owner = key, scheme, call, tokens, owner
        self._on_secret, self._force = on_secret, force
        self._turn = asyncio.Lock()
        self._held: Token | None = None
        self._session: str | None = None  # name of the session that is to be signed out
        self._staying: asyncio.Task[None] | None = None
        self._failed: tuple[Token | None, SignInAgainError] | None = None
        self._under_way: asyncio.Future[Token] | None = None

    async def token(self, stale: Token | None = None) -> Token:
        """Return a token that holds, as far as can be known; another one than `stale`.

        Raises:
            SignInAgainError: a person has to look at the credential.
            TryAgainError: whoever gives tokens, or the database that keeps them, is busy or away.
        """
        held = self._held
        if held is not None and held is not stale and not is_due(held, time.time()):
            return held
        async with self._turn:  # one at a time in this process; the others find what the first one earned
            if self._under_way is not None:
                await asyncio.wait([self._under_way])  # whoever began it was cancelled
            held = self._held
            if held is not None and held is not stale and not is_due(held, time.time()):
                return held
            if self._failed is not None and self._failed[0] is stale:
                raise self._failed[1]
            try:
                return await (self._shared(stale) if self._scheme.KEEPS else self._own(stale))
            except SignInAgainError as refused:
                self._failed = (stale, refused)
                raise

    def _hold(self, token: Token) -> Token:
        for secret in token.secrets():
            self._on_secret(secret)
        self._held = token
        return token

    async def _to_its_end(self, work: Coroutine[Any, Any, Token]) -> Token:
        """Await what must not be broken off when whoever waits is cancelled: the other side has changed something by then.

        An answer that nobody takes is a refresh token lost, or a session that nobody signs out.
        """
        self._under_way = asyncio.ensure_future(work)
        return await asyncio.shield(self._under_way)

    async def _shared(self, stale: Token | None) -> Token:
        until = time.monotonic() + 2 * LEASE_S
        while time.monotonic() < until:
            turn = await self._thread(lambda: self._tokens.take(self._key, self._owner, stale, force=self._force))
            if turn.refused is not None:
                raise SignInAgainError(turn.refused)
            if turn.token is not None:
                return self._hold(turn.token)
            if turn.mine:
                return await self._to_its_end(self._earned(turn.before))
            await asyncio.sleep(turn.wait_s)
        raise UnavailableError(f"{self._key.conn_id}: another worker has been signing in for too long")

    async def _earned(self, before: Token | None) -> Token:
        renewing = asyncio.create_task(self._renew())
        try:
            made = await self._tried(before)
        finally:
            renewing.cancel()
        # Kept before it is used: should this process die now, the next one must find what the other side has already changed.
        for wait_s in KEEP_AGAIN_S:
            with suppress(TryAgainError):
                await self._thread(lambda: self._tokens.keep(self._key, self._owner, made))
                return self._hold(made)
            await asyncio.sleep(
                wait_s
            )  # the old one may be worth nothing any more, so a database that is away is no reason to lose it
        await self._thread(lambda: self._tokens.keep(self._key, self._owner, made))
        return self._hold(made)

    async def _renew(self) -> None:
        """Keep the lease while a sign-in takes its time: several calls, each of which may be slow or be told to wait."""
        while True:
            await asyncio.sleep(LEASE_S / 3)
            with suppress(IntegratorError):
                await self._thread(lambda: self._tokens.renew(self._key, self._owner))

    async def _tried(self, before: Token | None) -> Token:
        """Return what the scheme earns; what it raises ends the turn, and names the credential."""
        try:
            return await self._scheme.earn(self._call, before)
        except SignInAgainError as error:
            words = str(error).replace("PROJECT/NAME", self._key.conn_id.replace("__", "/", 1))
            named = SignInAgainError(f"{self._key.conn_id}: {words}", lasting=error.lasting)
            await self._give_up(str(named) if error.lasting else None)
            raise named from None
        except BaseException:
            await self._give_up(None)
            raise

    async def _give_up(self, refused: str | None) -> None:
        with suppress(IntegratorError):  # the lease runs out by itself
            await self._thread(lambda: self._tokens.give_up(self._key, self._owner, refused))

    async def _own(self, stale: Token | None) -> Token:
        """Sign in for this process alone, after signing out whoever died without doing so."""
        waits = await self._thread(lambda: self._tokens.refused(self._key))
        if waits is not None and not self._force:
            raise SignInAgainError(waits)
        await self._end_session()
        for name, token in await self._thread(lambda: self._tokens.orphans(self._key, self._owner)):
            try:
                await self._scheme.leave(self._call, token)
            except TryAgainError:
                break  # it stays noted for the next process, and the others need not be tried for as long each
            except IntegratorError:
                pass  # a session that cannot be signed out any more ends by itself
            await self._thread(partial(self._tokens.closed, name))
        return await self._to_its_end(self._opened(stale))

    async def _opened(self, stale: Token | None) -> Token:
        made = self._hold(await self._tried(stale))
        try:
            self._session = await self._thread(lambda: self._tokens.opened(self._key, self._owner, made))
        except BaseException:
            self._held = None
            with suppress(IntegratorError):  # noted nowhere, so nobody else could sign it out
                await self._scheme.leave(self._call, made)
            raise
        if self._staying is None and getattr(self._scheme, "keep_alive_s", None):
            self._staying = asyncio.create_task(self._stay(cast("Stays", self._scheme)))
        return made

    async def _stay(self, scheme: Stays) -> None:
        """Keep the session alive for as long as it is held; one that has ended all the same is signed in to anew when it is used."""
        while True:
            await asyncio.sleep(scheme.keep_alive_s)
            held = self._held
            if held is not None:
                with suppress(IntegratorError):
                    await scheme.stay(self._call, held)

    async def close(self) -> None:
        """Sign out, where the session is this process's own."""
        if self._under_way is not None:
            _done, late = await asyncio.wait([self._under_way], timeout=TO_ITS_END_S)
            for one in late:
                one.cancel()
        if self._staying is not None:
            self._staying.cancel()
        held, self._held = self._held, None
        if held is None or self._scheme.KEEPS:
            return
        leaving = asyncio.ensure_future(self._leave(held))
        try:
            await asyncio.shield(leaving)
        except IntegratorError:
            return  # it stays noted, so that the next one to sign in may sign it out
        except asyncio.CancelledError:
            await asyncio.wait([leaving], timeout=TO_ITS_END_S)  # its connections are closed after this
            raise

    async def _end_session(self) -> None:
        """Sign out of the session that is to be replaced: one that only seems to have ended would count as a user until it does."""
        held, self._held = self._held, None
        if held is not None:
            with suppress(IntegratorError):  # one that has ended cannot be signed out
                await self._scheme.leave(self._call, held)
        await self._forget_session()

    async def _leave(self, held: Token) -> None:
        await self._scheme.leave(self._call, held)
        await self._forget_session()

    async def _forget_session(self) -> None:
        name, self._session = self._session, None
        if name is not None:
            await self._thread(partial(self._tokens.closed, name))

    @staticmethod
    async def _thread(work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)
