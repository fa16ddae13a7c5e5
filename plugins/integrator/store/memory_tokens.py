"""The twin in memory of the table of tokens: for one process that has no key to keep them with, and for tests."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from threading import Lock

from integrator.model.tokens import LEASE_S, Token, TokenKey, Turn
from integrator.store.token_rules import Kept, decide, holds, outdated


class MemoryTokens:
    """Fits `auth.tokens.Tokens`; its methods say in `store.tokens.SqlTokens` what they do.

    Args:
        now: the clock, in seconds since 1970.
        lasting: whether to pass for one whose tokens outlive this process, which a test may ask for.
    """

    def __init__(self, now: Callable[[], float] = time.time, *, lasting: bool = False) -> None:
        self.lasting = lasting
        self._now = now
        self._kept: dict[str, Kept] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._sessions: dict[str, tuple[TokenKey, str, Token]] = {}
        self._lock = Lock()

    def take(self, key: TokenKey, owner: str, stale: Token | None, *, force: bool = False) -> Turn:
        """Return a token, or the turn to earn one."""
        with self._lock:
            now = self._now()
            holder, until = self._leases.get(key.conn_id, (owner, 0.0))
            turn = decide(
                self._kept.get(key.conn_id), key, stale, now, force=force, leased=lambda: holder != owner and holds(until, now)
            )
            if turn.mine:
                self._leases[key.conn_id] = (owner, now + LEASE_S)
            return turn

    def keep(self, key: TokenKey, owner: str, token: Token) -> None:
        """Keep a token, and end the turn."""
        with self._lock:
            self._kept[key.conn_id] = Kept(key.whole, key.bound, token)
            self._leases.pop(key.conn_id, None)

    def renew(self, key: TokenKey, owner: str) -> None:
        """Make this owner's turn last anew, where it has not ended."""
        with self._lock:
            if self._leases.get(key.conn_id, ("", 0.0))[0] == owner:
                self._leases[key.conn_id] = (owner, self._now() + LEASE_S)

    def give_up(self, key: TokenKey, owner: str, refused: str | None = None) -> None:
        """End the turn without a token."""
        with self._lock:
            mine = self._leases.get(key.conn_id, ("", 0.0))[0] == owner
            if refused is not None and (mine or not outdated(self._kept.get(key.conn_id), key)):
                self._kept[key.conn_id] = Kept(key.whole, key.bound, None, refused)
            if mine:
                self._leases.pop(key.conn_id)

    def refused(self, key: TokenKey) -> str | None:
        """Return what to tell of a credential that waits for a person, or None."""
        kept = self._kept.get(key.conn_id)
        return kept.refused if kept is not None and kept.whole == key.whole else None

    def opened(self, key: TokenKey, owner: str, token: Token) -> str:
        """Note a session that was signed in to; returns its name."""
        name = str(uuid.uuid4())
        with self._lock:
            self._kept.pop(key.conn_id, None)
            self._sessions[name] = (key, owner, token)
        return name

    def closed(self, name: str) -> None:
        """Forget a session that was signed out."""
        with self._lock:
            self._sessions.pop(name, None)

    def orphans(self, key: TokenKey, owner: str) -> list[tuple[str, Token]]:
        """Return none: what dies with this process is forgotten with it."""
        return []

    def open_sessions(self) -> int:
        """Return how many sessions nobody has signed out yet."""
        return len(self._sessions)

    def forget(self, conn_id: str) -> None:
        """Forget all that is kept of a credential."""
        with self._lock:
            self._kept.pop(conn_id, None)
            self._sessions = {name: one for name, one in self._sessions.items() if one[0].conn_id != conn_id}
