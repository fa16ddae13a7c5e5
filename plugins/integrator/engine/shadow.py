"""A destination that is asked and never written to: what a run would do, without doing it."""

from __future__ import annotations

from collections.abc import Sequence

from integrator.engine.ports import Destination
from integrator.model.record import Found, Item
from integrator.model.run import Kind


class ShadowDestination:
    """Fits `Destination`; finds, and says what it would have done."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination

    async def find(self, item: Item) -> Found | None:
        """Look the record up by the flow's match rule."""
        return await self._destination.find(item)

    async def create(self, item: Item) -> Kind:
        """Write nothing."""
        return Kind.CREATED

    async def update(self, item: Item, found: Found) -> Kind:
        """Write nothing."""
        return Kind.UPDATED

    async def delete(self, item: Item, found: Found | None) -> Kind:
        """Delete nothing."""
        return Kind.DELETED

    def deleted(self, item: Item, found: Found) -> bool:
        """Tell whether it was deleted softly before."""
        return self._destination.deleted(item, found)

    async def write_batch(self, items: Sequence[Item]) -> list[Kind | Exception]:
        """Write nothing."""
        return [Kind.CREATED] * len(items)

    async def close(self) -> None:
        """Give connections back."""
        await self._destination.close()
