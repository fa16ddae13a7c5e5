"""What a run is made of, and what may be kept of it. Source: PRODUCT.md P6."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

ENTITY_ID_BYTES = 256
"""Longest entity ID, as UTF-8 bytes. Longer ones are refused as a failed record."""
PARTS_MAX = 1000
"""Most part keys that a failure keeps; with more of them, all parts of its record are tried again."""


class Trigger(StrEnum):
    """What started a run."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    RERUN = "rerun"
    CALL = "call"


class Status(StrEnum):
    """How a flow run, and by derivation a run, stands."""

    RUNNING = "running"
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


class State(StrEnum):
    """Where a failure stands."""

    OPEN = "open"
    WAITING = "waiting"
    RETRYING = "retrying"
    RESOLVED = "resolved"
    IGNORED = "ignored"
    GONE = "gone"
    EXPIRED = "expired"


class Stage(StrEnum):
    """Where on its way a record failed."""

    FETCH = "fetch"
    MAP = "map"
    LOOK_UP = "look_up"
    LOAD = "load"
    THEN = "then"


class Kind(StrEnum):
    """What became of one record: an outcome."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    SKIPPED = "skipped"
    WAITING = "waiting"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Counts:
    """Numbers of one flow run. `read` is always the sum of the seven outcomes.

    `parts` counts, beside it, what records were split into, or the rows that were combined to records.
    """

    read: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    skipped: int = 0
    waiting: int = 0
    failed: int = 0
    unknown: int = 0
    parts: int = 0
    parts_failed: int = 0
    api_calls: int = 0
    retries: int = 0
    throttled_s: float = 0.0
    bytes_read: int = 0
    bytes_sent: int = 0

    def add(self, other: Counts) -> None:
        """Add another's numbers to these."""
        for name in COUNT_NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def count(self, kind: Kind, records: int = 1) -> None:
        """Count records that were read and had this outcome."""
        self.read += records
        setattr(self, kind.value, getattr(self, kind.value) + records)

    def adds_up(self) -> bool:
        """Tell whether the equation of PRODUCT.md P6 holds."""
        return self.read == sum(int(getattr(self, kind.value)) for kind in Kind)

    def as_dict(self) -> dict[str, Any]:
        """Return name -> number."""
        return {name: getattr(self, name) for name in COUNT_NAMES}


