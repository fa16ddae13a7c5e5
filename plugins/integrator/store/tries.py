"""How often passwords were tried, for a name and from an address, over all processes of the API server."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, Engine, case, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from integrator.store.database import reading, writing
from integrator.store.tables import tries

WINDOW = timedelta(minutes=15)


class SqlTries:
    """Keeps count. Raises as `store.database.ours`.

    Args:
        key: of the installation's keyed hashes: names and addresses are kept as hashes alone.
    """

    def __init__(self, engine: Engine, key: bytes, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._engine, self._now = engine, now
        self._key = blake2b(b"tries of passwords", key=key, digest_size=32).digest()

    def take(self, allowed: Mapping[str, int]) -> float:
        """Note a try for each name and address, and return how many seconds it has to wait; 0 when it may go on.

        It is counted before it is made, so that a hundred at once are a hundred. One that has to wait is not counted.

        Args:
            allowed: whose it is -> how many there may be in a quarter of an hour.
        """
        now = self._now()
        hashes = {self._hash(who): most for who, most in allowed.items()}
        if wait := self.waits(allowed):  # a look that locks nothing, since whoever floods us is to cost little
            return wait
        with writing(self._engine) as c:
            counts = {who: self._count(c, who, now) for who in sorted(hashes)}  # in one order, or two would wait for each other
            c.execute(delete(tries).where(tries.c.until_at <= now))
        over = [until for who, (count, until) in counts.items() if count > hashes[who]]
        return max((_seconds(until, now) for until in over), default=0.0)

    def give_back(self, who: str) -> None:
        """Take one try back, since it was a good one."""
        t = tries.c
        with writing(self._engine) as c:
            c.execute(update(tries).where((t.who == self._hash(who)) & (t.count > 0)).values(count=t.count - 1))

    def forget(self, who: str) -> None:
        """Forget all tries of a name, since its owner is in."""
        with writing(self._engine) as c:
            c.execute(delete(tries).where(tries.c.who == self._hash(who)))

    def waits(self, allowed: Mapping[str, int]) -> float:
        """Return how many seconds a try would have to wait, and count none."""
        t, now = tries.c, self._now()
        hashes = {self._hash(who): most for who, most in allowed.items()}
        with reading(self._engine) as c:
            rows = c.execute(
                select(t.who, t.count.label("tried"), t.until_at).where(t.who.in_(list(hashes)), t.until_at > now)
            ).all()
        return max((_seconds(row.until_at, now) for row in rows if row.tried >= hashes[row.who]), default=0.0)

    def _count(self, c: Connection, who: str, now: datetime) -> tuple[int, datetime]:
        made: Any = (postgresql if c.dialect.name == "postgresql" else sqlite).insert(tries)
        t, until = tries.c, now + WINDOW
        over = t.until_at <= now
        changed = {"count": case((over, 1), else_=t.count + 1), "until_at": case((over, until), else_=t.until_at)}
        row = {"who": who, "count": 1, "until_at": until}
        asked = made.values(row).on_conflict_do_update(index_elements=[t.who], set_=changed).returning(t.count, t.until_at)
        found = c.execute(asked).one()
        return int(found[0]), found[1]

    def _hash(self, who: str) -> str:
        return blake2b(who.encode("utf-8", "surrogatepass"), key=self._key, digest_size=32).hexdigest()


def _seconds(until: datetime, now: datetime) -> float:
    return float(max(1, math.ceil((until - now).total_seconds())))
