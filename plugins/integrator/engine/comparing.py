"""What is missing or different on the other side, as counts and IDs. Reads and asks both sides; writes and keeps nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from integrator.connectors.entity import SYNTHETIC
from integrator.engine.absent import Absent
from integrator.engine.combining import Combining
from integrator.engine.looking_up import all_of
from integrator.engine.marks import Marker
from integrator.engine.opening import OpenFlow
from integrator.engine.preview import Judging, Preview
from integrator.engine.windows import everything
from integrator.errors import ConfigError

AT_ONCE = 32
IDS_MAX = 100_000
"""Most IDs of a kind that are held; beyond it only counts go on."""


@dataclass(slots=True)
class Comparison:
    """What a comparison found; `same` records need nothing."""

    read: int = 0
    same: int = 0
    knows_extra: bool = False  # whether the key of each record at the source is known, so that the others can be told
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("missing", "different", "extra", "failed"), 0))
    ids: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in ("missing", "different", "extra", "failed")})

    def add(self, kind: str, entity_id: str) -> None:
        """Count a record, once for all its parts."""
        listed = self.ids[kind]
        if listed and listed[-1] == entity_id:
            return
        self.counts[kind] += 1
        if len(listed) < IDS_MAX:
            listed.append(entity_id)

    @property
    def to_move(self) -> list[str]:
        """IDs of records that a run would bring in step."""
        return list(dict.fromkeys([*self.ids["missing"], *self.ids["different"]]))


async def compare(flow: OpenFlow, hash_key: bytes, on_read: Callable[[int], None] | None = None) -> Comparison:
    """Compare everything that the flow carries with what the destination has.

    Raises:
        ConfigError: the flow has no match, so records cannot be found on the other side.
    """
    plan = flow.plan
    if plan.spec.destination.match is None:
        raise ConfigError(f"flow {plan.key.flow} has no match:, so what it wrote cannot be found again and compared")
    absent = Absent(plan.steps.listing, Marker(hash_key)) if plan.steps.listing is not None else None
    made, judging = Comparison(), Judging(flow, absent)
    async for records in _some(flow, absent):
        made.read += len(records)
        for shown in await all_of(judging.judge(record, f"{SYNTHETIC}r{at}") for at, record in enumerate(records)):
            _count(made, shown)
        if on_read is not None:
            on_read(made.read)
    made.knows_extra = absent is not None and not absent.blind
    if absent is not None and made.knows_extra and flow.listing is not None:
        for item, _found in await absent.left(flow.listing):
            made.add("extra", item.entity_id)
    return made


async def _some(flow: OpenFlow, absent: Absent | None) -> AsyncIterator[list[Any]]:
    pages: Any = everything(flow.source, flow.plan.spec.source.delta)
    if flow.plan.combine is not None:
        pages = Combining(flow.plan.combine, flow.source, flow.plan.spec.source.entity_id, None).combined(pages)
    async for page in pages:
        if absent is not None and (page.short or page.broken):
            absent.blind = True
        for start in range(0, len(page.records), AT_ONCE):
            yield page.records[start : start + AT_ONCE]


def _count(made: Comparison, shown: list[Preview]) -> None:
    before = sum(made.counts.values())
    for one in shown:
        if one.would == "create" or (one.found is None and one.why == "the destination has no such record"):
            made.add("missing", one.entity_id)
        elif one.would in ("fail", "wait") and one.found is None:
            made.add("failed", one.entity_id)
        elif one.changes or one.would == "delete":
            made.add("different", one.entity_id)
    if sum(made.counts.values()) == before:
        made.same += 1
