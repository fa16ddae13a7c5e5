"""Purges the audit by plan. On PostgreSQL our own role may not, so that this goes by the maintenance connection there. Source: docs/decisions/045."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from integrator.errors import IntegratorError
from integrator.model.audit import PLATFORM
from integrator.model.project import Plan
from integrator.model.retention import Purged
from integrator.store.airflow_dags import PLATFORM as PLATFORM_DAGS
from integrator.store.audit import SqlAudit
from integrator.store.database import reading
from integrator.store.projects import SqlProjects
from integrator.store.purge import no_plan
from integrator.store.tables import audit_lines


def may_purge(engine: Engine) -> bool:
    """Tell whether this role may delete lines of the audit."""
    if engine.dialect.name != "postgresql":
        return True
    with reading(engine) as c:
        return bool(c.scalar(text("SELECT has_table_privilege(:name, 'DELETE')"), {"name": audit_lines.name}))


def purge_audit(audit: SqlAudit, projects: SqlProjects, plans: Mapping[str, Plan], platform_plan: str, actor: str, *,
                dry: bool = False, now: datetime | None = None, only: str | None = None) -> list[Purged]:  # fmt: skip
    """Delete lines that are older than `audit_days`; the platform's own by the platform's plan."""
    told = []
    for project in audit.projects():
        name = platform_plan if project == PLATFORM else projects.wants(project).plan
        one = Purged(project or PLATFORM_DAGS, name)
        if only not in (None, one.project):
            continue
        if (plan := plans.get(name)) is None:
            one.fault = no_plan(one.project, name, plans)
        else:
            try:
                gone = audit.purge(project, (now or datetime.now(UTC)) - timedelta(days=plan.audit_days), actor, dry=dry)
                one.deleted = {"audit_lines": gone} if gone else {}
            except IntegratorError as fault:
                one.fault = str(fault)
        if one.deleted or one.fault:
            told.append(one)
    return told
