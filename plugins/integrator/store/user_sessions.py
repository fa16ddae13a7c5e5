"""Sessions of people who are signed in to the platform: opened at the sign-in, ended at the sign-out, and over after a while.

A token names its session and is worth nothing without it, so that signing out takes away every token of the session at once.
Source: PRODUCT.md P5.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, delete, insert, select, update

from integrator.store.database import reading, writing
from integrator.store.tables import user_sessions

NOTED_EACH = timedelta(seconds=60)
"""A session's last request is noted so often at most; being idle is measured as exactly as that."""
ORIGIN_MAX = 300


class SqlUserSessions:
    """Keeps who is signed in. Raises as `store.database.ours`.

    Args:
        longest: after it a session is over, whatever happens in it.
        idle: without a request for so long it is over too.
    """

    def __init__(
        self, engine: Engine, longest: timedelta, idle: timedelta, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._engine, self._longest, self._idle, self._now = engine, longest, idle, now

    def open(self, user_id: int, origin: str, for_: timedelta | None = None) -> str:
        """Open a session and return its ID; what is over goes.

        Args:
            origin: the address that somebody signed in from.
            for_: how long it lasts at most, where that is less than usual.
        """
        now, made = self._now(), secrets.token_hex(16)
        until = now + min(for_ or self._longest, self._longest)
        row = {"id": made, "user_id": user_id, "origin": origin[:ORIGIN_MAX], "opened_at": now, "seen_at": now, "until_at": until}
        s = user_sessions.c
        with writing(self._engine) as c:
            c.execute(insert(user_sessions).values(row))
            c.execute(delete(user_sessions).where((s.until_at <= now) | (s.seen_at <= now - self._idle)))
        return made

    def alive(self, session_id: str, user_id: int) -> bool:
        """Tell whether a session of that user goes on, and note that it was used."""
        now, s = self._now(), user_sessions.c
        with reading(self._engine) as c:
            row = c.execute(select(s.seen_at, s.until_at).where((s.id == session_id) & (s.user_id == user_id))).one_or_none()
        if row is None or row.until_at <= now or row.seen_at <= now - self._idle:
            return False
        if row.seen_at <= now - NOTED_EACH:
            with writing(self._engine) as c:
                c.execute(update(user_sessions).where(s.id == session_id).values(seen_at=now))
        return True

    def end(self, session_id: str) -> bool:
        """End a session; returns whether there was one."""
        with writing(self._engine) as c:
            return bool(c.execute(delete(user_sessions).where(user_sessions.c.id == session_id)).rowcount)

    def end_all(self, user_id: int, but: str | None = None) -> int:
        """End a user's sessions, such as after a new password; returns how many there were.

        Args:
            but: the one that goes on.
        """
        s = user_sessions.c
        with writing(self._engine) as c:
            return int(c.execute(delete(user_sessions).where((s.user_id == user_id) & (s.id != (but or "")))).rowcount)
