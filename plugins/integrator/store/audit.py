"""The audit: lines are added and never changed; each carries a keyed hash over itself and the one before, so that tampering shows.

A project's lines are a chain of their own, since each project keeps them for as long as its plan says. What a purge takes is the
chain's beginning, and the line that tells of the purge holds the hash at which the rest goes on.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine, Select, delete, func, insert, select

from integrator.errors import ConfigError
from integrator.model.audit import PLATFORM, TEXT_MAX, Came, Detail, Line, Written
from integrator.store.database import lock, reading, writing
from integrator.store.tables import audit_lines

Place = tuple[datetime, str, int]
"""Where a line stands among all: its time, project and number."""
PURGED = "audit.purge"
AT_ONCE = 1000
logger = logging.getLogger("integrator.audit")
"""Where each line goes too, as JSON at INFO: whoever collects a platform's logs has a copy that no database role can reach."""


@dataclass(frozen=True, slots=True)
class Tampered:
    """Something that does not fit: a line that was changed, taken out, put in, or cut off at the end."""

    project: str
    number: int
    what: str


class SqlAudit:
    """Keeps the audit in the journal's database. Raises as `store.database.ours`.

    Args:
        key: of the keyed hashes.
        heads: file outside the database to which the newest hash goes with each line; None for none.
        logs: whether each line goes to the log too; not so in a command, whose output is its result.
    """

    def __init__(
        self,
        engine: Engine,
        key: bytes,
        heads: Path | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        logs: bool = True,
    ) -> None:
        self._engine, self._key, self.heads, self._now, self._logs = engine, key, heads, now, logs

    def add(self, line: Line) -> Written:
        """Write a line."""
        with writing(self._engine) as c:
            written = self._add(c, _cut(line))
        self._outside(written)
        return written

    def _add(self, c: Any, line: Line) -> Written:
        lock(c, f"integrator audit {line.project}")  # the next one needs this one's hash
        newest = select(audit_lines.c.number, audit_lines.c.digest).where(audit_lines.c.project == line.project)
        before = c.execute(newest.order_by(audit_lines.c.number.desc()).limit(1)).first()
        number, digest = (1, "") if before is None else (before.number + 1, before.digest)
        at = self._now()
        written = Written(number, at, self._digest(digest, number, at, line), line)
        c.execute(insert(audit_lines).values(_row(written)))
        return written

    def _digest(self, before: str, number: int, at: datetime, line: Line) -> str:
        said = [before, number, at.astimezone(UTC).isoformat(), *msgspec.to_builtins(line, order="sorted").items()]
        return hmac.new(self._key, json.dumps(said, sort_keys=True).encode(), sha256).hexdigest()

    def _outside(self, written: Written) -> None:
        line = written.line
        head = {"project": line.project, "number": written.number, "digest": written.digest}
        if self._logs:
            logger.info("%s", json.dumps({**head, "at": written.at.isoformat(), **msgspec.to_builtins(line)}))
        if self.heads is None:
            return
        text = json.dumps(head)  # no names: this file knows no plan by which it would forget them
        try:
            with os.fdopen(os.open(self.heads, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as out:
                out.write(text + "\n")
        except OSError as error:  # the line itself is kept; what it shows later is only weaker
            logger.warning("the audit's log %s cannot be written: %s", self.heads, error.strerror)

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
        """Yield lines, the newest first. An action may be given without its verb.

        Args:
            after: only what comes behind this line.
        """
        a = audit_lines.c
        asked: Select[Any] = select(audit_lines)
        if project is not None:  # by its chain, which is an index of its own: a page of a long one costs no sorting
            asked = asked.where(a.project == project).order_by(a.number.desc())
        else:
            asked = asked.order_by(a.at.desc(), a.project, a.number.desc())
        if after is not None:
            at, of, number = after
            behind = (a.at < at) | ((a.at == at) & ((a.project > of) | ((a.project == of) & (a.number < number))))
            asked = asked.where(behind if project is None else a.number < number)
        if since is not None:
            asked = asked.where(audit_lines.c.at >= since)
        if until is not None:
            asked = asked.where(audit_lines.c.at < until)
        if actor is not None:
            asked = asked.where(audit_lines.c.actor == actor)
        if action is not None:
            asked = asked.where(audit_lines.c.action.startswith(action, autoescape=True))
        with reading(self._engine) as c:
            for row in c.execution_options(yield_per=AT_ONCE).execute(asked.limit(most)):
                yield _written(row)

    def projects(self) -> list[str]:
        """Return every project that has lines, the platform's own (empty) with them."""
        with reading(self._engine) as c:
            return list(c.scalars(select(audit_lines.c.project).distinct().order_by(audit_lines.c.project)))

    def purge(self, project: str, before: datetime, actor: str, *, dry: bool = False) -> int:
        """Delete a project's lines from before an instant, and say so in a line; returns how many went or would go."""
        of = audit_lines.c.project == project
        with reading(self._engine) as c:
            through = c.scalar(select(func.max(audit_lines.c.number)).where(of & (audit_lines.c.at < before)))
            if through is None:
                return 0
            last = c.execute(select(audit_lines).where(of & (audit_lines.c.number == through))).one()
            count = int(c.scalar(select(func.count()).where(of & (audit_lines.c.number <= through))) or 0)
        if dry:
            return count
        # Told before it is done: a purge that breaks off leaves too much, and the chain holds either way.
        self.add(Line(actor, PURGED, project, detail={"through": through, "digest": last.digest, "lines": count}))
        while True:
            some = select(audit_lines.c.number).where(of & (audit_lines.c.number <= through)).limit(AT_ONCE)
            with writing(self._engine) as c:
                gone = c.execute(delete(audit_lines).where(of & audit_lines.c.number.in_(some))).rowcount
            if gone < AT_ONCE:
                return count

    def verify(self) -> list[Tampered]:
        """Return what does not fit; nothing where the audit is whole."""
        heads = self._known_heads()
        told: list[Tampered] = []
        for project in sorted({*self.projects(), *heads}):
            told += self._verify(project, heads.get(project, {}))
        return told

    def _verify(self, project: str, heads: dict[int, str]) -> list[Tampered]:
        told: list[Tampered] = []
        allowed: dict[int, str] = {}  # number through which a purge took lines -> digest at which the rest goes on
        first: Any = None
        before: Any = None
        asked = select(audit_lines).where(audit_lines.c.project == project).order_by(audit_lines.c.number)
        with reading(self._engine) as c:
            for row in c.execution_options(yield_per=AT_ONCE).execute(asked):
                if before is None:
                    first = row
                elif row.number != before.number + 1:
                    told.append(Tampered(project, before.number + 1, "lines are missing from here on"))
                elif not self._fits(before.digest, row):
                    told.append(Tampered(project, row.number, "this line was changed or put in"))
                if row.action == PURGED:
                    allowed |= _purged(row)
                if heads.pop(row.number, row.digest) != row.digest:
                    told.append(Tampered(project, row.number, "this line is another one than the log outside the database says"))
                before = row
        if first is not None:
            start = "" if first.number == 1 else allowed.get(first.number - 1)
            if start is None:
                told.append(Tampered(project, first.number, "lines before this one are missing, and no purge tells of it"))
            elif not self._fits(start, first):
                told.append(Tampered(project, first.number, "this line was changed or put in"))
        newest, gone = before.number if before else 0, max(allowed, default=0)
        cut = sorted(number for number in heads if number > max(newest, gone))
        if cut:
            told.append(Tampered(project, cut[0], "lines are cut off from here on: the log outside the database has them"))
        return told

    def _fits(self, before: str, row: Any) -> bool:
        try:
            one = _written(row)
        except ValueError:
            return False  # it cannot be read, so it was not written here
        return hmac.compare_digest(self._digest(before, one.number, one.at, one.line), one.digest)

    def _known_heads(self) -> dict[str, dict[int, str]]:
        """Return number -> digest for each project, from the log outside the database."""
        found: dict[str, dict[int, str]] = {}
        if self.heads is None or not self.heads.is_file():
            return found
        with self.heads.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    made = json.loads(line)
                    found.setdefault(str(made["project"]), {})[int(made["number"])] = str(made["digest"])
                except (ValueError, KeyError, TypeError):
                    continue  # a line that a full disk cut off says nothing
        return found


def heads_file(audit_log: str, home: str) -> Path | None:
    """Return the file of the newest hashes; None where the settings say `none`.

    Raises:
        ConfigError: its folder is not there.
    """
    if audit_log == "none":
        return None
    path = Path(audit_log) if audit_log else Path(home) / "audit.log"
    if not path.parent.is_dir():
        raise ConfigError(f"[integrator] audit_log: there is no folder {path.parent}")
    return path


def _purged(row: Any) -> dict[int, str]:
    try:
        detail = json.loads(row.detail)
        return {int(detail["through"]): str(detail["digest"])}
    except (ValueError, KeyError, TypeError):
        return {}  # it does not fit, and is told so


def _cut(line: Line) -> Line:
    def text(value: str) -> str:
        return "".join(sign if sign.isprintable() else "?" for sign in value[:TEXT_MAX])

    detail: Detail = {name: text(value) if isinstance(value, str) else value for name, value in line.detail.items()}
    return msgspec.structs.replace(
        line, actor=text(line.actor), target=text(line.target), origin=text(line.origin), detail=detail
    )


def _row(one: Written) -> dict[str, Any]:
    line = one.line
    return {
        "project": line.project, "number": one.number, "at": one.at, "actor": line.actor, "action": line.action, "target": line.target,
        "origin": line.origin, "came": line.came.value, "detail": json.dumps(line.detail, sort_keys=True), "digest": one.digest,
    }  # fmt: skip


def _written(row: Any) -> Written:
    line = Line(row.actor, row.action, row.project, row.target, row.origin, Came(row.came), json.loads(row.detail))
    return Written(row.number, row.at, row.digest, line)


__all__ = ["PLATFORM", "SqlAudit", "Tampered", "heads_file"]
