"""The time zones of projects, read while DAGs are built: from our database, and at another time than that says no pipe runs.

Whoever parses in a worker does not need them: a task does not ask when it is due.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from zoneinfo import ZoneInfo

from integrator.errors import IntegratorError, TryAgainError
from integrator.model.project import DEFAULT_ZONE

PATIENCE_S = 8.0
"""How long a database that is away is asked again; the watcher notices one that stays away for longer, and when it is back."""
PAUSE_S = 0.5
UNKNOWN = "what time zone project {project} has cannot be read from [integrator] sql_alchemy_conn ({why})"
CURE = (
    "It has no schedule until that can be read: it must not run at another time than it is meant to. That comes by itself once the database answers; "
    "a pipe with a timezone of its own does not depend on it."
)
ZoneOf = Callable[[str], str]
log = logging.getLogger(__name__)


class ZoneUnknownError(IntegratorError):
    """A project's time zone cannot be known at this moment."""


class Zones:
    """Zones of projects, each read once while a folder is built."""

    def __init__(self) -> None:
        self._known: dict[str, str | ZoneUnknownError] = {}

    def of(self, project: str) -> str:
        """Return a project's zone.

        Raises:
            ZoneUnknownError: it cannot be read, or is none that this machine knows.
        """
        if project not in self._known:
            self._known[project] = _read(project)
        found = self._known[project]
        if isinstance(found, ZoneUnknownError):
            raise found
        return found


def _read(project: str) -> str | ZoneUnknownError:
    import msgspec

    from integrator.hooks.integrator_hook import load_settings
    from integrator.store.database import open_engine
    from integrator.store.projects import SqlProjects

    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            settings = load_settings()
            if not settings.sql_alchemy_conn:  # no task of ours runs then, and nobody can have said another zone
                return DEFAULT_ZONE
            engine = open_engine(settings.database_url)
            try:
                zone = SqlProjects(engine).wants(project).zone
            finally:
                engine.dispose()
            ZoneInfo(zone)
            return zone
        except TryAgainError as fault:
            if time.monotonic() > until:
                return _unknown(project, fault)
            time.sleep(PAUSE_S)
        except (IntegratorError, msgspec.MsgspecError, OSError, ValueError, KeyError) as fault:
            return _unknown(project, fault)


def _unknown(project: str, fault: Exception) -> ZoneUnknownError:
    log.warning("the time zone of project %s cannot be read: %s", project, type(fault).__name__)
    return ZoneUnknownError(UNKNOWN.format(project=project, why=type(fault).__name__))


def of_no_matter(_project: str) -> str:
    """Return a zone for who builds a DAG to run one task of it, and asks no database when it is due."""
    return DEFAULT_ZONE
