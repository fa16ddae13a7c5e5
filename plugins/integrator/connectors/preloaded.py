"""Look-ups in a small table that is read once, from any connector, and held in this process's memory while the flow runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from integrator.connectors.entity import Steps
from integrator.errors import ConfigError, MappingError, SourceBrokenError
from integrator.mapping.casts import text_or_none
from integrator.mapping.compile import Made, Paths, Tables, compile_expression
from integrator.mapping.expression import ExpressionError, path_steps
from integrator.mapping.shapes import ShapeFault
from integrator.model import pipe
from integrator.paging.pager import at

ARGUMENTS = ["_i", "_r", "_l"]
RECORDS_MAX = 200_000
Question = tuple[str, ...]


class Pages(Protocol):
    """What a preloaded look-up asks of a source."""

    def pages(self, since: Any, start: dict[str, Any] | None) -> Any:
        """Yield pages."""


@dataclass(slots=True)
class PreloadPlan:
    """What a pipe says of a preloaded look-up, compiled."""

    spec: pipe.LookUp
    source: Any
    members: list[Steps]
    keys: list[Made]
    faults: list[ShapeFault] = field(default_factory=list)

    def used(self) -> list[Mapping[str, Paths]]:
        """Return what its parts read, by variable."""
        return [key.used for key in self.keys]


def as_source(spec: pipe.LookUp) -> pipe.Source:
    """Return the source that lists the table."""
    return pipe.Source(
        connector=spec.connector, credential=spec.credential, path=spec.path, params=spec.params, headers=spec.headers,
        records=spec.records, entity_id=next(iter(spec.key), "id"), pages=spec.pages,
    )  # fmt: skip


def compile_preload(spec: pipe.LookUp, source: Any, named: Mapping[str, str], tables: Tables) -> PreloadPlan:
    """Compile; faults are listed, not raised."""
    faults: list[ShapeFault] = list(source.faults)
    members: list[Steps] = []
    keys: list[Made] = []
    if not spec.key:
        faults.append(
            ShapeFault(("key",), "preload: needs key: {member of the list's records: expression}, such as {code: shipping_code}")
        )
    for member, expression in spec.key.items():
        try:
            members.append(path_steps(member))
        except ExpressionError as fault:
            faults.append(ShapeFault(("key", member), str(fault)))
        made = compile_expression(expression, ARGUMENTS, members="_i", named=named, tables=tables, path=("key", member))
        keys.append(made)
        faults += made.faults
    if isinstance(spec.missing, pipe.Create):
        faults.append(ShapeFault(("missing",), "create: is for look-ups that ask one by one, not beside preload:"))
    return PreloadPlan(spec, source, members, keys, faults)


class PreloadedLookUp:
    """Fits the engine's `LookUp`; reads the table when it is asked for the first time."""

    def __init__(self, name: str, plan: PreloadPlan, source: Pages) -> None:
        self._name, self._plan, self._source = name, plan, source
        self._table: dict[Question, list[dict[str, Any]]] | None = None
        self._reading = asyncio.Lock()

    def question(self, *scope: Any) -> Question | None:
        """Return the key to find, or None when a part of it is empty."""
        made = [text_or_none(key(*scope)) for key in self._plan.keys]
        return tuple(part for part in made if part) if all(made) else None

    async def ask(self, question: Question) -> list[dict[str, Any]]:
        """Return what stands in the table under that key.

        Raises:
            SourceBrokenError: the list has ended too soon, twice; what it does not hold would be taken for missing.
        """
        async with self._reading:
            if self._table is None:
                self._table = await self._read()
            if self._table is None:
                self._table = await self._read()
            if self._table is None:
                raise SourceBrokenError(f"look_up {self._name}: the list ends before as many records came as it tells")
        return self._table.get(question, [])

    async def create(self, *scope: Any) -> Any:
        """Refuse: the pipe's check lets no preloaded look-up create."""
        raise MappingError("a preloaded look-up creates nothing", stage="look_up")

    async def _read(self) -> dict[Question, list[dict[str, Any]]] | None:
        """Return the table; None when the list has ended too soon, as one does that shrinks while it is read."""
        table: dict[Question, list[dict[str, Any]]] = {}
        read, short = 0, False
        async for page in self._source.pages(None, None):
            read, short = read + len(page.records), short or page.short
            if read > RECORDS_MAX:
                raise ConfigError(f"look_up {self._name}: the list has more than {RECORDS_MAX:,} records; leave out preload:")
            for record in page.records:
                key = tuple(text_or_none(at(record, member)) or "" for member in self._plan.members)
                if all(key):
                    table.setdefault(key, []).append(record)
        return None if short else table
