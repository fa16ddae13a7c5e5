"""What the application works with, made once in the API server's process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Depends

from integrator import settings as settings_of
from integrator.actions.acting import Acting
from integrator.actions.credentials import Credentials, Store
from integrator.actions.groups import SignIn
from integrator.auth.presenting import Around
from integrator.errors import IntegratorError
from integrator.model.project import plans_of
from integrator.settings import Settings, key_of
from integrator.store.audit import SqlAudit, heads_file
from integrator.store.console import SqlConsole
from integrator.store.console_files import Objects
from integrator.store.console_objects import objects_of
from integrator.store.database import open_engine
from integrator.store.kept_of_project import KeptOfProject
from integrator.store.ledger import CREDENTIAL, Deleted, Ledger
from integrator.store.links import FolderLinks
from integrator.store.members import SqlMembers
from integrator.store.projects import SqlProjects
from integrator.store.tokens import SqlTokens

if TYPE_CHECKING:
    from integrator.store.airflow_purge import AirflowPurge

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebParts:
    """What requests are answered with.

    Attributes:
        engine: of the journal.
        sign_in: where Airflow's groups are kept.
        origin: at which people reach the platform, such as https://integrator.example; empty where nothing says so.
        with_dags: gives the projects that Airflow has DAGs of.
        log_folder: where Airflow's task logs lie.
    """

    settings: Settings
    engine: Any
    console: SqlConsole
    objects: Objects
    links: FolderLinks
    members: SqlMembers
    wants: SqlProjects
    audit: SqlAudit = field(repr=False)
    sign_in: SignIn
    credentials: Credentials = field(repr=False)
    origin: str = ""
    with_dags: Callable[[], set[str]] = set
    log_folder: Path | None = None

    def acting(self, actor: str, origin: str) -> Acting:
        """Return somebody who acts."""
        return Acting(actor, origin, self.audit)

    def projects(self) -> set[str]:
        """Return every project that is known: those with an owner, those that want something, and those whose pipes Airflow has."""
        return {*self.members.projects(), *self.wants.every(), *self.with_dags()}

    def knows(self, project: str) -> bool:
        """Tell whether there is a project of that name."""
        return bool(self.members.of(project)) or project in self.wants.every() or project in self.with_dags()

    def kept(self, project: str) -> KeptOfProject:
        """Return all that is kept of a project."""
        return KeptOfProject(self.engine, self.objects, self._airflow(), project)

    def _airflow(self) -> AirflowPurge | None:
        """Return the purge of Airflow's rows; None where this process was not handed the way to them."""
        from integrator.store.airflow_purge import AirflowPurge

        url = settings_of.maintenance_url(settings_of.environment(self.settings.home))
        if url is None:
            return None
        plans, platform = plans_of(self.settings.plans), self.settings.platform_plan
        return AirflowPurge(open_engine(url), self.engine, self.log_folder, plans, platform)


def parts_over(settings: Settings, sign_in: SignIn, store: Store, around: Around, **airflows: Any) -> WebParts:
    """Return them over the database and the stores that settings name; what only Airflow knows is handed in.

    Args:
        sign_in: where its groups are kept.
        store: where its connections are kept.
        around: what a credential needs to be tried.

    Raises:
        ConfigError: a setting is missing or cannot be used.
    """
    engine, key = open_engine(settings.database_url), key_of(settings)
    audit = SqlAudit(engine, key, heads_file(settings.audit_log, settings.home))
    console, links, objects = SqlConsole(engine), FolderLinks(engine, key), objects_of(settings)

    def removed(project: str, name: str, by: str) -> None:
        """Remember it where a restored backup does not undo it; a store that is away keeps nobody from removing."""
        try:
            Ledger(objects).note(Deleted(CREDENTIAL, project, datetime.now(UTC), by, name))
        except IntegratorError as fault:
            logger.warning("a backup of before would bring %s/%s back unnoticed: %s", project, name, fault)

    rows = around.tokens.rows if isinstance(around.tokens, SqlTokens) else dict
    credentials = Credentials(store, around, rows, removed)
    kept = (settings, engine, console, objects, links, SqlMembers(engine), SqlProjects(engine), audit)
    return WebParts(*kept, sign_in, credentials, **airflows)


@cache
def web_parts() -> WebParts:
    """Return those of this API server.

    Raises:
        ConfigError: a setting is missing or cannot be used.
    """
    from integrator.hooks.airflow_connections import AirflowConnections
    from integrator.hooks.integrator_hook import around, load_settings
    from integrator.web.signed_in import log_folder, projects_with_dags, public_origin, sign_in

    settings = load_settings()
    return parts_over(
        settings, sign_in(), AirflowConnections(), around(settings),
        origin=public_origin(), with_dags=projects_with_dags, log_folder=log_folder(),
    )  # fmt: skip


Parts = Depends(web_parts)
