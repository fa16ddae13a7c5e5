"""What a run would do, record by record: reads, looks up, maps and matches; writes nothing and keeps nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from integrator.connectors.entity import SYNTHETIC, reader
from integrator.engine.absent import Absent
from integrator.engine.asking import Asked
from integrator.engine.combining import Combining
from integrator.engine.conflicts import Conflicts
from integrator.engine.opening import OpenFlow, writer_of
from integrator.engine.parts import Part, Work
from integrator.engine.stepping import StepWriter
from integrator.engine.windows import everything
from integrator.errors import MappingError, RecordError, TryAgainError, WaitingError
from integrator.mapping.projection import encode
from integrator.mapping.sameness import same
from integrator.model.record import Found, Item, Page
from integrator.model.run import Kind

NAMED = Asked(entity_ids=())


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of one record, or of one part of it."""

    entity_id: str
    would: str  # create, update, delete, skip, wait or fail
    record: Any = field(repr=False, default=None)
    changes: dict[str, Any] = field(repr=False, default_factory=dict)
    why: str = ""
    part: str = ""  # the part's key, where the flow splits its records
    source: Any = field(repr=False, default=None)
    found: Any = field(repr=False, default=None)


async def preview(flow: OpenFlow, limit: int, since: Any = None) -> AsyncIterator[Preview]:
    """Yield what would become of the first records that the source gives."""
    seen = 0
    pages: Any = flow.source.pages(since, None) if since is not None else everything(flow.source, flow.plan.spec.source.delta)
    if flow.plan.combine is not None:
        pages = Combining(flow.plan.combine, flow.source, flow.plan.spec.source.entity_id, None).combined(pages)
    judging = Judging(flow)
    try:
        async for page in pages:
            for at, record in enumerate(page.records):
                if seen >= limit:
                    return
                seen += 1
                for one in await judging.judge(record, f"{SYNTHETIC}r{at}"):
                    yield one
    finally:
        await pages.aclose()


async def look_at(flow: OpenFlow, entity_ids: Sequence[str]) -> AsyncIterator[Preview]:
    """Yield what would become of these records, read by their ID; one that is gone or cannot be read says so."""
    judging, plan = Judging(flow), flow.plan
    pages: AsyncIterator[Page] = (
        flow.source.by_ids(entity_ids)
        if plan.combine is None
        else Combining(plan.combine, flow.source, plan.spec.source.entity_id, None).by_keys(entity_ids)
    )
    async for page in pages:
        for record in page.records:
            for one in await judging.judge(record, SYNTHETIC):
                yield one
        for entity_id in page.gone:
            yield Preview(entity_id, "skip", why="the source has no such record any more")
        for entity_id, error in page.broken.items():
            yield Preview(entity_id, "fail", why=f"{type(error).__name__}: {error}")


class Judging:
    """Says what would become of records of one open flow, and changes nothing; `absent` is told of what was seen."""

    def __init__(self, flow: OpenFlow, absent: Absent | None = None) -> None:
        self._flow, self._plan, self._absent = flow, flow.plan, absent
        self._identify = reader(flow.plan.entity_id)
        shadow = replace(flow, plan=replace(flow.plan, spec=flow.plan.spec.model_copy(update={"shadow": True})))
        writer = writer_of(shadow, NAMED, absent)
        self._steps = writer if isinstance(writer, StepWriter) else None
        steps = flow.plan.steps
        self._conflicts = Conflicts(steps.newer, steps.than, flow.plan.spec.source.delta) if steps.newer is not None else None

    async def judge(self, record: Any, unnamed: str) -> list[Preview]:
        """Return what would become of a record; of each of its parts, where the flow splits it."""
        entity_id, plan = unnamed, self._plan
        try:
            if type(record) is not dict:
                raise RecordError("a record is not an object", stage="fetch")
            entity_id = self._identify(record)
            if plan.where is not None and not plan.where(record):
                return [Preview(entity_id, "skip", why="where: is not true for it", source=record)]
            parts = await self._parts(Item(entity_id, record, None, b"", 0))
        except (RecordError, TryAgainError) as error:
            if self._absent is not None:
                self._absent.blind = True
            return [Preview(entity_id, "fail", why=_why(error), source=record)]
        if not parts:
            return [Preview(entity_id, "skip", why="it has no parts", source=record)]
        return [await self._part(part) for part in parts]

    async def _parts(self, item: Item) -> list[Part]:
        if self._steps is None:
            item.mapped = self._plan.mapping(item.source)
            try:
                item.body = encode(item.mapped)
            except ValueError as fault:
                raise MappingError(str(fault)) from None
            return [Part(item)]
        work = Work(item)
        await self._steps.prepare(work)
        if isinstance(work.outcome, Exception):
            raise work.outcome
        return work.parts

    async def _part(self, part: Part) -> Preview:
        item = part.item
        shown = Preview(item.entity_id, "skip", item.mapped, part=part.key, source=item.parent or item.source)
        if isinstance(part.outcome, Kind):
            return replace(shown, why="a look-up finds nothing (missing: skip)")
        if part.outcome is not None:
            return replace(shown, would="wait" if isinstance(part.outcome, WaitingError) else "fail", why=_why(part.outcome))
        try:
            return await self._matched(item, shown)
        except (RecordError, TryAgainError) as error:
            return replace(shown, would="fail", why=_why(error))

    async def _matched(self, item: Item, shown: Preview) -> Preview:
        match = self._plan.spec.destination.match
        when = self._plan.steps.delete_when
        to_go = when is not None and bool(when(item.mapped, item.source, item.entity_id, item.looked, item.parent, None))
        found = await self._flow.destination.find(item) if match is not None else None
        if to_go:
            there = match is None or (found is not None and not self._flow.destination.deleted(item, found))
            return replace(
                shown, would="delete" if there else "skip", why="" if there else "delete.when is true, and it is not there"
            )
        if match is None:
            return replace(shown, would="create")
        if found is None:
            would = {"later": "wait"}.get(match.missing, match.missing)
            return replace(shown, would=would, why="" if would == "create" else "the destination has no such record")
        shown = replace(shown, changes=differences(item.mapped, found), found=found.record)
        if self._conflicts is not None and self._conflicts.lost(item, found):
            return replace(shown, why="the destination's record changed later (match.conflict)")
        if match.found == "update" and not (match.same == "skip" and same(item.mapped, found.record)):
            return replace(shown, would="update")
        return replace(shown, would="fail" if match.found == "fail" else "skip", why="the destination has it already")


def _why(error: object) -> str:
    return f"{type(error).__name__}: {error}"


def differences(mapped: Any, found: Found) -> dict[str, Any]:
    """Return member -> what is there and what would be written, for members that differ."""
    if not isinstance(mapped, dict):
        return {}
    return {n: {"from": found.record.get(n), "to": value} for n, value in mapped.items() if not same(value, found.record.get(n))}
