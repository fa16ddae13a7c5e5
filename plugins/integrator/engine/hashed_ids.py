"""Entity IDs that are personal themselves: the journal keeps a keyed hash in place of each, and a rerun finds its records by reading the list.

Within a run an ID is as the source has it; what crosses to the journal is hashed, and what comes back is compared by its hash. Source: PRODUCT.md P1, P7.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from typing import Any

from integrator.connectors.entity import SYNTHETIC
from integrator.engine.ports import Journal
from integrator.errors import RecordError
from integrator.model.record import Held, Page
from integrator.model.run import FlowKey, Notes, Selection

PREFIX = "hash:"
_BYTES = 16
_LENGTH = len(PREFIX) + 2 * _BYTES


class KeptId(str):
    """An ID as the journal has it, so that it is not hashed once more."""

    __slots__ = ()


class Hasher:
    """Hashes a flow's entity IDs: the same ID of another flow has another hash.

    Args:
        key: of this flow's keyed hashes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = blake2b(b"entity IDs", key=key[:64], digest_size=32).digest()

    def __call__(self, entity_id: str) -> str:
        """Return what is kept of an ID; the name of a record without one is kept as it is."""
        if isinstance(entity_id, KeptId) or entity_id[0] == SYNTHETIC:
            return entity_id
        return KeptId(PREFIX + blake2b(entity_id.encode(), key=self._key, digest_size=_BYTES).hexdigest())

    def given(self, entity_id: str) -> str:
        """Return what is kept of an ID that a person gave: the source's, or the hash that a list of failures shows."""
        hashed = len(entity_id) == _LENGTH and entity_id.startswith(PREFIX)
        return KeptId(entity_id) if hashed else self(entity_id)


class _Ids(set[str]):
    """IDs as the journal has them, asked about with IDs as the source has them."""

    def __init__(self, kept: Iterable[str], hasher: Hasher) -> None:
        super().__init__(kept)
        self._hasher = hasher

    def __contains__(self, entity_id: object) -> bool:
        return super().__contains__(self._hasher(str(entity_id)))

    def add(self, entity_id: str) -> None:
        super().add(self._hasher(entity_id))

    def isdisjoint(self, others: Iterable[Any]) -> bool:
        return super().isdisjoint([self._hasher(one) for one in others])


class HashedJournal:
    """Fits `ports.Journal`; hands everything on to another, with hashes in place of IDs."""

    def __init__(self, inner: Journal, hasher: Hasher) -> None:
        self._inner, self.hasher = inner, hasher

    def __getattr__(self, name: str) -> Any:
        """Return what the other journal has: no other method is given an ID, or gives one."""
        return getattr(self._inner, name)

    def note(self, flow_run_id: str, owner: str, notes: Notes) -> None:
        """Write what is settled; the notes themselves stay as they are, since they may have to be written again."""
        kept = replace(
            notes,
            failures=[replace(one, entity_id=self.hasher(one.entity_id)) for one in notes.failures],
            succeeded=[self.hasher(one) for one in notes.succeeded],
            gone=[self.hasher(one) for one in notes.gone],
        )
        self._inner.note(flow_run_id, owner, kept)

    def open_failure_ids(self, key: FlowKey, limit: int) -> set[str] | None:
        """Return the IDs of unresolved failures, to be asked about."""
        found = self._inner.open_failure_ids(key, limit)
        return None if found is None else _Ids(map(KeptId, found), self.hasher)

    def claim(
        self, key: FlowKey, flow_run_id: str, owner: str, selection: Selection, limit: int, *, repeatable: bool
    ) -> list[str]:
        """Lease failures; returns hashes."""
        if selection.entity_ids is not None:
            selection = replace(selection, entity_ids=tuple(self.hasher.given(one) for one in selection.entity_ids))
        return [KeptId(one) for one in self._inner.claim(key, flow_run_id, owner, selection, limit, repeatable=repeatable)]

    def overdue(self, key: FlowKey, before: datetime) -> frozenset[str]:
        """Return the IDs that have waited for too long, to be asked about."""
        found: Any = _Ids(map(KeptId, self._inner.overdue(key, before)), self.hasher)
        return found  # type: ignore[no-any-return]

    def still_claimed(self, flow_run_id: str, entity_ids: Sequence[str]) -> dict[str, Held]:
        """Return what is known of those of these IDs whose failure this run still holds, by the IDs that were given."""
        kept = {self.hasher(one): one for one in entity_ids}
        return {kept[one]: held for one, held in self._inner.still_claimed(flow_run_id, list(kept)).items()}


async def found_in_list(pages: AsyncIterator[Page], wanted: set[str], hasher: Hasher, identify: Any) -> AsyncIterator[Page]:
    """Yield of a whole list the records whose IDs have these hashes, and at the end what became of the others.

    What a list that ended short does not hold may be there all the same: it is a failure and not gone.
    """
    left, short = set(wanted), False
    async for page in pages:
        short = short or page.short
        some = []
        for record in page.records:
            try:
                kept = hasher(identify(record))
            except RecordError:
                continue  # without a usable ID it is none of those that are looked for
            if kept in left:
                left.discard(kept)
                some.append(record)
        if some:
            yield Page(some, bytes_read=page.bytes_read)
    if left:
        lost = RecordError("the source's list ended short, so the record was not found", stage="fetch", code="list_short")
        yield Page([], broken=dict.fromkeys(sorted(left), lost)) if short else Page([], gone=sorted(left))
