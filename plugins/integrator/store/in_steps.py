"""Deletes many rows in short transactions: no lock lasts, no memory grows, and other writers get their turn. Source: PRODUCT.md P8."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, select, text, true, tuple_, update

from integrator.errors import TryAgainError
from integrator.store.database import reading, writing

FIRST, LEAST, MOST = 500, 20, 2000
"""Rows of one transaction: with how many it starts, and the bounds within which that number follows the time it takes."""
LONG_S, SHORT_S = 0.2, 0.05
"""A transaction that takes longer than the first is halved, one that takes less than the second is doubled."""
REST_S = 0.25
"""Longest rest between two transactions; each is as long as the transaction before it, so that others have half of the time."""
LOCK_WAIT_MS = 800
"""How long PostgreSQL waits for a row that somebody else holds: while it waits it may hold rows itself."""
TRIES = 5
PLACES = ("ctid", "rowid")
"""Where a row lies, for tables without a key."""


class Steps:
    """Changes rows a step at a time; a step that finds the database busy is tried again.

    Args:
        engine: of the database.
    """

    def __init__(self, engine: Engine, sleep: Callable[[float], None] = time.sleep) -> None:
        self._engine, self._sleep = engine, sleep
        self._rows = FIRST
        self.longest_s = 0.0
        """Longest transaction so far."""

    def count(self, table: Any, where: ColumnElement[bool]) -> int:
        """Return how many rows there are."""
        with reading(self._engine) as c:
            return int(c.scalar(select(func.count()).select_from(table).where(where)) or 0)

    def delete(self, table: Any, keys: tuple[str, ...], where: ColumnElement[bool]) -> int:
        """Delete rows; returns how many. Raises as `store.database.ours`."""
        return self._change(table, keys, where, delete(table))

    def update(self, table: Any, keys: tuple[str, ...], where: ColumnElement[bool], values: dict[str, Any]) -> int:
        """Change rows; returns how many. Raises as `store.database.ours`."""
        return self._change(table, keys, where, update(table).values(values))

    def _change(self, table: Any, keys: tuple[str, ...], where: ColumnElement[bool], statement: Any) -> int:
        if len(keys) > 1 or keys[0] in PLACES:
            return self._again_and_again(table, keys, where, statement)
        return self._along(table.c[keys[0]], where, statement)

    def _along(self, key: ColumnElement[Any], where: ColumnElement[bool], statement: Any) -> int:
        """Walk along the key: rows are looked for while nothing is locked, and none is looked at twice."""
        count, after = 0, true()
        while True:
            rows = self._rows
            with reading(self._engine) as c:
                some = list(c.scalars(select(key).where(where, after).order_by(key).limit(rows)))
            if some:
                count += self._step(statement.where(key.in_(some), where))
                after = key > some[-1]
            if len(some) < rows:
                return count

    def _again_and_again(self, table: Any, keys: tuple[str, ...], where: ColumnElement[bool], statement: Any) -> int:
        """Take the first rows there are, until there are none: for few rows, and keys that cannot be walked along."""
        columns, count = [table.c[name] for name in keys], 0
        while True:
            rows = self._rows
            some = select(*columns).where(where).limit(rows)
            among = columns[0].in_(some) if len(columns) == 1 else tuple_(*columns).in_(some)
            gone = self._step(statement.where(among))
            count += gone
            if gone < rows:
                return count

    def _step(self, statement: Any) -> int:
        began = time.monotonic()
        gone = self._one(statement)
        took = time.monotonic() - began
        self.longest_s = max(self.longest_s, took)
        self._rows = max(LEAST, self._rows // 2) if took > LONG_S else min(MOST, self._rows * 2) if took < SHORT_S else self._rows
        self._sleep(min(REST_S, took))
        return gone

    def _one(self, statement: Any) -> int:
        for attempt in range(1, TRIES + 1):
            try:
                with writing(self._engine) as c:
                    _wait_shortly(c)
                    return int(c.execute(statement).rowcount)
            except TryAgainError:
                if attempt == TRIES:
                    raise
                self._sleep(attempt)
        raise AssertionError  # the last attempt returns or raises


def _wait_shortly(c: Connection) -> None:
    if c.dialect.name == "postgresql":
        c.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_MS}ms'"))
