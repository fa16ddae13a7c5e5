"""A page's records, sorted into those to write and those that are settled at once. The hot path: a page at a time, few objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from integrator.authoring.planning import FlowPlan
from integrator.connectors.entity import SYNTHETIC, reader
from integrator.engine.absent import Absent
from integrator.engine.edge import Edge
from integrator.engine.marks import Marker, read_marks
from integrator.engine.parts import THEN, as_known
from integrator.engine.settling import Settling
from integrator.errors import ConfigError, MappingError, OutcomeUnknownError, RecordError
from integrator.mapping.compile import MISFITS
from integrator.mapping.projection import encode
from integrator.model.record import Held, Item, Page
from integrator.model.run import Kind, OpenedFlowRun

RECENT = 10_000
"""Records that a run remembers to notice one that comes twice (a page that shifted, a source that repeats itself)."""
_NOTHING: dict[str, Any] = {}


@dataclass(slots=True)
class _Before:
    """What earlier attempts have left."""

    own: dict[bytes, bytes]
    inherited: dict[bytes, bytes]
    in_doubt: dict[bytes, bytes]


class Sorter:
    """Turns pages into items."""

    def __init__(
        self,
        plan: FlowPlan,
        opened: OpenedFlowRun,
        settling: Settling,
        marker: Marker,
        edge: Edge | None,
        absent: Absent | None = None,
        *,
        follows_safely: bool = True,
    ) -> None:
        self._plan, self._settling, self._marker, self._edge = plan, settling, marker, edge
        self._id_of: Callable[[dict[str, Any]], str] = reader(plan.entity_id)
        self._late = plan.late
        self._absent = absent
        own = read_marks(opened.own_marks)
        in_doubt = {i: c for i, c in read_marks(opened.in_doubt).items() if i not in own and plan.announces}
        inherited = {} if plan.repeat_safe else read_marks(opened.inherited_marks)
        if not plan.repeat_safe:
            in_doubt = {i: c for i, c in in_doubt.items() if i not in inherited}
        self._before = _Before(own, inherited, in_doubt)
        self.looks_back = bool(self._before.own or self._before.inherited or self._before.in_doubt)
        self._recent: dict[str, int] = {}
        self._remembered = max(RECENT, plan.spec.source.pages.most or 0)  # a window that is halved gives its records again
        self._follows_safely = follows_safely
        self._body_only = bool(plan.destination.body_only)
        self._first = True

    def sort(self, page: Page, number: int) -> list[Item]:
        """Return the records to write; the others are settled."""
        items: list[Item] = []
        held, sizes = page.held, page.sizes
        unnamed: list[tuple[int, RecordError]] = []
        for at, record in enumerate(page.records):
            try:
                if type(record) is not dict:
                    raise RecordError("a record is not an object", stage="fetch", code="not_an_object")
                entity_id = self._id_of(record)
            except RecordError as error:
                unnamed.append((at, error))
                continue
            item = self._item(entity_id, record, number) if held is None else self._afresh(entity_id, record, number, held)
            if item is not None:
                if sizes is not None:
                    item.parts = sizes[at]
                items.append(item)
        if unnamed:
            self._settle_unnamed(unnamed, page, number)
        if len(self._recent) > 2 * self._remembered:
            for old in list(self._recent)[: -self._remembered]:
                del self._recent[old]
        self._first = self._first and not page.records
        return items

    def _settle_unnamed(self, unnamed: list[tuple[int, RecordError]], page: Page, number: int) -> None:
        """Note records without a usable ID by their place; when a whole first page is such, it is the pipe that is wrong."""
        if self._first and len(unnamed) == len(page.records):
            raise ConfigError(
                f"flow {self._plan.key.flow}: not one record of the first page has a usable entity_id; is the member's name right?"
            )
        self._unseen()
        for at, error in unnamed:
            self._settling.settle(number, f"{SYNTHETIC}p{number}r{at}", error, on_its_way=False)

    def _item(self, entity_id: str, record: dict[str, Any], number: int) -> Item | None:
        settle, plan, edge = self._settling.settle, self._plan, self._edge
        content, body = b"", b""
        try:
            if edge is not None:
                version = edge.version(record)
                content = version.encode()
                if not edge.fresh(entity_id, record, version) and not self._counted(entity_id, content):
                    settle(number, entity_id, Kind.SKIPPED, content, on_its_way=False, resolves=False)
                    return None
            if self.looks_back and self._counted(entity_id, content):
                return None
            if plan.where is not None and not plan.where(record):
                # A record that was written may no longer be wanted because of that; calls that it misses are left to a rerun.
                settle(number, entity_id, Kind.SKIPPED, content, on_its_way=False, resolves=not plan.steps.then)
                return None
            if self._late:
                return self._late_item(entity_id, record, number, content)
            mapped, body = self._mapped(record)
        except RecordError as error:
            self._unseen()
            if not (self.looks_back and self._counted(entity_id, content)):
                settle(number, entity_id, error, content, on_its_way=False)
            return None
        content = content or body
        if (self.looks_back or entity_id in self._recent) and self._dealt_with(entity_id, body, content, number):
            return None
        self._recent[entity_id] = hash(body)
        mark = self._marker.of(entity_id, content) if self._settling.marking else b""
        if self._body_only:  # letting go of the rest at once keeps few records in memory, which is also faster
            return Item(entity_id, _NOTHING, None, body, number, mark)
        return Item(entity_id, record, mapped, body, number, mark)

    def _mapped(self, record: dict[str, Any]) -> tuple[Any, bytes]:
        mapping = self._plan.mapping
        try:
            mapped = mapping.call(record)
        except MISFITS as misfit:
            raise mapping.misfit(misfit) from None
        try:
            return mapped, encode(mapped)
        except ValueError as fault:
            raise MappingError(str(fault), stage="map") from None

    def _afresh(self, entity_id: str, record: dict[str, Any], number: int, held: dict[str, Held]) -> Item | None:
        """Return the item of a record that was asked for by ID: whatever was settled before, it is to be written."""
        plan, known = self._plan, held.get(entity_id)
        written = known is not None and known.stage == THEN
        try:
            if plan.where is not None and not written and not plan.where(record):
                self._settling.settle(number, entity_id, Kind.SKIPPED, on_its_way=False)
                return None
            mapped, body = (None, encode(record)) if self._late else self._mapped(record)
        except (RecordError, ValueError) as fault:
            error = fault if isinstance(fault, RecordError) else MappingError("the record has no JSON form", stage="map")
            self._settling.settle(number, entity_id, as_known(error, known), on_its_way=False)
            return None
        mark = self._marker.of(entity_id, body) if self._settling.marking else b""
        return Item(entity_id, record, mapped, body, number, mark, held=known, follow=True)

    def _late_item(self, entity_id: str, record: dict[str, Any], number: int, content: bytes) -> Item | None:
        """Return the item of a record that is mapped on its way; what was read of it stands for what will be written."""
        try:
            content = content or encode(record)
        except ValueError:
            raise MappingError("the record has no JSON form", stage="map") from None
        mark = self._marker.of(entity_id, content)
        doubt = mark[:8] in self._before.in_doubt and self._plan.repeat_safe
        if not doubt and (self.looks_back or entity_id in self._recent) and self._dealt_with(entity_id, content, content, number):
            return None
        self._recent[entity_id] = hash(content)
        failed = self._settling.failed_before(entity_id)
        item = Item(entity_id, record, None, b"", number, mark if self._settling.marking else b"", in_doubt=doubt)
        item.follow = doubt or (bool(failed) and self._follows_safely)
        item.left_open = (bool(self._plan.steps.then) if failed is None else failed) and not item.follow
        return item

    def _unseen(self) -> None:
        if self._absent is not None:
            self._absent.blind = True

    def _counted(self, entity_id: str, content: bytes) -> bool:
        """Tell whether an earlier attempt of this flow run has settled the record; with a cursor, this version of it.

        Without a cursor a record that changed meanwhile is left to the next run, which reads it again anyway.
        """
        mark = self._marker.of(entity_id, content)
        found = self._before.own.get(mark[:8])
        return found is not None and (not content or found == mark[8:])

    def _dealt_with(self, entity_id: str, body: bytes, content: bytes, number: int) -> bool:
        """Settle a record that an earlier attempt, or this one, has dealt with; tell whether it was."""
        settle = self._settling.settle
        mark = self._marker.of(entity_id, content)
        identity, checksum = mark[:8], mark[8:]
        if identity in self._before.in_doubt:
            lost = OutcomeUnknownError("the record was being sent when an earlier attempt was cut off", code="cut_off")
            settle(number, entity_id, lost, content, on_its_way=False)
            return True
        if self._before.inherited.get(identity) == checksum:
            settle(number, entity_id, Kind.SKIPPED, content, on_its_way=False, resolves=False)
            return True
        if entity_id in self._recent:
            if self._recent[entity_id] == hash(body):
                settle(number, entity_id, Kind.SKIPPED, content, on_its_way=False, resolves=False)
                return True
            if not self._plan.repeat_safe:
                twice = RecordError(
                    "the ID came twice with different content; is entity_id complete?", stage="fetch", code="repeated_id"
                )
                settle(number, entity_id, twice, content, on_its_way=False)
                return True
        return False
