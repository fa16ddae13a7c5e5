"""Pages by the address of the next one in the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from integrator.model.pipe import Pages
from integrator.paging.pager import Ask, Got, at, steps


@dataclass(frozen=True, slots=True)
class NextUrlPager:
    """Follows the address that the answer names; it must not leave the credential's own host."""

    next: tuple[str | int, ...]
    per_page: int | None = None
    size_param: str = "per_page"

    TAKES: ClassVar[frozenset[str]] = frozenset({"next", "per_page", "size_param"})
    NEEDS: ClassVar[frozenset[str]] = frozenset({"next"})
    shifts: ClassVar[bool] = False

    @classmethod
    def of(cls, pages: Pages) -> Self:
        """Make it."""
        return cls(steps(pages.next) or (), pages.per_page, pages.size_param or "per_page")

    def paths(self) -> list[tuple[str | int, ...]]:
        """Return where the next address stands."""
        return [self.next]

    def first(self) -> Ask:
        """Ask for the list."""
        return {"params": {} if self.per_page is None else {self.size_param: self.per_page}}

    def after(self, ask: Ask, got: Got) -> Ask | None:
        """Follow the address, if there is one."""
        del ask
        url = at(got.answer, self.next)
        return {"url": url} if isinstance(url, str) and url else None
