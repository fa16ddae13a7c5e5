"""What the purge tells. Source: PRODUCT.md P8."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

IDS_TOLD = 20
"""Most entity IDs of one flow that an announcement names."""


@dataclass(frozen=True, slots=True)
class Expiring:
    """Open failures of one flow that are announced now, since retention takes them soon.

    Attributes:
        count: how many.
        entity_ids: those that fail longest, up to IDS_TOLD.
        goes_at: when the first of them may go, 48 hours from now or later.
    """

    project: str
    pipe: str
    flow: str
    count: int
    entity_ids: tuple[str, ...]
    goes_at: datetime


@dataclass(slots=True)
class Purged:
    """What went of one project, or would go.

    Attributes:
        deleted: how many of what.
        announced: what was announced with this purge, and never again unless it fails anew.
        expiring: open failures that have been announced and are still there.
        fault: why something could not be deleted.
    """

    project: str
    plan: str
    deleted: dict[str, int] = field(default_factory=dict)
    announced: list[Expiring] = field(default_factory=list)
    expiring: int = 0
    fault: str | None = None
