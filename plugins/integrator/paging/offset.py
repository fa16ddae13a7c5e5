"""Pages by how many records to leave out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from integrator.model.pipe import Pages
from integrator.paging.pager import Ask, Got, listed, steps, total_of


@dataclass(frozen=True, slots=True)
class OffsetPager:
    """Moves on by as many records as came, whatever was asked for, until a page is empty or the total is reached."""

    per_page: int | None = None
    param: str = "offset"
    size_param: str = "limit"
    start: int = 0
    total: tuple[str | int, ...] | None = None

    TAKES: ClassVar[frozenset[str]] = frozenset({"per_page", "param", "size_param", "first", "total"})
    NEEDS: ClassVar[frozenset[str]] = frozenset()
    shifts: ClassVar[bool] = True

    @classmethod
    def of(cls, pages: Pages) -> Self:
        """Make it; parameters are `offset` and `limit`, from 0, unless the pipe says otherwise."""
        return cls(pages.per_page, pages.param or "offset", pages.size_param or "limit", pages.first or 0, steps(pages.total))

    def paths(self) -> list[tuple[str | int, ...]]:
        """Return where the total stands."""
        return listed(self.total)

    def first(self) -> Ask:
        """Ask from the start."""
        return self._ask(0)

    def after(self, ask: Ask, got: Got) -> Ask | None:
        """Ask for what follows the records that came."""
        seen = ask["seen"] + got.records
        total = total_of(got.answer, self.total)
        return None if got.records == 0 or (total is not None and seen >= total) else self._ask(seen)

    def _ask(self, seen: int) -> Ask:
        size = {} if self.per_page is None else {self.size_param: self.per_page}
        return {"params": {self.param: self.start + seen, **size}, "seen": seen}
