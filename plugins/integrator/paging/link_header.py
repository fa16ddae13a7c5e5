"""Pages by the Link header. Source: RFC 8288."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from integrator.model.pipe import Pages
from integrator.paging.pager import Ask, Got

_LINK = re.compile(r'<([^>]*)>((?:\s*;\s*[\w*-]+\s*=\s*(?:"[^"]*"|[^",;\s]+))*)')
_REL = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^",;\s]+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LinkHeaderPager:
    """Follows `Link: <...>; rel="next"`; it must not leave the credential's own host."""

    per_page: int | None = None
    size_param: str = "per_page"

    TAKES: ClassVar[frozenset[str]] = frozenset({"per_page", "size_param"})
    NEEDS: ClassVar[frozenset[str]] = frozenset()
    shifts: ClassVar[bool] = False

    @classmethod
    def of(cls, pages: Pages) -> Self:
        """Make it."""
        return cls(pages.per_page, pages.size_param or "per_page")

    def paths(self) -> list[tuple[str | int, ...]]:
        """Return nothing: only the header is read."""
        return []

    def first(self) -> Ask:
        """Ask for the list."""
        return {"params": {} if self.per_page is None else {self.size_param: self.per_page}}

    def after(self, ask: Ask, got: Got) -> Ask | None:
        """Follow the link whose relation is next."""
        del ask
        url = next_link(got.headers.get("Link", ""))
        return {"url": url} if url else None


def next_link(header: str) -> str | None:
    """Return the address with relation `next` in a Link header."""
    for url, parameters in _LINK.findall(header):
        found = _REL.search(parameters)
        if found and "next" in (found[1] or found[2] or "").lower().split():
            return str(url)
    return None
