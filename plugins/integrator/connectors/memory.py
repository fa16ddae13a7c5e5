"""Records in this process's memory: for tests, and to try an engine without another system."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from integrator.connectors.entity import id_paths, reader
from integrator.errors import ConfigError, RecordError, RecordRefusedError
from integrator.mapping.compile import Made, Paths, Tables, compile_expression
from integrator.mapping.expression import ExpressionError
from integrator.mapping.shapes import ShapeFault
from integrator.model import pipe
from integrator.model.record import Found, Item, Page
from integrator.model.run import Kind
from integrator.settings import Settings

STORES: dict[str, list[dict[str, Any]]] = {}
"""Stores by the `path` that a pipe names."""


@dataclass(slots=True)
class MemoryPlan:
    """What a pipe says of a memory source or destination."""

    spec: Any
    faults: list[ShapeFault] = field(default_factory=list)
    source_paths: Paths = field(default_factory=set)
    parent_paths: Paths = field(default_factory=set)
    match: dict[str, Made] = field(default_factory=dict)

    @property
    def repeat_safe(self) -> bool:
        """Whether writing a record twice does no more than once."""
        return self.spec.match is not None

    @property
    def used(self) -> dict[str, Paths]:
        """What its match reads, by variable."""
        made: dict[str, Paths] = {}
        for one in self.match.values():
            for variable, paths in one.used.items():
                made.setdefault(variable, set()).update(paths)
        return made

    body_only: ClassVar[bool] = False


class MemorySource:
    """Fits the engine's `Source`; `pages.per_page` cuts the store into pages."""

    def __init__(self, spec: pipe.Source) -> None:
        self._spec = spec
        self._id_of = reader(spec.entity_id)

    async def pages(self, since: Any, start: dict[str, Any] | None, until: Any = None) -> AsyncIterator[Page]:
        """Yield pages; `since` is left to the engine's own filter."""
        del since, until
        size = self._spec.pages.per_page or 100
        records = STORES.setdefault(self._spec.path, [])
        for at in range(start["at"] if start else 0, len(records), size):
            yield Page(list(records[at : at + size]), {"at": at})

    async def by_ids(self, entity_ids: Sequence[str]) -> AsyncIterator[Page]:
        """Yield these records."""
        known: dict[str, Any] = {}
        for record in STORES.get(self._spec.path, []):
            try:
                known[self._id_of(record)] = record
            except RecordError:
                continue
        yield Page([known[i] for i in entity_ids if i in known], gone=[i for i in entity_ids if i not in known])

    async def rows(self, entity_id: str) -> AsyncIterator[Page]:
        """Refuse: the pipe's check lets no memory source be asked for the rows of a key."""
        raise ConfigError(f"a memory source cannot be asked for the rows of {entity_id!r}")
        yield Page([])  # type: ignore[unreachable]  # what makes it a generator

    async def close(self) -> None:
        """Nothing is open."""


class MemoryDestination:
    """Fits the engine's `Destination`. A match compares members of the mapped record with those of the store's."""

    def __init__(self, plan: MemoryPlan) -> None:
        self._plan = plan
        self._store = STORES.setdefault(plan.spec.path, [])

    async def find(self, item: Item) -> Found | None:
        """Return the one record whose members equal the match's params."""
        scope = (item.mapped, item.source, item.entity_id, item.looked, item.parent, item.answer)
        wanted = {name: made(*scope) for name, made in self._plan.match.items()}
        found = [at for at, one in enumerate(self._store) if all(one.get(n) == v for n, v in wanted.items())]
        if len(found) > 1:
            raise RecordRefusedError("several records match; the match is not unique", code="match_not_unique")
        return Found(str(found[0]), self._store[found[0]]) if found else None

    async def create(self, item: Item) -> Kind:
        """Append the record."""
        self._store.append(item.mapped)
        item.answer = item.mapped
        return Kind.CREATED

    async def update(self, item: Item, found: Found) -> Kind:
        """Write the record's members over the found one's."""
        self._store[int(found.id)] = {**found.record, **item.mapped}
        return Kind.UPDATED

    async def delete(self, item: Item, found: Found | None) -> Kind:
        """Remove the found record."""
        if found is None:
            return Kind.SKIPPED
        self._store[int(found.id)] = {}
        return Kind.DELETED

    def deleted(self, item: Item, found: Found) -> bool:
        """Say no: a memory store knows no soft deletes."""
        del item, found
        return False

    async def write_batch(self, items: Sequence[Item]) -> list[Kind | Exception]:
        """Append many."""
        self._store.extend(item.mapped for item in items)
        return [Kind.CREATED] * len(items)

    async def close(self) -> None:
        """Nothing is open."""


class MemoryConnector:
    """Fits `Connector`."""

    NEEDS_CREDENTIAL: ClassVar[bool] = False
    LOOKS_UP: ClassVar[bool] = False

    @staticmethod
    def compile_source(source: pipe.Source, tables: Tables, combine: pipe.Combine | None = None) -> MemoryPlan:
        """Compile; only the ID's paths can be faulty."""
        del tables, combine
        plan = MemoryPlan(source)
        try:
            id_paths(source.entity_id)
        except ExpressionError as fault:
            plan.faults.append(ShapeFault(("entity_id",), str(fault)))
        return plan

    @staticmethod
    def compile_destination(destination: pipe.Destination, tables: Tables, more: Mapping[str, str] | None = None) -> MemoryPlan:
        """Compile; a match's params are single expressions in braces."""
        plan = MemoryPlan(destination)
        named = {"record": "_m", "source": "_r", "entity_id": "_e", **(more or {})}
        for name, value in (destination.match.params if destination.match else {}).items():
            made = compile_expression(
                str(value).strip("{}"),
                ["_m", "_r", "_e", "_l", "_p", "_a"],
                members="_m",
                named=named,
                tables=tables,
                path=("match", "params", name),
            )
            plan.match[name] = made
            plan.faults += made.faults
            plan.source_paths |= made.used.get("_r", set())
            plan.parent_paths |= made.used.get("_p", set())
        return plan

    @staticmethod
    def compile_look_up(spec: pipe.LookUp, named: Mapping[str, str], tables: Tables) -> Any:
        """Refuse: a memory store is only listed."""
        del spec, named, tables
        raise ConfigError("a memory look-up needs preload: true and key:")

    @staticmethod
    def open_look_up(plan: Any, sender: Any, egress: Any) -> Any:
        """Refuse: a memory store is only listed."""
        del plan, sender, egress
        raise ConfigError("a memory look-up needs preload: true and key:")

    @staticmethod
    def open_source(plan: MemoryPlan, paths: Paths, carried: Paths, sender: Any, egress: Any, settings: Settings) -> MemorySource:
        """Return a source over the store of that name."""
        del paths, carried, sender, egress, settings
        return MemorySource(plan.spec)

    @staticmethod
    def open_destination(
        plan: MemoryPlan, sender: Any, egress: Any, hash_key: bytes, *, keeps_answers: bool = False
    ) -> MemoryDestination:
        """Return a destination over the store of that name."""
        del sender, egress, hash_key, keeps_answers
        return MemoryDestination(plan)
