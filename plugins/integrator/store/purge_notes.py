"""Notes that a purge came to its end: who began it, and how much went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.dialects import postgresql, sqlite

from integrator.store.database import reading, writing
from integrator.store.tables import purges, runs

OURS, AIRFLOWS = "ours", "airflow"


@dataclass(frozen=True, slots=True)
class LastPurge:
    """The last purge of one kind."""

    ended_at: datetime
    deleted: int
    faults: int


def note_purge(
    engine: Engine, what: str, deleted: Mapping[str, int], faults: int, actor: str, now: datetime | None = None
) -> None:
    """Note a purge of every project.

    Args:
        what: OURS or AIRFLOWS.
        deleted: how much of what went.
        faults: projects that could not be purged as they should.
    """
    del actor  # the audit line's
    values = {"ended_at": now or datetime.now(UTC), "deleted": sum(deleted.values()), "faults": faults}
    with writing(engine) as c:
        made: Any = postgresql.insert(purges) if c.dialect.name == "postgresql" else sqlite.insert(purges)
        c.execute(made.values(what=what, **values).on_conflict_do_update(index_elements=["what"], set_=values))


def last_purges(engine: Engine) -> dict[str, LastPurge]:
    """Return when each kind of purge last came to its end."""
    with reading(engine) as c:
        return {row.what: LastPurge(row.ended_at, row.deleted, row.faults) for row in c.execute(select(purges))}


def oldest_run(engine: Engine) -> datetime | None:
    """Return when the oldest run that is kept began."""
    with reading(engine) as c:
        found: datetime | None = c.scalar(select(func.min(runs.c.started_at)))
    return found
