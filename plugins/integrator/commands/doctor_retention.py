"""What `integrator doctor` says of retention: plans that are there, and purges that come to their end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from integrator.errors import IntegratorError
from integrator.model.project import plans_of
from integrator.settings import MAINTENANCE_VARIABLE, Settings, maintenance_url
from integrator.store.database import open_engine, parsed, revision_of
from integrator.store.purge_notes import AIRFLOWS, OURS, last_purges, oldest_run
from integrator.store.restoring import restored_cursors
from integrator.store.tables import HEAD

LATE = timedelta(days=2)
CURES = {
    OURS: "look at the DAG integrator.retention: is it there (dags/upkeep.py), is it paused, what does its log say?",
    AIRFLOWS: "look at the service `retention` (scripts/run: logs/retention.log in the home folder), or run: integrator purge --only airflow",
}
WHAT = {OURS: "our own rows and console logs", AIRFLOWS: "what Airflow keeps of our pipes"}

Told = tuple[str, str, str]
"""Level, what, cure."""


def look(settings: Settings, environ: Mapping[str, str], *, with_airflow: bool, now: datetime | None = None) -> Iterator[Told]:
    """Yield what is found."""
    at = now or datetime.now(UTC)
    try:
        plans = plans_of(settings.plans)
    except IntegratorError as fault:
        yield "grave", str(fault), "correct [integrator] plans; until then nothing is purged"
        return
    if settings.platform_plan not in plans:
        yield (
            "grave",
            f"[integrator] platform_plan is {settings.platform_plan!r}, which there is not",
            f"name one of {', '.join(plans)}",
        )
    engine = journal(settings)
    if engine is None:
        return
    try:
        yield from _projects(engine, plans)
        if waiting := len(restored_cursors(engine)):
            yield (
                "warning",
                f"{waiting} cursors came out of a backup and nobody has looked at them",
                "integrator runs names them; then integrator cursor keep, or set",
            )
        yield from _purges(engine, environ, at, with_airflow=with_airflow)
    finally:
        engine.dispose()


def journal(settings: Settings) -> Any:
    """Return the journal's engine; None where another check says what is wrong with it."""
    try:
        url = parsed(settings.database_url)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            return None
        engine = open_engine(settings.database_url)
        if revision_of(engine) == HEAD:
            return engine
        engine.dispose()
    except IntegratorError:
        pass
    return None


def _projects(engine: Any, plans: Mapping[str, Any]) -> Iterator[Told]:
    from integrator.store.projects import SqlProjects

    for project, wants in SqlProjects(engine).every().items():
        if wants.plan not in plans:
            yield (
                "grave",
                f"project {project} has the plan {wants.plan!r}, which there is not, so nothing of it is purged",
                f"define it in [integrator] plans, or: integrator project configure {project} --plan PLAN",
            )


def _purges(engine: Any, environ: Mapping[str, str], now: datetime, *, with_airflow: bool) -> Iterator[Told]:
    last, oldest = last_purges(engine), oldest_run(engine)
    for what in (OURS, AIRFLOWS) if with_airflow else (OURS,):
        found = last.get(what)
        if found is None and what == AIRFLOWS and maintenance_url(environ) is None:
            yield (
                "grave" if oldest is not None and oldest < now - LATE else "warning",
                "no purge of what Airflow keeps of our pipes has ended yet, and there is no maintenance connection here",
                f"start the service `retention`, and hand {MAINTENANCE_VARIABLE} to it alone: docs/security/what-is-kept.md",
            )
        elif found is None:
            if oldest is not None and oldest < now - LATE:
                yield "grave", f"no purge of {WHAT[what]} has ever ended", CURES[what]
        elif found.ended_at < now - LATE:
            days = (now - found.ended_at).days
            yield "grave", f"the last purge of {WHAT[what]} ended {days} days ago", CURES[what]
        elif found.faults:
            yield (
                "warning",
                f"the last purge of {WHAT[what]} could not purge {found.faults} projects",
                "integrator purge says why",
            )
        else:
            yield "ok", f"the last purge of {WHAT[what]} ended {found.ended_at:%Y-%m-%d %H:%M} UTC", ""
