"""Deletes many rows in short transactions: no lock lasts, no memory grows, and other writers get their turn. Source: PRODUCT.md P8."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnClause, ColumnElement, Connection, Engine, delete, func, select, text, true, tuple_, update
from sqlalchemy.sql.expression import UnaryExpression
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.sql.visitors import replacement_traverse

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
        """Delete rows that an index finds, or that are few; returns how many. Raises as `store.database.ours`."""
        return self._again_and_again(table, keys, where, delete(table))

    def walk(self, table: Any, key: str, where: ColumnElement[bool]) -> int:
        """Delete rows of a large table, walking along its key; returns how many. Raises as `store.database.ours`."""
        return self._along(table, table.c[key], where, delete(table))

    def update(self, table: Any, key: str, where: ColumnElement[bool], values: dict[str, Any]) -> int:
        """Change rows, walking along the key; returns how many. Raises as `store.database.ours`."""
        return self._along(table, table.c[key], where, update(table).values(values))

    def _along(self, table: Any, key: ColumnElement[Any], where: ColumnElement[bool], statement: Any) -> int:
        """Walk along the key: rows are looked for while nothing is locked, and none is looked at twice."""
        count, after = 0, true()
        if self._engine.dialect.name == "sqlite":
            where = by_key_alone(table, key, where)
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


def by_key_alone(table: Any, key: ColumnElement[Any], where: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition so that SQLite takes no index for it but the key's.

    It knows no numbers, so it would take the index of a project's name for the best way, and sort a million rows for each step.
    A plus before a column keeps it from that. Source: sqlite.org/optoverview.html, "disqualifying WHERE clause terms".
    """

    def plain(element: Any, **_more: Any) -> Any:
        if isinstance(element, ColumnClause) and element.table is table and element is not key:
            return UnaryExpression(element, operator=custom_op("+"), type_=element.type)
        return None

    found: ColumnElement[bool] = replacement_traverse(where, {}, plain)
    return found


def _wait_shortly(c: Connection) -> None:
    if c.dialect.name == "postgresql":
        c.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_MS}ms'"))
