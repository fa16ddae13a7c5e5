"""Pages by their number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from integrator.model.pipe import Pages
from integrator.paging.pager import Ask, Got, listed, steps, total_of


@dataclass(frozen=True, slots=True)
class PageNumberPager:
    """Reads page after page until one is empty, or until the told total is reached.

    A short page does not end the list: a server may cap the page size below what was asked for, and stopping there
    would lose the rest without a sign.
    """

    per_page: int | None = None
    param: str = "page"
    size_param: str = "per_page"
    number: int = 1
    total: tuple[str | int, ...] | None = None

    TAKES: ClassVar[frozenset[str]] = frozenset({"per_page", "param", "size_param", "first", "total"})
    NEEDS: ClassVar[frozenset[str]] = frozenset()
    shifts: ClassVar[bool] = True

    @classmethod
    def of(cls, pages: Pages) -> Self:
        """Make it; parameters are `page` and `per_page`, from 1, unless the pipe says otherwise."""
        first = 1 if pages.first is None else pages.first
        return cls(pages.per_page, pages.param or "page", pages.size_param or "per_page", first, steps(pages.total))

    def paths(self) -> list[tuple[str | int, ...]]:
        """Return where the total stands."""
        return listed(self.total)

    def first(self) -> Ask:
        """Ask for the first page."""
        return self._ask(self.number, 0)

    def after(self, ask: Ask, got: Got) -> Ask | None:
        """Ask for the page with the next number."""
        seen = ask["seen"] + got.records
        total = total_of(got.answer, self.total)
        if got.records == 0 or (total is not None and seen >= total):
            return None
        return self._ask(ask["params"][self.param] + 1, seen)

    def _ask(self, number: int, seen: int) -> Ask:
        size = {} if self.per_page is None else {self.size_param: self.per_page}
        return {"params": {self.param: number, **size}, "seen": seen}
