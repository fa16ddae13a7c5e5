"""Notes that a purge came to its end: who began it, and how much went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, func, select
from sqlalchemy.dialects import postgresql, sqlite

from integrator.model.audit import PLATFORM, Came, Detail, Line
from integrator.model.retention import Purged
from integrator.store.airflow_dags import PLATFORM as PLATFORM_DAGS
from integrator.store.audit import SqlAudit
from integrator.store.database import reading, writing
from integrator.store.tables import purges, runs

OURS, AIRFLOWS = "ours", "airflow"
PURGED = "retention.purge"


class Who(NamedTuple):
    """Who purges, and from where."""

    actor: str
    origin: str = ""


@dataclass(frozen=True, slots=True)
class LastPurge:
    """The last purge of one kind."""

    ended_at: datetime
    deleted: int
    faults: int


def note_purge(engine: Engine, audit: SqlAudit, who: Who, what: str, told: Sequence[Purged], now: datetime | None = None) -> None:
    """Note a purge of every project: that it ended, and in the audit what went of whom.

    Args:
        what: OURS or AIRFLOWS.
        told: what came of each project; one of which nothing went has no line of its own.
    """
    values: dict[str, Any] = {
        "ended_at": now or datetime.now(UTC),
        "deleted": sum(sum(one.deleted.values()) for one in told),
        "faults": sum(one.fault is not None for one in told),
    }
    for one in told:
        announced = {"announced": sum(each.count for each in one.announced)} if one.announced else {}
        if one.deleted or announced or one.fault:
            came = Came.FAILED if one.fault else Came.DONE
            project = PLATFORM if one.project == PLATFORM_DAGS else one.project
            audit.add(Line(who.actor, PURGED, project, what, who.origin, came, {"plan": one.plan, **one.deleted, **announced}))
    whole: Detail = {"projects": len(told), "deleted": values["deleted"], "faults": values["faults"]}
    audit.add(Line(who.actor, PURGED, PLATFORM, what, who.origin, detail=whole))
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
