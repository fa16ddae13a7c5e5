"""Stamps that say when a record changed: read from a source in its form and zone, kept in ours, written back as it writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from integrator.errors import ConfigError
from integrator.mapping import casts
from integrator.mapping.casts import MisfitError, Moment
from integrator.model.pipe import Since

NUMERIC = ("number",)
DIGITS_MAX = 25
"""Digits of a stamp that is a number; a longer one is a mistake that would park the cursor for ever."""
DST_LOOK_AHEAD = timedelta(hours=3)
Stamp = datetime | Decimal


def read_stamp(value: Any, spec: Since) -> Stamp | None:
    """Return a comparable stamp: an instant, or a number where the format is `number`.

    Raises:
        MisfitError: the value is not of that form.
    """
    if value is None or value == "":
        return None
    if spec.format in NUMERIC:
        made = casts.decimal(value)
        if made is not None and (abs(made.adjusted()) > DIGITS_MAX or len(made.as_tuple().digits) > 2 * DIGITS_MAX):
            raise MisfitError(f"a stamp that is a number has at most {DIGITS_MAX} digits")
        return made
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
    stamp = floor(stamp, spec.precision)
    if spec.format == "epoch":
        return int(stamp.timestamp())
    if spec.format == "epoch_ms":
        return int(stamp.timestamp() * 1000)
    return Moment.of(earliest_written(stamp, spec), spec.format)


def earliest_written(stamp: datetime, spec: Since) -> datetime:
    """Return an instant in the source's zone whose local time no later stamp of the source lies below.

    When clocks are set back an hour is written twice; a source that compares local times without their offset would
    leave out the repeated hour if it were asked from inside the first one.
    """
    local = stamp.astimezone(casts.zone(spec.zone))
    if spec.zone == "UTC" or spec.format == "iso" or "%z" in spec.format:
        return local
    ahead = (local.astimezone(UTC) + timedelta(minutes=n) for n in range(int(DST_LOOK_AHEAD.total_seconds()) // 60))
    return min((one.astimezone(local.tzinfo) for one in ahead), key=lambda one: (one.replace(tzinfo=None), one.fold)).replace(
        fold=0
    )


def floor(stamp: datetime, step: timedelta) -> datetime:
    """Return the instant cut down to a whole number of steps."""
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
        raise ConfigError("give a time such as 2026-01-01T00:00:00Z" if spec.format not in NUMERIC else "give a number")
    return cursor_text(made)
