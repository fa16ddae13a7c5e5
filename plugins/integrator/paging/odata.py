"""OData's pages: the server's next link where there is one, `$skip` and `$top` where there is none. Source: OData 4.01, 11.2.6.7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from integrator.model.pipe import Pages
from integrator.paging.pager import Ask, Got, at, listed, steps, total_of

_LINKS = (("@odata.nextLink",), ("odata.nextLink",), ("__next",), ("d", "__next"))


@dataclass(frozen=True, slots=True)
class ODataPager:
    """Follows `@odata.nextLink` (also version 2 and 3's names); without one, and with per_page, skips what came."""

    per_page: int | None = None
    next: tuple[str | int, ...] | None = None
    total: tuple[str | int, ...] | None = None

    TAKES: ClassVar[frozenset[str]] = frozenset({"per_page", "next", "total"})
    NEEDS: ClassVar[frozenset[str]] = frozenset()
    shifts: ClassVar[bool] = True

    @classmethod
    def of(cls, pages: Pages) -> Self:
        """Make it."""
        return cls(pages.per_page, steps(pages.next), steps(pages.total))

    def paths(self) -> list[tuple[str | int, ...]]:
        """Return where the next link and the total may stand."""
        return listed(*_LINKS, self.next, self.total)

    def first(self) -> Ask:
        """Ask from the start."""
        return self._ask(0)

    def after(self, ask: Ask, got: Got) -> Ask | None:
        """Follow the next link, or skip the records that came."""
        seen = ask.get("seen", 0) + got.records
        for path in (self.next, *_LINKS):
            url = at(got.answer, path)
            if isinstance(url, str) and url:
                return {"url": url, "seen": seen}
        total = total_of(got.answer, self.total)
        if "url" in ask or self.per_page is None or got.records == 0 or (total is not None and seen >= total):
            return None
        return self._ask(seen)

    def _ask(self, seen: int) -> Ask:
        params = {} if self.per_page is None else {"$top": self.per_page, "$skip": seen}
        return {"params": params, "seen": seen}
