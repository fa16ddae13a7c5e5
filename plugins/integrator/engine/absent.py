"""Deletes, after a full run, of what the destination lists and the source no longer has. Any doubt, and nothing is deleted."""

from __future__ import annotations

from typing import Any

from integrator.authoring.step_plans import ListStep
from integrator.connectors.entity import SYNTHETIC, may_be_kept
from integrator.engine.marks import Marker
from integrator.engine.ports import Source
from integrator.errors import RecordError, StopRunError
from integrator.mapping.casts import MisfitError, text
from integrator.model.record import Found, Item
from integrator.paging.pager import at

SEEN_MAX = 5_000_000
ABSENT_MAX = 100_000


class Absent:
    """What a run has seen of the source, as keyed hashes, and what that leaves at the destination.

    Args:
        step: how the destination's records are listed and told apart.
        marker: makes the hashes.
    """

    def __init__(self, step: ListStep, marker: Marker) -> None:
        self._step, self._marker = step, marker
        self._seen: set[bytes] = set()
        self.blind = False  # whether a record was read whose key is not known
        self.listed = 0

    def see(self, item: Item) -> None:
        """Remember a record of the source.

        Raises:
            StopRunError: there are more than can be remembered.
        """
        try:
            key = self.key_of(item)
        except RecordError:
            key = None
        if key is None:
            self.blind = True
            return
        self._seen.add(self._marker.version(key, ""))
        if len(self._seen) > SEEN_MAX:
            raise StopRunError(f"more than {SEEN_MAX:,} records; delete: {{absent: true}} is for less")

    def key_of(self, item: Item) -> str | None:
        """Return what tells a mapped record from others; None when a part of it is empty."""
        scope = (item.mapped, item.source, item.entity_id, item.looked, item.parent, None)
        return _joined([key(*scope) for key in self._step.keys])

    @property
    def may_delete(self) -> bool:
        """Whether the source was seen as a whole: it gave records, and the key of each is known."""
        return not self.blind and bool(self._seen)

    async def left(self, listing: Source) -> list[tuple[Item, Found]]:
        """Return what the destination lists and the source does not have.

        Raises:
            StopRunError: it is so much that something must be wrong.
        """
        left: dict[str, tuple[Item, Found]] = {}  # by ID: a list whose pages shift gives some of them twice
        async for page in listing.pages(None, None):
            for record in page.records:
                self.listed += 1
                key = _joined([at(record, path) for path in self._step.members]) if isinstance(record, dict) else None
                identity = at(record, self._step.id) if key is not None else None
                if key is None or type(identity) not in (str, int) or identity == "":
                    continue  # without a key or an ID it cannot be said to be one of ours
                if self._marker.version(key, "") not in self._seen and str(identity) not in left:
                    named = key if may_be_kept(key) else f"{SYNTHETIC}absent{self.listed}"
                    left[str(identity)] = (Item(named, {}, {}, b"", 0), Found(str(identity), record))
                    if len(left) > ABSENT_MAX:
                        raise StopRunError(f"more than {ABSENT_MAX:,} records are absent at the source; none was deleted")
        return list(left.values())

    def allows(self, left: int, at_most: float) -> bool:
        """Tell whether so many deletes are within `at_most`, a number or a share of what is listed."""
        return left <= (at_most if isinstance(at_most, int) else at_most * self.listed)


def _joined(values: list[Any]) -> str | None:
    try:
        parts = [text(value) for value in values]
        made = "/".join(part for part in parts if part) if all(parts) else None
        return made if made is None or made.encode() else None
    except (MisfitError, UnicodeEncodeError):
        return None
