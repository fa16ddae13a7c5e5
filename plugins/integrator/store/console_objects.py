"""Picks where console logs lie."""

from __future__ import annotations

from pathlib import Path

from integrator.settings import Settings
from integrator.store.console_files import FolderObjects, Objects


def objects_of(settings: Settings) -> Objects:
    """Return the object store of console logs that the settings name.

    Raises:
        ConfigError: they name none that may be used.
    """
    where = settings.console_store
    if where.startswith("s3://"):
        from integrator.store.console_bucket import BucketObjects  # slow to import, and needed by few

        return BucketObjects(where, settings)
    return FolderObjects(Path(where) if where else Path(settings.home).resolve() / "console")
