"""What the commands that delete share: a purge of our rows, and one of Airflow's where there is a way to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from integrator import settings as settings_of
from integrator.commands.acting import actor
from integrator.commands.common import safe, say, table
from integrator.model.project import plans_of
from integrator.model.retention import Purged
from integrator.settings import Settings

if TYPE_CHECKING:
    from integrator.wiring import Parts

NO_WAY = (
    "Airflow's own rows and task logs were not looked at: there is no maintenance connection here "
    f"({settings_of.MAINTENANCE_VARIABLE}); the service `retention` has it"
)


@dataclass(frozen=True, slots=True)
class Place:
    """One installation, as the purge sees it."""

    environ: Mapping[str, str]
    parts: Parts
    engine: Any
    airflow: Any
    """Engine of Airflow's database; None where this process has no way to it."""

    @property
    def settings(self) -> Settings:
        """The installation's settings."""
        return self.parts.settings

    def ours(self, **more: Any) -> Any:
        """Return the purge of our rows."""
        from integrator.store.console_objects import objects_of
        from integrator.store.purge import Purge

        return Purge(self.engine, objects_of(self.settings), plans_of(self.settings.plans), **more)

    def airflows(self, *, dry: bool = False) -> Any:
        """Return the purge of Airflow's rows; None where this process has no way to them."""
        if self.airflow is None:
            return None
        from integrator.store.airflow_purge import AirflowPurge

        plans, platform = plans_of(self.settings.plans), self.settings.platform_plan
        return AirflowPurge(self.airflow, self.engine, log_folder(self.environ), plans, platform, dry=dry)

    def audits(self, only: str | None, *, dry: bool = False) -> list[Purged] | None:
        """Purge the audit by the role that may; None where there is none here."""
        from integrator.store.audit import SqlAudit, heads_file
        from integrator.store.audit_purge import may_purge, purge_audit
        from integrator.store.grants import same_database
        from integrator.store.projects import SqlProjects

        url, way, settings = self.settings.database_url, settings_of.maintenance_url(self.environ), self.settings
        engine = self.airflow if way is not None and same_database(url, way) else self.engine
        if not may_purge(engine):
            return None
        audit = SqlAudit(engine, self.parts.hash_key, heads_file(settings.audit_log, settings.home), logs=False)
        plans = plans_of(settings.plans)
        return purge_audit(audit, SqlProjects(self.engine), plans, settings.platform_plan, actor(), dry=dry, only=only)


def place_of(home: str | None) -> Place:
    """Return the installation of a home folder; our tables are made or brought up to date."""
    from integrator.commands.common import open_parts
    from integrator.store.database import open_engine

    parts, environ = open_parts(home), settings_of.environment(home)
    url = settings_of.maintenance_url(environ)
    return Place(environ, parts, open_engine(parts.settings.database_url), open_engine(url) if url else None)


def log_folder(environ: Mapping[str, str]) -> Path | None:
    """Return where Airflow's task logs lie, asking Airflow only when the environment does not say."""
    named = environ.get("AIRFLOW__LOGGING__BASE_LOG_FOLDER")
    if not named:
        from integrator.commands.airflow_store import airflow_settings

        ask = airflow_settings(environ)
        named = ask("logging", "base_log_folder") if ask else ""
    return Path(named) if named else None


def shown(one: Purged) -> dict[str, Any]:
    """Return a project's purge as JSON shows it."""
    announced = [{name: getattr(each, name) for name in each.__dataclass_fields__} for each in one.announced]
    return {
        "project": one.project,
        "plan": one.plan,
        "deleted": one.deleted,
        "announced": announced,
        "expiring": one.expiring,
        "fault": one.fault,
    }


def tell(title: str, told: list[Purged], *, dry: bool) -> None:
    """Print what went, and what was announced."""
    if told:
        headers = [title, "plan", "would go" if dry else "deleted", "open failures on their way out"]
        table(headers, [[one.project, one.plan, words(one.deleted), one.expiring or ""] for one in told])
    for one in told:
        for each in one.announced:
            ids = ", ".join(each.entity_ids) + (", ..." if each.count > len(each.entity_ids) else "")
            say(safe(f"{each.project}/{each.pipe}, {each.flow}: {each.count:,} open failures go from {each.goes_at:%Y-%m-%d %H:%M} UTC on, "
                     f"unless they are rerun or ignored: {ids}"))  # fmt: skip
        if one.fault:
            say(f"{one.project}: {one.fault}")


def words(deleted: Mapping[str, int]) -> str:
    """Return counts in words."""
    return ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in deleted.items()) or "nothing"
