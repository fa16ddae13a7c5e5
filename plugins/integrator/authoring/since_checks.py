"""What is wrong with a since: that only reading its values shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from integrator.mapping.casts import MisfitError, zone
from integrator.mapping.expression import ExpressionError, path_steps
from integrator.mapping.shapes import ShapeFault
from integrator.mapping.stamps import read_stamp
from integrator.model.pipe import Flow, Since


def check_since(spec: Flow) -> Sequence[ShapeFault]:
    """Return faults of since: that only reading its values shows."""
    since = spec.source.delta
    if since is None:
        return []
    faults: list[ShapeFault] = []
    place = ("source", "since")
    for name, look in (
        ("zone", lambda: zone(since.zone)),
        ("field", lambda: path_steps(since.field)),
        ("format", lambda: _try_format(since)),
    ):
        try:
            look()
        except (MisfitError, ExpressionError) as fault:
            faults.append(ShapeFault((*place, name), str(fault)))
    if not faults and since.start is not None:
        try:
            read_stamp(since.start, since)
        except MisfitError:
            faults.append(
                ShapeFault((*place, "start"), "not a time of this flow; write one such as 2026-01-01 or 2026-01-01T00:00:00Z")
            )
    return faults


def _try_format(since: Since) -> None:
    """Write an instant in the format and read it again.

    Raises:
        MisfitError: that does not work.
    """
    if since.format in ("iso", "epoch", "epoch_ms", "number"):
        return
    try:
        if "%" not in since.format:
            raise ValueError
        datetime.strptime(datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC).strftime(since.format), since.format)  # noqa: DTZ007 - thrown away
    except ValueError:
        raise MisfitError(
            f"{since.format!r} is no strptime format; such as %Y-%m-%d %H:%M:%S, or iso, epoch, epoch_ms, number"
        ) from None
