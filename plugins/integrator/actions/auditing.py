"""The audit read: line by line, or whole as an export. For a project's owner and administrators; the platform's administrators read all of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from integrator.actions.who import Who
from integrator.model.access import Action
from integrator.model.audit import PLATFORM, Written

COLUMNS = ("at", "project", "number", "actor", "action", "target", "origin", "came", "detail")
AT_ONCE = 500
"""Lines of an export that are read, and handed out, at a time: nobody's slow reading keeps the database waiting."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""With one of these a spreadsheet's formula begins; the last four are their full-width forms."""
Place = tuple[datetime, str, int]
"""Where a line stands: its time, project and number."""


class Lines(Protocol):
    """Where lines are kept."""

    def lines(
        self,
        project: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: str | None = None,
        action: str | None = None,
        most: int | None = None,
        after: Place | None = None,
    ) -> Iterator[Written]:
        """Yield lines, the newest first."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines somebody wants to see.

    Attributes:
        project: None for those of every project, and the platform's own.
        action: may be without its verb.
    """

    project: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    action: str | None = None

    def given(self) -> dict[str, Any]:
        """Return what was asked for, beside the project."""
        return {"since": self.since, "until": self.until, "actor": self.actor, "action": self.action}


@dataclass(frozen=True, slots=True)
class Auditing:
    """What may be asked for of the audit."""

    kept: Lines

    def page(self, who: Who, wanted: Wanted, most: int, after: Place | None = None) -> list[Written]:
        """Return lines, the newest first.

        Raises:
            AccessError: they are not the asker's to read.
        """
        _need(who, wanted)
        return list(self.kept.lines(wanted.project, **wanted.given(), most=most, after=after))

    def export(self, who: Who, wanted: Wanted) -> Iterator[list[Written]]:
        """Return every line, some at a time; that somebody took them is a line too, written before.

        Raises:
            AccessError: they are not the asker's to read.
        """
        asked = {name: str(value) for name, value in wanted.given().items() if value is not None}
        with who.acting.doing("audit.export", wanted.project or PLATFORM, wanted.project or PLATFORM) as told_:
            told_.update(asked)
            _need(who, wanted)
        return self._all(wanted)

    def _all(self, wanted: Wanted) -> Iterator[list[Written]]:
        after: Place | None = None
        while found := list(self.kept.lines(wanted.project, **wanted.given(), most=AT_ONCE, after=after)):
            yield found
            after = place_of(found[-1])


def _need(who: Who, wanted: Wanted) -> None:
    if wanted.project is None or wanted.project == PLATFORM:
        who.need_platform()
    else:
        who.need(wanted.project, Action.CONFIGURE)


def place_of(one: Written) -> Place:
    """Return where a line stands among all."""
    return one.at, one.line.project, one.number


def told(one: Written) -> dict[str, Any]:
    """Return a line as it is shown."""
    line = one.line
    return {"at": one.at, "project": line.project, "number": one.number, "actor": line.actor, "action": line.action, "target": line.target,
            "origin": line.origin, "came": line.came.value, "detail": line.detail}  # fmt: skip


def words(one: Written) -> str:
    """Return a line's detail in words."""
    return ", ".join(f"{name} {value}" for name, value in one.line.detail.items())


def as_csv(lines: Iterable[Written], *, header: bool) -> str:
    """Return lines as CSV in which no cell is a formula."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    if header:
        writer.writeheader()
    for one in lines:
        writer.writerow({name: _inert(value) for name, value in {**told(one), "detail": words(one)}.items()})
    return out.getvalue()


def as_ndjson(lines: Iterable[Written]) -> str:
    """Return lines as JSON, one in each line."""
    return "".join(json.dumps({**told(one), "at": one.at.isoformat()}, ensure_ascii=False) + "\n" for one in lines)


def _inert(value: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text
