"""What a pager is. One file a kind; `registry.PAGERS` names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from integrator.errors import ConfigError
from integrator.mapping.expression import path_steps
from integrator.model.pipe import Pages
from integrator.registry import find, near

Ask = dict[str, Any]
"""A question for a page, as JSON: `params` to add to the flow's own, or a `url` in their place; and what the pager must
remember (`seen`: records so far). It is also the checkpoint."""


class Got(NamedTuple):
    """What came back for an ask."""

    records: int
    answer: Any  # the decoded answer, with the members that the pager reads
    headers: Mapping[str, str]


class Pager(Protocol):
    """How to go from one page to the next."""

    TAKES: ClassVar[frozenset[str]]
    NEEDS: ClassVar[frozenset[str]]
    shifts: ClassVar[bool]
    """Whether pages shift when records come and go while reading: then a crash restarts at the cursor, not at a page."""

    @classmethod
    def of(cls, pages: Pages) -> Self:
        """Make it from what the pipe says."""

    def paths(self) -> list[tuple[str | int, ...]]:
        """Return the paths of the answer that it reads."""

    def first(self) -> Ask:
        """Return the question for the first page."""

    def after(self, ask: Ask, got: Got) -> Ask | None:
        """Return the question for the next page, or None at the end."""


def pager_of(pages: Pages) -> Pager:
    """Return the pager that a pipe asks for.

    Raises:
        UnknownKindError: there is no such pager.
        ConfigError: a key is missing, or means nothing to this pager.
    """
    kind = find("pager", pages.by)
    given = {name for name in type(pages).model_fields if getattr(pages, name) is not None} - {"by", "most"}
    for name in sorted(given - kind.TAKES):
        raise ConfigError(f"pages by {pages.by} take no {name!r}; {near(name, kind.TAKES) if kind.TAKES else 'only by'}")
    for name in sorted(kind.NEEDS - given):
        raise ConfigError(f"pages by {pages.by} need {name!r}: where in the answer it stands, such as meta.{name}")
    pager: Pager = kind.of(pages)
    return pager


def at(answer: Any, steps: tuple[str | int, ...] | None) -> Any:
    """Return what stands at a path, or None."""
    for step in steps or ():
        if isinstance(answer, dict):
            answer = answer.get(step)
        elif isinstance(answer, list) and isinstance(step, int) and -len(answer) <= step < len(answer):
            answer = answer[step]
        else:
            return None
    return answer if steps else None


MISSING = object()
"""What `dig` returns for a member that is not there, which is not the same as a null."""


def dig(answer: Any, steps: tuple[str | int, ...]) -> Any:
    """Return what stands at a path: null where a null stands, MISSING where a member on the way is not there."""
    for step in steps:
        if isinstance(answer, dict):
            answer = answer.get(step, MISSING)
        elif isinstance(answer, list) and isinstance(step, int) and -len(answer) <= step < len(answer):
            answer = answer[step]
        else:
            return MISSING
    return answer


def steps(text: str | None) -> tuple[str | int, ...] | None:
    """Return a path's steps, or None when the pipe names no path."""
    return None if text is None else path_steps(text)


def total_of(answer: Any, path: tuple[str | int, ...] | None) -> int | None:
    """Return the number of all records that the answer tells, if it tells one."""
    value = at(answer, path)
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def listed(*paths: tuple[str | int, ...] | None) -> list[tuple[str | int, ...]]:
    """Return those paths that are given."""
    return [path for path in paths if path]
