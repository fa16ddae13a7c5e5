"""Console logs: what a user chose to see of a pipe's calls, for how long, and what was written of a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Content(StrEnum):
    """What may be written of a call; each is switched on by itself."""

    CALL = "call"
    """Method, address without its query, status and duration."""
    HEADERS = "headers"
    PARAMS = "params"
    REQUEST_BODY = "request_body"
    RESPONSE_BODY = "response_body"


DEFAULT_HOURS = 24
MAX_MB = 50


@dataclass(frozen=True, slots=True)
class Switch:
    """A pipe's console log, switched on.

    Attributes:
        contents: what is written.
        until_at: when it switches itself off.
        max_mb: most compressed megabytes of one run.
    """

    project: str
    pipe: str
    contents: frozenset[Content]
    until_at: datetime
    max_mb: int
    enabled_by: str
    enabled_at: datetime
    reason: str | None = None


class LogState(StrEnum):
    """How a console log stands."""

    OPEN = "open"
    CLOSED = "closed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class ConsoleLog:
    """What was written of one flow run.

    Attributes:
        objects, bytes, lines: what lies in the object store.
        dropped: lines that were not written.
        fault: why some were not: `size_cap`, `store_fails`, `behind` (what was left at the end), `too_fast`, `switched_off`; None when all were.
    """

    id: str
    project: str
    pipe: str
    run_id: str
    flow: str
    attempt: int
    state: LogState
    started_at: datetime
    ended_at: datetime | None
    objects: int
    bytes: int
    lines: int
    dropped: int
    fault: str | None

    @property
    def prefix(self) -> str:
        """Where its objects lie, below the store's own prefix: `<project>/<pipe>/<run>/<flow>-<try>-`."""
        return f"{self.project}/{self.pipe}/{self.run_id}/{self.flow}-{self.attempt}-"

    def key(self, part: int) -> str:
        """Return one object's name."""
        return f"{self.prefix}{part:05d}.jsonl.gz"
