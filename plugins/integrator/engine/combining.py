"""Many rows to one record: grouped by what they have in common, in bounded memory; changed keys are read again as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any

from integrator.authoring.combining import CombinePlan
from integrator.connectors.entity import SYNTHETIC, reader
from integrator.engine.edge import Edge
from integrator.engine.looking_up import all_of
from integrator.engine.ports import Source
from integrator.errors import MappingError, RecordError, StopRunError
from integrator.mapping.casts import DIGITS_MAX, MisfitError, number
from integrator.mapping.projection import encode
from integrator.model.record import Page
from integrator.paging.pager import at

KEYS_MAX = 200_000
ROWS_MAX = 500_000
"""Rows that are held whole, where the record lists them."""
RECENT = 10_000
"""Rows that are remembered to notice one that comes twice."""
PAGE = 500  # combined records
_EXACT = Context(prec=DIGITS_MAX, traps=[Inexact, InvalidOperation, Overflow])
_GONE = (404, 410)
AT_ONCE = 8  # keys that are read again at one time


@dataclass(slots=True)
class _Group:
    record: dict[str, Any]
    rows: int = 0
    error: RecordError | None = None


@dataclass(slots=True)
class Groups:
    """Rows as they come, by key."""

    plan: CombinePlan
    row_id: Callable[[dict[str, Any]], str]
    by_key: dict[str, _Group] = field(default_factory=dict)
    held: int = 0
    recent: dict[str, int] = field(default_factory=dict)

    def _before(self, row: dict[str, Any]) -> bool | None:
        """Tell whether a row has come just before, as it does when pages shift while they are read; None: it was another then."""
        try:
            name, content = self.row_id(row), hash(encode(row))
        except (RecordError, ValueError):
            return False  # without an ID nobody can tell
        before = self.recent.get(name)
        if before is None:
            self.recent[name] = content
            if len(self.recent) > 2 * RECENT:
                for old in list(self.recent)[:-RECENT]:
                    del self.recent[old]
            return False
        return before == content or None

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Add a row to its record.

        Raises:
            StopRunError: there are more keys or rows than may be held.
        """
        plan, group, before = self.plan, self.by_key.get(key), self._before(row)
        if before:
            return
        if group is None:
            if len(self.by_key) >= KEYS_MAX:
                raise StopRunError(
                    f"combine: more than {KEYS_MAX:,} keys; read changes only (since:, refetch:), or a part at a time"
                )
            group = self.by_key[key] = _Group({name: at(row, path) for name, path in plan.by.items()})
            group.record |= {name: at(row, path) for name, path in plan.first.items()}
            group.record |= dict.fromkeys(plan.sum, 0)
            if plan.spec.list:
                group.record[plan.spec.list] = []
        if before is None:
            said = "a row came twice with different content; is the source's entity_id complete?"
            group.error = RecordError(said, stage="fetch", code="repeated_id")
        group.rows += 1
        group.record |= {name: at(row, path) for name, path in plan.last.items()}
        for name, path in plan.sum.items():
            self._add_up(group, name, at(row, path))
        if plan.spec.list:
            self.held += 1
            if self.held > ROWS_MAX:
                raise StopRunError(f"combine: more than {ROWS_MAX:,} rows to hold; read changes only (since:, refetch:)")
            group.record[plan.spec.list].append(row)

    def _add_up(self, group: _Group, name: str, value: Any) -> None:
        try:
            made = number(value)
        except MisfitError:
            group.error = MappingError(f"combine: {name} is not a number in one of the rows", stage="map", field=name)
            return
        if made is None:
            return
        total: Any = group.record[name]
        try:
            both_whole = isinstance(total, int) and isinstance(made, int)
            group.record[name] = total + made if both_whole else _EXACT.add(Decimal(total), Decimal(made))
        except ArithmeticError:
            group.error = MappingError(f"combine: {name} cannot be added up exactly", stage="map", field=name)

    def pages(self) -> Iterable[Page]:
        """Yield the combined records."""
        each = list(self.by_key.items())
        for start in range(0, len(each), PAGE):
            some = each[start : start + PAGE]
            good = [group for _key, group in some if group.error is None]
            broken: dict[str, Exception] = {key: group.error for key, group in some if group.error is not None}
            yield Page([group.record for group in good], broken=broken, sizes=[group.rows for group in good])


class Combining:
    """The pages of a flow that combines rows."""

    def __init__(self, plan: CombinePlan, source: Source, row_id: str | Sequence[str], edge: Edge | None) -> None:
        self._plan, self._source, self._edge = plan, source, edge
        self._row_id = reader(row_id)
        self._key = reader(plan.spec.by)

    async def combined(self, pages: AsyncIterator[Page]) -> AsyncIterator[Page]:
        """Yield combined records once all rows are read."""
        groups, changed, broken = Groups(self._plan, self._row_id), dict[str, None](), dict[str, Exception]()
        again = self._plan.spec.refetch is not None and self._edge is not None
        count = 0
        async for page in pages:
            if page.short:
                yield Page([], short=True)
            for row in page.records:
                count += 1
                try:
                    key = self._keyed(row)
                except RecordError as error:
                    broken[f"{SYNTHETIC}r{count}"] = error
                    continue
                if key is None:
                    continue
                if again:
                    changed[key] = None
                    if len(changed) > KEYS_MAX:
                        raise StopRunError(
                            f"combine: more than {KEYS_MAX:,} changed keys; make the first run start later (since.start)"
                        )
                else:
                    groups.add(key, row)
        if broken:
            yield Page([], broken=broken)
        if again:
            async for page in self.by_keys(list(changed), by_name=False):
                page.gone = []  # its rows are gone meanwhile: nothing to write, and no failure to settle
                yield page
        for page in groups.pages():
            yield page

    def _keyed(self, row: Any) -> str | None:
        """Return a row's key; None for one that this flow has dealt with before."""
        if type(row) is not dict:
            raise RecordError("a row is not an object", stage="fetch", code="not_an_object")
        key = self._key(row)
        if self._edge is not None and not self._edge.fresh(self._row_id(row), row):
            return None
        return key

    async def by_keys(self, keys: Sequence[str], *, by_name: bool = True) -> AsyncIterator[Page]:
        """Yield combined records of these keys, their rows read afresh.

        Args:
            keys: whose rows are read.
            by_name: whether a key that the source knows nothing of is gone; one that has just come is a failure.
        """
        for start in range(0, len(keys), AT_ONCE):
            page = Page([], gone=[], broken={}, sizes=[])
            await all_of(self._one(key, page) for key in keys[start : start + AT_ONCE])
            unknown = [key for key, error in page.broken.items() if by_name and getattr(error, "http_status", None) in _GONE]
            page.gone += unknown
            for key in unknown:
                del page.broken[key]
            yield page

    async def _one(self, key: str, page: Page) -> None:
        groups = Groups(self._plan, self._row_id)
        try:
            async for found in self._source.rows(key):
                page.bytes_read += found.bytes_read
                for row in found.records:
                    if type(row) is dict and self._key(row) == key:  # an answer may hold more than it was asked for
                        groups.add(key, row)
        except RecordError as error:
            error.stage = "fetch"
            page.broken[key] = error
            return
        group = groups.by_key.get(key)
        if group is None:
            page.gone.append(key)
        elif group.error is not None:
            page.broken[key] = group.error
        else:
            page.records.append(group.record)
            (page.sizes if page.sizes is not None else []).append(group.rows)
