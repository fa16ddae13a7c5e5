"""An open flow, and what writes its records: straight to the destination, or by way of its steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from integrator.authoring.planning import FlowPlan
from integrator.engine.absent import Absent
from integrator.engine.asking import Asked
from integrator.engine.conflicts import Conflicts
from integrator.engine.following import Following
from integrator.engine.looking_up import LookingUp, LookUps, all_of
from integrator.engine.marks import Marker
from integrator.engine.ports import Closes, Console, Destination, LookUp, Source
from integrator.engine.shadow import ShadowDestination
from integrator.engine.stepping import AT_ONCE, StepWriter
from integrator.engine.write import Outcome, Writer, refuse_when_all_busy
from integrator.errors import RecordError, StopRunError, TryAgainError
from integrator.model.record import Found, Item
from integrator.wire.message import Meter


@dataclass(slots=True)
class OpenFlow:
    """A flow with both its ends open."""

    plan: FlowPlan
    source: Source
    destination: Destination
    meters: list[Meter] = field(default_factory=list)
    in_flight_max: int = 64
    look_ups: list[LookUp] = field(default_factory=list)
    then: list[Destination] = field(default_factory=list)
    listing: Source | None = None
    others: list[Closes] = field(default_factory=list)
    """What look-ups and calls after the write are sent with, to be closed."""
    console: Console | None = None

    async def close(self) -> None:
        """Give connections back, and end the console log."""
        try:
            await self.source.close()
            await self.destination.close()
            for one in self.others:
                await one.close()
        finally:
            if self.console is not None:
                await asyncio.to_thread(self.console.close)


def writer_of(flow: OpenFlow, asked: Asked, absent: Absent | None) -> Writer | StepWriter:
    """Return what writes a flow's records."""
    plan, steps = flow.plan, flow.plan.steps
    spec = plan.spec.destination
    destination: Destination = ShadowDestination(flow.destination) if plan.spec.shadow else flow.destination
    conflicts = Conflicts(steps.newer, steps.than, plan.spec.source.delta) if steps.newer is not None else None
    writer = Writer(destination, spec.match, batched=spec.batch is not None, conflicts=conflicts)
    if not plan.late:
        return writer
    ups = [
        (step, LookingUp(step, port, writes=not plan.spec.shadow))
        for step, port in zip(steps.look_ups, flow.look_ups, strict=True)
    ]
    calls = [] if plan.spec.shadow else list(zip(steps.then, flow.then, strict=True))
    return StepWriter(plan, writer, destination, LookUps(ups), Following(calls), absent, hold=not asked.named)


def absent_of(flow: OpenFlow, marker: Marker, asked: Asked) -> Absent | None:
    """Return what looks for records that are absent at the source; None unless the run reads everything."""
    plan = flow.plan
    delete, listing = plan.spec.destination.delete, plan.steps.listing
    if delete is None or not delete.absent or listing is None or asked.few or asked.since is not None:
        return None
    return Absent(listing, marker) if asked.full or plan.spec.source.delta is None else None


async def delete_absent(flow: OpenFlow, absent: Absent) -> AsyncIterator[list[tuple[str, Outcome]]]:
    """Delete what is absent at the source, all or nothing; yields what became of some records at a time.

    Raises:
        StopRunError: it is more than delete.at_most allows; nothing is deleted.
        TryAgainError: the destination is away; those that were not yielded are still there.
    """
    delete, listing = flow.plan.spec.destination.delete, flow.listing
    if delete is None or listing is None or not absent.may_delete:
        return
    left = [(item, found) for item, found in await absent.left(listing) if not _is_gone(flow.destination, item, found)]
    if not absent.allows(len(left), delete.at_most):
        raise StopRunError(
            f"{len(left):,} of {absent.listed:,} records are absent at the source, more than delete.at_most allows; none was deleted. "
            "If they are to go, raise at_most and run again with --full"
        )
    destination: Destination = ShadowDestination(flow.destination) if flow.plan.spec.shadow else flow.destination
    for start in range(0, len(left), AT_ONCE):
        told = await all_of(_deleted(destination, item, found) for item, found in left[start : start + AT_ONCE])
        refuse_when_all_busy([outcome for _entity_id, outcome in told])
        yield told


def _is_gone(destination: Destination, item: Item, found: Found) -> bool:
    try:
        return destination.deleted(item, found)
    except RecordError:
        return False  # deleting it tells what is wrong


async def _deleted(destination: Destination, item: Item, found: Found) -> tuple[str, Outcome]:
    try:
        return item.entity_id, await destination.delete(item, found)
    except (RecordError, TryAgainError) as error:
        return item.entity_id, error
