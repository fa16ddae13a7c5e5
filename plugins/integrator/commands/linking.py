"""Where a console log can be downloaded from."""

from __future__ import annotations

from typing import Any

from integrator import settings as settings_of
from integrator.errors import ConfigError
from integrator.model.project import Downloads
from integrator.store.console_objects import objects_of
from integrator.store.database import open_engine
from integrator.store.links import FolderLinks
from integrator.store.projects import SqlProjects


def linked(home: str | None, parts: Any, project: str, names: list[str]) -> tuple[list[str], bool]:
    """Return an address for each object, and whether one has to be signed in for it.

    Raises:
        ConfigError: the address leads to an API server, and nothing says where that is.
    """
    engine = open_engine(parts.settings.database_url)
    signed_in = SqlProjects(engine).wants(project).downloads is Downloads.SIGNED_IN
    objects = objects_of(parts.settings)
    if signed_in:
        return [f"{api_url(home)}/integrator/console/{name}" for name in names], True
    if make := getattr(objects, "link", None):
        return [make(name, name.rpartition("/")[2]) for name in names], False
    links, base = FolderLinks(engine, parts.hash_key), api_url(home)
    return [f"{base}/integrator/console/links/{links.make(name)}" for name in names], False


def api_url(home: str | None) -> str:
    """Return where Airflow's API server is reached.

    Raises:
        ConfigError: nothing says so.
    """
    environ = settings_of.environment(home)
    if base := environ.get("AIRFLOW__API__BASE_URL"):
        return base.rstrip("/")
    if port := environ.get("AIRFLOW__API__PORT"):
        return f"http://127.0.0.1:{port}"
    raise ConfigError(
        "nothing says where Airflow's API server is, which hands console logs of a folder out: set AIRFLOW__API__BASE_URL, name the platform's home "
        "folder with --home, or read the log here: integrator console show"
    )
