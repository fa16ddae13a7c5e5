"""Remembers, outside the database, what was deleted by hand: a restored backup would bring it back, and could not know.

One small object for each deletion, beside the console logs. It says whose rows went and when, and holds no entity ID.
Source: docs/decisions/044.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime

import msgspec

from integrator.store.console_files import Objects

ALL, CONSOLE, CREDENTIAL = "all", "console", "credential"
PLACE = "_deletions/"
"""No project has such a name."""


class Deleted(msgspec.Struct, frozen=True, omit_defaults=True):
    """One deletion by hand.

    Attributes:
        what: ALL; CONSOLE for console logs alone; CREDENTIAL for a credential, whose name then stands for the pipe's.
        at: when; whatever came later is not meant.
        before: only what was older than this.
        by: who.
    """

    what: str
    project: str | None
    at: datetime
    by: str
    pipe: str | None = None
    run_id: str | None = None
    before: datetime | None = None

    @property
    def up_to(self) -> datetime:
        """Everything older than this was meant."""
        return min(self.at, self.before or self.at)


class Ledger:
    """The deletions by hand, in the object store. Raises StopRunError where it refuses."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def note(self, deleted: Deleted) -> None:
        """Remember a deletion; before it begins, so that one which is interrupted is known too."""
        name = f"{PLACE}{deleted.at:%Y%m%dT%H%M%S}-{uuid.uuid4()}.json"
        self._objects.put(name, msgspec.json.encode(deleted))

    def entries(self) -> Iterator[tuple[str, Deleted]]:
        """Yield name and content, the oldest first; what is half written is passed over."""
        for name in sorted(self._objects.names(PLACE)):
            try:
                yield name, msgspec.json.decode(self._objects.get(name), type=Deleted)
            except (KeyError, msgspec.MsgspecError):
                continue

    def forget(self, before: datetime) -> int:
        """Forget deletions that are older than any plan keeps anything; returns how many."""
        old = [name for name, deleted in self.entries() if deleted.at < before]
        for name in old:
            self._objects.delete(name)
        return len(old)
