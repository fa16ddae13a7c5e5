"""How far a flow has read: the inclusive lower bound, the overlap, and what was already dealt with inside it.

The cursor moves only to what was really seen, never beyond the run's own start, never back, and only when the whole
list was read and settled. Records at the edge are read again by the next run and recognised by (ID, version).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from integrator.engine.marks import Marker, read_versions
from integrator.errors import ConfigError, RecordError, StopRunError
from integrator.mapping import casts
from integrator.mapping.casts import MisfitError, Moment
from integrator.mapping.expression import path_steps
from integrator.model.pipe import Since
from integrator.model.run import Cursor
from integrator.paging.pager import at

SEEN_MAX = 1_000_000
"""Most records that one overlap may hold."""
_NUMERIC = ("number",)
Stamp = datetime | Decimal


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
        self._numeric = spec.format in _NUMERIC

    def bound(self) -> Moment | Decimal | int | None:
        """Return what to ask the source for: from where on, inclusive; None for everything."""
        if self._from is None:
            return None
        return written(self._from if self._asked_for else self._less_overlap(self._from), self._spec)

    def _less_overlap(self, stamp: Stamp) -> Stamp:
        """Return the inclusive bound that the next run asks with: what lies at or after it will be read again."""
        if isinstance(stamp, datetime):
            return _floor(stamp - self._spec.overlap, self._spec.precision)
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

    def fresh(self, entity_id: str, record: dict[str, Any]) -> bool:
        """Tell whether this version of the record is new to this flow, and remember it."""
        stamp = self.stamp(record)
        text = "null" if stamp is None else str(stamp)
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
        """Return the cursor after a list that was read to its end, or None when it does not move."""
        if self._max is None:
            return None
        value = self._max
        if isinstance(value, datetime):
            value = min(
                value, _floor(started_at, self._spec.precision)
            )  # a stamp from the future must not hide what comes before it
        if self._old is not None and value < self._old:  # type: ignore[operator]
            value = self._old
        low = self._less_overlap(value)
        kept = [self._marker.version(i, text) for i, (stamp, text) in self._recent.items() if stamp is None or stamp >= low]  # type: ignore[operator]
        old = self._seen if value == self._old else frozenset()
        return Cursor(cursor_text(value), b"".join({*kept, *old}))


def read_stamp(value: Any, spec: Since) -> Stamp | None:
    """Return a comparable stamp: an instant, or a number where the format is `number`.

    Raises:
        MisfitError: the value is not of that form.
    """
    if value is None or value == "":
        return None
    if spec.format in _NUMERIC:
        made = casts.number(value)
        return made if isinstance(made, Decimal) or made is None else Decimal(made)
    if isinstance(value, str) and spec.format != "iso":
        try:
            return (
                casts.as_datetime(value, "iso", spec.zone)
                if spec.format in ("epoch", "epoch_ms") and not value.isdecimal()
                else casts.as_datetime(value, spec.format, spec.zone)
            )
        except MisfitError:
            # The cursor and --from are ISO 8601 whatever the source's own format is.
            return casts.as_datetime(value, "iso", spec.zone)
    return casts.as_datetime(value, spec.format, spec.zone)


def written(stamp: Stamp, spec: Since) -> Moment | Decimal | int:
    """Return a stamp as the source writes it, cut down to its precision."""
    if isinstance(stamp, Decimal):
        return int(stamp) if stamp == int(stamp) else stamp
    stamp = _floor(stamp, spec.precision)
    if spec.format == "epoch":
        return int(stamp.timestamp())
    if spec.format == "epoch_ms":
        return int(stamp.timestamp() * 1000)
    return Moment.of(stamp.astimezone(casts.zone(spec.zone)), spec.format)


def _floor(stamp: datetime, step: timedelta) -> datetime:
    if step <= timedelta(0):
        return stamp
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (stamp.astimezone(UTC) - epoch) // step * step


def cursor_text(stamp: Stamp) -> str:
    """Return a stamp as the journal keeps it: ISO 8601 in UTC, or a number."""
    return stamp.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(stamp, datetime) else format(stamp, "f")


def checked_cursor(text: str, spec: Since) -> str:
    """Return a cursor that a person gave, in the journal's form.

    Raises:
        ConfigError: it is not a time (or number) of this flow.
    """
    try:
        made = read_stamp(text, spec)
    except MisfitError:
        made = None
    if made is None:
        raise ConfigError("give a time such as 2026-01-01T00:00:00Z" if spec.format not in _NUMERIC else "give a number")
    return cursor_text(made)
