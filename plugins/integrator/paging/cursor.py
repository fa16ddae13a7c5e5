"""Pages by an opaque cursor that each answer hands out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from integrator.model.pipe import Pages
from integrator.paging.pager import Ask, Got, at, steps


@dataclass(frozen=True, slots=True)
class CursorPager:
    """Hands the last answer's cursor back until there is none."""

    next: tuple[str | int, ...]
    param: str = "cursor"
    per_page: int | None = None
    size_param: str = "limit"

    TAKES: ClassVar[frozenset[str]] = frozenset({"next", "param", "per_page", "size_param"})
    NEEDS: ClassVar[frozenset[str]] = frozenset({"next"})
    shifts: ClassVar[bool] = False

    @classmethod
    def of(cls, pages: Pages) -> Self:
        """Make it; the parameter is `cursor` unless the pipe says otherwise."""
        return cls(steps(pages.next) or (), pages.param or "cursor", pages.per_page, pages.size_param or "limit")

    def paths(self) -> list[tuple[str | int, ...]]:
        """Return where the next cursor stands."""
        return [self.next]

    def first(self) -> Ask:
        """Ask without a cursor."""
        return {"params": self._size()}

    def after(self, ask: Ask, got: Got) -> Ask | None:
        """Ask with the cursor that came; an empty page may still hand one out."""
        del ask
        cursor = at(got.answer, self.next)
        if cursor is None or cursor == "" or cursor is False:
            return None
        return {"params": {self.param: cursor, **self._size()}}

    def _size(self) -> Ask:
        return {} if self.per_page is None else {self.size_param: self.per_page}