COUNT_NAMES = tuple(f.name for f in fields(Counts))


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed (or unknown) record: its ID and the reason, never its content."""

    entity_id: str
    stage: str
    error: str  # our own class name
    http_status: int | None = None
    code: str | None = None  # the other system's, [\w.-]{1,64}
    field: str | None = None  # path of the member that did not fit
    kind: Kind = Kind.FAILED
    parts: tuple[str, ...] = ()  # keys of the parts that failed, where the flow splits its records


@dataclass(frozen=True, slots=True)
class FlowKey:
    """Which flow: the names in `<project>.<pipe>` and the flow in it."""

    project: str
    pipe: str
    flow: str


@dataclass(frozen=True, slots=True)
class RunKey:
    """Which run: Airflow's own pair where Airflow started it, else only our UUID."""

    run_id: str  # our UUID; for Airflow runs the one proposed for a new run
    trigger: Trigger
    dag_id: str | None = None
    dag_run_id: str | None = None
    parent_run_id: str | None = None
    pipe_version: str = ""
    actor: str = ""  # who started it: cli:<os user>, airflow
    shadow: bool = False  # whether the flow run writes nothing


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a flow has read, and which records at that edge it has already dealt with."""

    value: str  # ISO 8601 UTC instant, or a number as text
    seen: bytes = field(default=b"", repr=False)  # keyed 8-byte hashes of (entity ID, version) inside the overlap


@dataclass(frozen=True, slots=True)
class OpenedFlowRun:
    """A flow run that may now move records.

    `own_marks` and `inherited_marks` are concatenated 12-byte entries (8 bytes keyed hash of the entity ID,
    4 bytes hash of what was sent): records that this flow run, or an earlier one that never ended, has settled.
    `in_doubt` are the entries it had announced and not settled.
    """

    run_id: str
    flow_run_id: str
    resumed: bool
    counts: Counts
    started_at: datetime
    checkpoint: dict[str, Any] | None = field(default=None, repr=False)
    cursor: Cursor | None = None
    own_marks: bytes = field(default=b"", repr=False)
    inherited_marks: bytes = field(default=b"", repr=False)
    in_doubt: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class Notes:
    """What is written in one transaction about records that are settled."""

    counts: Counts = field(default_factory=Counts)
    failures: list[Failure] = field(default_factory=list)
    succeeded: list[str] = field(default_factory=list)  # entity IDs whose open failures this resolves
    gone: list[str] = field(default_factory=list)  # entity IDs that no longer exist at the source
    marks: bytearray = field(default_factory=bytearray)  # 12-byte entries that are settled now
    checkpoint: dict[str, Any] | None = None  # where reading starts again after a crash
    settled_intents: list[int] = field(default_factory=list)  # announcements that are settled as a whole


DUE_WAIT_MAX_S = 86400.0
"""Longest wait between two attempts that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Due:
    """Which failures are tried again without being asked: those that may get better, each after a wait that doubles."""

    attempts: int  # most times a record is tried, the first one included
    back_off_s: float

    def wait_s(self, attempts: int) -> float:
        """Return how long to wait after so many attempts: doubled with each, a day at most."""
        return min(self.back_off_s * 2.0 ** min(attempts - 1, 60), DUE_WAIT_MAX_S)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which failures a rerun takes; no field set means all open ones."""

    run_id: str | None = None
    error: str | None = None
    entity_ids: tuple[str, ...] | None = field(default=None, repr=False)
    waiting: bool = False  # those that wait, instead of those that failed
    due: Due | None = None


RERUNS_SEEN = 12


@dataclass(frozen=True, slots=True)
class Pulse:
    """When a flow moved records by schedule or by hand; None where it never has."""

    first_started_at: datetime | None = None
    last_good_at: datetime | None = None  # end of the last flow run that was a success, or a partial one
    last_read: int | None = None  # records, in the last flow run that has ended
    last_ended_at: datetime | None = None
    reruns_stopped: int = 0  # last reruns in a row that an error ended, as when a system is away; up to RERUNS_SEEN
    rerun_stopped_at: datetime | None = None  # start of the last of them


@dataclass(frozen=True, slots=True)
class FlowReport:
    """What a flow run came to."""

    run_id: str
    flow_run_id: str
    status: Status
    counts: Counts
    seconds: float
    cursor_before: str | None = None
    cursor_after: str | None = None


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A failure as the journal shows it."""

    entity_id: str
    flow: str
    stage: str
    error: str
    http_status: int | None
    code: str | None
    field: str | None
    attempts: int
    state: State
    run_id: str
    first_failed_at: datetime
    last_failed_at: datetime
    resolved_run_id: str | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as the journal shows it; its status is derived from its flow runs."""

    run_id: str
    project: str
    pipe: str
    trigger: Trigger
    status: Status
    started_at: datetime
    ended_at: datetime | None
    dag_id: str | None
    dag_run_id: str | None
    parent_run_id: str | None
    pipe_version: str
    flows: dict[
        str, dict[str, Any]
    ]  # flow -> {"status", counts..., "started_at", "ended_at", "seconds", "error", "cursor_before", "cursor_after"}


_WORST_FIRST = (Status.RUNNING, Status.FAILED, Status.CANCELLED, Status.PARTIAL, Status.SUCCESS)


def derive(statuses: list[Status]) -> Status:
    """Return a run's status from its flow runs': the worst one; running while one runs."""
    return next((s for s in _WORST_FIRST if s in statuses), Status.SUCCESS)
