"""What the journal's twin in memory holds instead of rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from integrator.model.run import Counts, FailureRow, FlowKey, RunKey, Status


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
