"""What the journal's twin in memory holds instead of rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from typing import Any

from integrator.model.run import RERUNS_SEEN, Counts, FailureRow, FlowKey, Pulse, RunKey, Status, Trigger
from integrator.store.rules import GOOD, REGULAR


@dataclass(frozen=True, slots=True)
class Run:
    """A run, as it was asked for."""

    run_id: str
    project: str
    pipe: str
    asked: RunKey
    started_at: datetime


@dataclass(slots=True)
class FlowRun:
    """A flow run; not frozen, since it is what changes."""

    flow_run_id: str
    run_id: str
    key: FlowKey
    ordinal: int
    owner: str
    heartbeat_at: datetime
    started_at: datetime
    ended_at: datetime | None = None
    status: Status = Status.RUNNING
    counts: Counts = field(default_factory=Counts)
    checkpoint: dict[str, Any] | None = field(default=None, repr=False)
    cursor_before: str | None = None
    cursor_after: str | None = None
    error: str | None = None
    claimed_up_to: int = 0
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Announced:
    """Marks of records that are about to be sent."""

    key: FlowKey
    flow_run_id: str
    marks: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settled:
    """Marks of records that are settled."""

    key: FlowKey
    flow_run_id: str
    marks: bytes = field(repr=False)


@dataclass(slots=True)
class Kept:
    """A failure and what is not shown of it."""

    number: int
    key: FlowKey
    row: FailureRow
    first_run_id: str
    flow_run_id: str
    lease_flow_run_id: str | None = None


def pulse_of(flow_runs: list[tuple[FlowRun, Trigger]]) -> Pulse:
    """Return when a flow moved records, of its flow runs and what started each."""
    regular = [one for one, trigger in flow_runs if trigger in REGULAR]
    newest = sorted((one for one in regular if one.ended_at), key=_age)
    reruns = sorted((one for one, trigger in flow_runs if trigger is Trigger.RERUN and one.ended_at), key=_age, reverse=True)
    stopped = list(takewhile(lambda one: one.error is not None, reruns[:RERUNS_SEEN]))
    return Pulse(
        first_started_at=min((one.started_at for one in regular), default=None),
        last_good_at=max((one.ended_at for one in regular if one.ended_at and one.status in GOOD), default=None),
        last_read=newest[-1].counts.read if newest else None,
        last_ended_at=newest[-1].ended_at if newest else None,
        reruns_stopped=len(stopped),
        rerun_stopped_at=stopped[0].started_at if stopped else None,
    )


def _age(one: FlowRun) -> tuple[datetime, int, str]:
    return one.started_at, one.ordinal, one.run_id
