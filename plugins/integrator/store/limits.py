"""How far each limited credential has been used: one row each, changed under its lock. Fits `wire.limits.Limits`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from integrator.model.limit import Ask, Grant
from integrator.store.database import writing
from integrator.store.limit_rules import State, decide, give_back, pause
from integrator.store.tables import limits

Change = Callable[[State, float], State]


class SqlLimits:
    """Keeps count in the journal's database. Every method is one short transaction.

    Each raises TryAgainError when the database is locked or away, and StopRunError when it refuses.

    Args:
        engine: of `store.database.open_engine`; its tables are there.
        now: the clock, in seconds; left out: the database's own on PostgreSQL, so that workers' clocks may differ.
    """

    def __init__(self, engine: Engine, now: Callable[[], float] | None = None) -> None:
        self._engine = engine
        self._clock = now

    def take(self, ask: Ask) -> Grant:
        """Return what the asker gets, and keep it."""
        with self._locked(ask.credential) as (kept, now, keep):
            after, grant = decide(kept, ask, now)
            keep(after)
            return grant

    def pause(self, credential: str, seconds: float) -> None:
        """Hold all calls with a credential for so long, bounded to an hour."""
        with self._locked(credential) as (kept, now, keep):
            keep(pause(kept, seconds, now))

    def give_back(self, ask: Ask, unused: tuple[float, ...]) -> None:
        """Note that a holder has gone, and which of its starts it leaves."""
        with self._locked(ask.credential) as (kept, now, keep):
            keep(give_back(kept, ask, unused, now))

    def forget(self, credential: str) -> None:
        """Forget how far a credential has been used, and its pause."""
        with writing(self._engine) as c:
            c.execute(delete(limits).where(limits.c.credential == credential))

    @contextmanager
    def _locked(self, credential: str) -> Iterator[tuple[State, float, Callable[[State], None]]]:
        mine = limits.c.credential == credential
        with writing(self._engine) as c:
            text, now = self._read(c, credential)

            def keep(state: State) -> None:
                values = {"state": json.dumps(state), "updated_at": datetime.now(UTC)}
                c.execute(update(limits).where(mine).values(**values))

            yield _state(text), now, keep

    def _read(self, c: Connection, credential: str) -> tuple[str, float]:
        on_postgres = c.dialect.name == "postgresql"
        query = select(limits.c.state).where(limits.c.credential == credential).with_for_update()
        text = c.execute(query).scalar()
        if text is None:
            insert: Any = postgresql.insert(limits) if on_postgres else sqlite.insert(limits)
            row = {"credential": credential, "state": "{}", "updated_at": datetime.now(UTC)}
            c.execute(insert.values(row).on_conflict_do_nothing())
            text = c.execute(query).scalar() or "{}"
        if self._clock is None and on_postgres:  # asked once the lock is ours, so that instants never run backwards
            return text, float(c.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())
        return text, (self._clock or time.time)()


def _state(text: str) -> State:
    try:
        made = json.loads(text)
    except ValueError:
        return {}
    return made if isinstance(made, dict) else {}
