"""How far a flow has read: the inclusive lower bound, the overlap, and what was already dealt with inside it.

The cursor moves only to what was really seen, never beyond the run's own start, never back, and only when the whole
list was read and settled. Records at the edge are read again by the next run and recognised by (ID, version).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zlib import crc32

from integrator.engine.marks import Marker, read_versions
from integrator.errors import RecordError, StopRunError
from integrator.mapping.casts import MisfitError, Moment
from integrator.mapping.expression import path_steps
from integrator.mapping.projection import encode
from integrator.mapping.stamps import Stamp, cursor_text, earliest_written, floor, read_stamp, written
from integrator.model.pipe import Since
from integrator.model.run import Cursor
from integrator.paging.pager import at

SEEN_MAX = 1_000_000
"""Most records that one overlap may hold."""


class Edge:
    """The cursor of one flow run."""

    def __init__(
        self, spec: Since, cursor: Cursor | None, marker: Marker, *, since: str | None = None, full: bool = False
    ) -> None:
        self._spec, self._marker = spec, marker
        self._path = path_steps(spec.field)
        self._old = None if cursor is None else read_stamp(cursor.value, spec)
        start = read_stamp(spec.start, spec) if spec.start else None
        self._from = read_stamp(since, spec) if since else None if full else (self._old if self._old is not None else start)
        self._asked_for = since is not None or full
        self._seen = frozenset() if self._asked_for or cursor is None else read_versions(cursor.seen)
        self._max: Stamp | None = None
        self._recent: dict[str, tuple[Stamp | None, str]] = {}
        self._prune_at = 50_000

    def bound(self) -> Moment | Decimal | int | None:
        """Return what to ask the source for: from where on, inclusive; None for everything."""
        if self._from is None:
            return None
        return written(self._from if self._asked_for else self._less_overlap(self._from), self._spec)

    def begin(self) -> datetime | None:
        """Return from when on a source that is read in windows is read; None when nothing says so."""
        begin = self._from if self._from is not None else read_stamp(self._spec.start, self._spec)
        if not isinstance(begin, datetime):
            return None
        low = begin if self._asked_for else self._less_overlap(begin)
        return low if isinstance(low, datetime) else None

    def _less_overlap(self, stamp: Stamp) -> Stamp:
        """Return the inclusive bound that the next run asks with: what lies at or after it will be read again."""
        if isinstance(stamp, datetime):
            return earliest_written(floor(stamp - self._spec.overlap, self._spec.precision), self._spec)
        return stamp - int(self._spec.overlap.total_seconds())

    def stamp(self, record: dict[str, Any]) -> Stamp | None:
        """Return when the record changed.

        Raises:
            RecordError: its stamp is not of the form that the pipe says.
        """
        value = at(record, self._path)
        try:
            return read_stamp(value, self._spec)
        except MisfitError:
            raise RecordError(
                "the record's since field is not of the form that since: says",
                stage="fetch",
                code="since_form",
                field=self._spec.field,
            ) from None

    def version(self, record: dict[str, Any]) -> str:
        """Return what tells this state of a record from another: its stamp, and a checksum of what is read of it.

        The stamp alone would hide a second change within its precision.
        """
        stamp = self.stamp(record)
        try:
            content = crc32(encode(record))
        except ValueError:
            content = 0
        return f"{'null' if stamp is None else stamp}|{content}"

    def fresh(self, entity_id: str, record: dict[str, Any], version: str | None = None) -> bool:
        """Tell whether this version of the record is new to this flow, and remember it."""
        stamp, text = self.stamp(record), version or self.version(record)
        if stamp is not None and (self._max is None or stamp > self._max):  # type: ignore[operator]
            self._max = stamp
        self._recent[entity_id] = (stamp, text)
        if len(self._recent) >= self._prune_at:
            self._prune()
        return not self._seen or self._marker.version(entity_id, text) not in self._seen

    def _prune(self) -> None:
        if self._max is None:
            return
        low = self._less_overlap(self._max)
        self._recent = {i: v for i, v in self._recent.items() if v[0] is None or v[0] >= low}  # type: ignore[operator]
        self._prune_at = max(50_000, 2 * len(self._recent))
        if len(self._recent) > SEEN_MAX:
            raise StopRunError(f"more than {SEEN_MAX:,} records changed within since.overlap; make it shorter")

    def moved(self, started_at: datetime) -> Cursor | None:
        """Return the cursor after a list that was read to its end, or None when it does not move.

        Args:
            started_at: when the flow run began, its first attempt if it was taken up again.
        """
        if self._max is None or self._left_a_gap():
            return None
        value = self._max
        if isinstance(value, datetime):
            # A stamp from the future must not hide what comes before it.
            value = min(value, floor(started_at, self._spec.precision))
        if self._old is not None and value < self._old:  # type: ignore[operator]
            value = self._old
        low = self._less_overlap(value)
        kept = [self._marker.version(i, text) for i, (stamp, text) in self._recent.items() if stamp is None or stamp >= low]  # type: ignore[operator]
        old = self._seen if value == self._old else frozenset()
        return Cursor(cursor_text(value), b"".join({*kept, *old}))

    def _left_a_gap(self) -> bool:
        """Tell whether a person asked from a time beyond the cursor, so that what lies between was not read."""
        return self._asked_for and None not in (self._from, self._old) and self._from > self._old  # type: ignore[operator]
