"""What the application works with, made once in the API server's process."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from integrator.actions.acting import Acting
from integrator.hooks.integrator_hook import load_settings
from integrator.settings import Settings, key_of
from integrator.store.audit import SqlAudit, heads_file
from integrator.store.console import SqlConsole
from integrator.store.console_files import Objects
from integrator.store.console_objects import objects_of
from integrator.store.database import open_engine
from integrator.store.links import FolderLinks


@dataclass(frozen=True, slots=True)
class WebParts:
    """What requests are answered with."""

    settings: Settings
    console: SqlConsole
    objects: Objects
    links: FolderLinks
    audit: SqlAudit = field(repr=False)

    def acting(self, actor: str, origin: str) -> Acting:
        """Return somebody who acts."""
        return Acting(actor, origin, self.audit)


@cache
def web_parts() -> WebParts:
    """Return them.

    Raises:
        ConfigError: a setting is missing or cannot be used.
    """
    settings = load_settings()
    engine, key = open_engine(settings.database_url), key_of(settings)
    audit = SqlAudit(engine, key, heads_file(settings.audit_log, settings.home))
    return WebParts(settings, SqlConsole(engine), objects_of(settings), FolderLinks(engine, key), audit)
