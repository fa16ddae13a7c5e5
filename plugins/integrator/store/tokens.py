"""Tokens that sign-ins earned, and sessions that are to be signed out: encrypted, one row each. Fits `auth.tokens.Tokens`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from integrator.model.tokens import LEASE_S, Token, TokenKey, Turn
from integrator.store.database import reading, writing
from integrator.store.memory_tokens import MemoryTokens
from integrator.store.owner import is_dead
from integrator.store.sealing import Sealer
from integrator.store.tables import sessions, tokens
from integrator.store.token_rules import SESSION_MAX_S, Kept, decide, holds, outdated

GOOD, WAITS = "good", "sign_in_again"
_NO_LEASE: dict[str, Any] = {"lease_owner": None, "lease_until": None}


def tokens_of(engine: Engine, fernet_keys: str) -> SqlTokens | MemoryTokens:
    """Return what keeps tokens: the database, encrypted; without a key, this process's memory."""
    return SqlTokens(engine, Sealer(fernet_keys)) if fernet_keys.strip() else MemoryTokens()


@dataclass(frozen=True, slots=True)
class TokenRow:
    """What may be shown of a kept token."""

    state: str
    expires_at: datetime | None
    updated_at: datetime


class SqlTokens:
    """Keeps tokens in the journal's database. Every method is one short transaction.

    Each raises TryAgainError when the database is locked or away, and StopRunError when it refuses.

    Args:
        engine: of `store.database.open_engine`; its tables are there.
        sealer: encrypts what is kept.
        now: the clock, in seconds since 1970.
    """

    lasting = True

    def __init__(self, engine: Engine, sealer: Sealer, now: Callable[[], float] = time.time) -> None:
        self._engine, self._sealer, self._now = engine, sealer, now

    def take(self, key: TokenKey, owner: str, stale: Token | None, *, force: bool = False) -> Turn:
        """Return a token, or the turn to earn one."""
        with writing(self._engine) as c:
            row = self._locked(c, key.conn_id)
            turn = decide(
                self._kept(key.conn_id, row), key, stale, self._now(), force=force, leased=lambda: self._leased(row, owner)
            )
            if turn.mine:
                lease = {"lease_owner": owner, "lease_until": self._at(LEASE_S)}
                c.execute(update(tokens).where(tokens.c.credential == key.conn_id).values(**lease))
            return turn

    def keep(self, key: TokenKey, owner: str, token: Token) -> None:
        """Keep a token, and end the turn, whoever has it. Kept even where one's own has run out: nobody else has what was given."""
        expires_at = None if token.expires_at is None else datetime.fromtimestamp(min(token.expires_at, 32_503_680_000), UTC)
        with writing(self._engine) as c:
            self._locked(c, key.conn_id)
            self._write(c, key, Kept(key.whole, key.bound, token), state=GOOD, expires_at=expires_at, **_NO_LEASE)

    def renew(self, key: TokenKey, owner: str) -> None:
        """Make this owner's turn last anew, where it has not ended."""
        mine = (tokens.c.credential == key.conn_id) & (tokens.c.lease_owner == owner)
        with writing(self._engine) as c:
            c.execute(update(tokens).where(mine).values(lease_until=self._at(LEASE_S)))

    def give_up(self, key: TokenKey, owner: str, refused: str | None = None) -> None:
        """End the turn without a token; with `refused`, the credential waits for a person from now on."""
        mine = (tokens.c.credential == key.conn_id) & (tokens.c.lease_owner == owner)
        with writing(self._engine) as c:
            if refused is not None:
                row = self._locked(c, key.conn_id)
                if row.lease_owner != owner and outdated(self._kept(key.conn_id, row), key):
                    return
                self._write(c, key, Kept(key.whole, key.bound, None, refused), state=WAITS, expires_at=None)
            c.execute(update(tokens).where(mine).values(**_NO_LEASE))

    def _write(self, c: Connection, key: TokenKey, kept: Kept, **values: Any) -> None:
        content = self._sealer.seal(msgspec.json.encode(kept))
        query = update(tokens).where(tokens.c.credential == key.conn_id)
        c.execute(query.values(content=content, updated_at=self._at(), **values))

    def _locked(self, c: Connection, conn_id: str) -> Row[Any]:
        query = select(tokens).where(tokens.c.credential == conn_id).with_for_update()
        row = c.execute(query).one_or_none()
        if row is None:
            made: Any = postgresql.insert(tokens) if c.dialect.name == "postgresql" else sqlite.insert(tokens)
            c.execute(made.values(credential=conn_id, state=GOOD, updated_at=self._at()).on_conflict_do_nothing())
            row = c.execute(query).one()
        return row

    def _kept(self, conn_id: str, row: Row[Any]) -> Kept | None:
        if row.content is None:
            return None
        return msgspec.json.decode(self._sealer.open(conn_id, row.content), type=Kept)

    def _leased(self, row: Row[Any], owner: str) -> bool:
        if row.lease_owner in (None, owner) or not holds(row.lease_until.timestamp(), self._now()):
            return False
        return not is_dead(row.lease_owner)

    def _at(self, later_s: float = 0.0) -> datetime:
        return datetime.fromtimestamp(self._now() + later_s, UTC)

    # -- sessions of one process

    def refused(self, key: TokenKey) -> str | None:
        """Return what to tell of a credential that waits for a person, or None."""
        query = select(tokens.c.content).where(tokens.c.credential == key.conn_id, tokens.c.state == WAITS)
        with reading(self._engine) as c:
            row = c.execute(query).one_or_none()
        kept = None if row is None else self._kept(key.conn_id, row)
        return kept.refused if kept is not None and kept.whole == key.whole else None

    def opened(self, key: TokenKey, owner: str, token: Token) -> str:
        """Note a session that was signed in to; returns its name."""
        name = str(uuid.uuid4())
        content = self._sealer.seal(msgspec.json.encode(Kept(key.whole, key.bound, token)))
        with writing(self._engine) as c:
            c.execute(delete(tokens).where(tokens.c.credential == key.conn_id))  # that it once was refused is over
            c.execute(
                insert(sessions).values(id=name, credential=key.conn_id, owner=owner, content=content, opened_at=self._at())
            )
        return name

    def closed(self, name: str) -> None:
        """Forget a session that was signed out."""
        with writing(self._engine) as c:
            c.execute(delete(sessions).where(sessions.c.id == name))

    def orphans(self, key: TokenKey, owner: str) -> list[tuple[str, Token]]:
        """Return the sessions whose process has died without signing out; they are this owner's from now on."""
        old = self._at(-SESSION_MAX_S)
        with writing(self._engine) as c:
            rows = c.execute(select(sessions).where(sessions.c.credential == key.conn_id)).all()
            found = []
            for row in rows:
                if not (is_dead(row.owner) or row.opened_at < old):
                    continue
                kept = msgspec.json.decode(self._sealer.open(key.conn_id, row.content), type=Kept)
                if kept.token is None or kept.bound != key.bound:  # the secret goes elsewhere now, and this must not follow it
                    c.execute(delete(sessions).where(sessions.c.id == row.id))
                    continue
                c.execute(update(sessions).where(sessions.c.id == row.id).values(owner=owner, opened_at=self._at()))
                found.append((row.id, kept.token))
            return found

    # -- what people do

    def rows(self) -> dict[str, TokenRow]:
        """Return what may be shown of the kept tokens, by credential."""
        query = select(tokens.c.credential, tokens.c.state, tokens.c.expires_at, tokens.c.updated_at).where(
            tokens.c.content.is_not(None)
        )
        with reading(self._engine) as c:
            return {row.credential: TokenRow(row.state, row.expires_at, row.updated_at) for row in c.execute(query)}

    def forget(self, conn_id: str) -> None:
        """Forget all that is kept of a credential."""
        with writing(self._engine) as c:
            c.execute(delete(tokens).where(tokens.c.credential == conn_id))
            c.execute(delete(sessions).where(sessions.c.credential == conn_id))

    def rotate(self) -> int:
        """Encrypt everything with the newest key; returns how many rows were. A row at a time, so that it may be begun again.

        Raises:
            ConfigError: a row was encrypted with a key that is not among them.
        """
        with reading(self._engine) as c:
            names = [
                (tokens, tokens.c.credential, one)
                for one in c.scalars(select(tokens.c.credential).where(tokens.c.content.is_not(None)))
            ]
            names += [(sessions, sessions.c.id, one) for one in c.scalars(select(sessions.c.id))]
        turned = 0
        for table, column, name in names:
            with writing(self._engine) as c:
                row = c.execute(select(table.c.credential, table.c.content).where(column == name).with_for_update()).one_or_none()
                if row is not None and row.content is not None:
                    c.execute(update(table).where(column == name).values(content=self._sealer.turn(row.credential, row.content)))
                    turned += 1
        return turned
