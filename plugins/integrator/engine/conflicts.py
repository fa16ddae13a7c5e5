"""Two-way syncs: which side of a record changed later."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from integrator.errors import RecordError
from integrator.mapping.casts import MisfitError, as_datetime
from integrator.mapping.compile import Made
from integrator.mapping.expression import path_steps
from integrator.mapping.stamps import read_stamp
from integrator.model.pipe import Since
from integrator.model.record import Found, Item
from integrator.paging.pager import at


class Conflicts:
    """Compares stamps.

    Args:
        newer: when the found record changed.
        than: when the record that was read changed; None: its since field.
        since: the source's since.
    """

    def __init__(self, newer: Made, than: Made | None, since: Since | None) -> None:
        self._newer, self._than, self._since = newer, than, since

    def lost(self, item: Item, found: Found) -> bool:
        """Tell whether the found record changed later than the one that was read, so that it stays as it is.

        Raises:
            RecordError: a stamp is missing or of a form that cannot be compared.
        """
        theirs, ours = _instant(self._newer(found.record)), self._ours(item)
        if theirs is None:
            return False  # never changed there since it was made
        if ours is None or isinstance(theirs, datetime) is not isinstance(ours, datetime):
            raise RecordError("conflict: the two sides' stamps cannot be compared", code="conflict_form")
        return bool(theirs > ours)

    def _ours(self, item: Item) -> Any:
        if self._than is not None:
            return _instant(self._than(item.source))
        assert self._since is not None  # noqa: S101 - the pipe's check
        try:
            return read_stamp(at(item.source, path_steps(self._since.field)), self._since)
        except MisfitError:
            return None


def _instant(value: Any) -> datetime | Decimal | None:
    if value is None or value == "":
        return None
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return Decimal(value)
    try:
        made = as_datetime(value)
    except MisfitError:
        raise RecordError("conflict: a stamp is not a time; datetime(x, form) makes one", code="conflict_form") from None
    try:
        return None if made is None else made.astimezone(UTC)
    except OverflowError:  # the first or the last day of all, in a zone that lies beyond it
        raise RecordError("conflict: a stamp is beyond all times", code="conflict_form") from None
