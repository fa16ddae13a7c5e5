"""What a run would do, record by record: reads, maps and matches; writes nothing and keeps nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from integrator.connectors.entity import SYNTHETIC, reader
from integrator.engine.move import OpenFlow
from integrator.engine.write import same
from integrator.errors import MappingError, RecordError, TryAgainError
from integrator.mapping.projection import encode
from integrator.model.record import Found, Item


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of one record."""

    entity_id: str
    would: str  # create, update, skip or fail
    record: Any = field(repr=False, default=None)
    changes: dict[str, Any] = field(repr=False, default_factory=dict)
    why: str = ""


async def preview(flow: OpenFlow, limit: int, since: Any = None) -> AsyncIterator[Preview]:
    """Yield what would become of the first records that the source gives."""
    identify, seen = reader(flow.plan.spec.source.entity_id), 0
    pages = flow.source.pages(since, None)
    try:
        async for page in pages:
            for at, record in enumerate(page.records):
                if seen >= limit:
                    return
                seen += 1
                yield await _one(flow, record, identify, f"{SYNTHETIC}r{at}")
    finally:
        await pages.aclose()  # type: ignore[attr-defined]


async def _one(flow: OpenFlow, record: Any, identify: Any, unnamed: str) -> Preview:
    entity_id, mapped = unnamed, None
    plan = flow.plan
    try:
        if type(record) is not dict:
            raise RecordError("a record is not an object", stage="fetch")
        entity_id = identify(record)
        if plan.where is not None and not plan.where(record):
            return Preview(entity_id, "skip", why="where: is not true for it")
        mapped = plan.mapping(record)
        try:
            body = encode(mapped)
        except ValueError as fault:
            raise MappingError(str(fault)) from None
        return await _matched(flow, Item(entity_id, record, mapped, body, 0))
    except (RecordError, TryAgainError) as error:
        return Preview(entity_id, "fail", mapped, why=f"{type(error).__name__}: {error}")


async def _matched(flow: OpenFlow, item: Item) -> Preview:
    match = flow.plan.spec.destination.match
    if match is None:
        return Preview(item.entity_id, "create", item.mapped)
    found = await flow.destination.find(item)
    if found is None:
        would = match.missing
        return Preview(item.entity_id, would, item.mapped, why="" if would == "create" else "the destination has no such record")
    changes = differences(item.mapped, found)
    if match.found == "update" and not (match.same == "skip" and same(item.mapped, found.record)):
        return Preview(item.entity_id, "update", item.mapped, changes)
    would = "fail" if match.found == "fail" else "skip"
    return Preview(item.entity_id, would, item.mapped, changes, "the destination has it already")


def differences(mapped: Any, found: Found) -> dict[str, Any]:
    """Return member -> what is there and what would be written, for members that differ."""
    if not isinstance(mapped, dict):
        return {}
    return {n: {"from": found.record.get(n), "to": value} for n, value in mapped.items() if not same(value, found.record.get(n))}
