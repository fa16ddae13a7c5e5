"""The whole list in one answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from integrator.model.pipe import Pages
from integrator.paging.pager import Ask, Got


@dataclass(frozen=True, slots=True)
class SinglePager:
    """One page, then the end."""

    TAKES: ClassVar[frozenset[str]] = frozenset()
    NEEDS: ClassVar[frozenset[str]] = frozenset()
    shifts: ClassVar[bool] = True

    @classmethod
    def of(cls, pages: Pages) -> Self:
        """Make it; there is nothing to say."""
        del pages
        return cls()

    def paths(self) -> list[tuple[str | int, ...]]:
        """Return nothing: the answer's envelope is not read."""
        return []

    def first(self) -> Ask:
        """Ask for the list."""
        return {"params": {}}

    def after(self, ask: Ask, got: Got) -> Ask | None:
        """End."""
        del ask, got
        return None
