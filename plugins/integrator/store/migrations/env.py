"""Runs our revisions, for `store.database.upgrade`, and by hand with a URL in alembic.ini (`-x url=...`)."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection

from integrator.store.database import open_engine
from integrator.store.tables import VERSION_TABLE, metadata


def _is_ours(_object: Any, name: str | None, kind: str, *_: Any) -> bool:
    return kind != "table" or name in metadata.tables  # Airflow's tables may stand beside ours


def _run(connection: Connection | None, url: str | None = None) -> None:
    context.configure(
        connection=connection,
        url=url,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        include_object=_is_ours,
        compare_type=True,
        render_as_batch=True,
        literal_binds=connection is None,
    )
    with context.begin_transaction():
        context.run_migrations()


def _main() -> None:
    given: Connection | None = context.config.attributes.get("connection")
    if given is not None:
        _run(given)
        return
    url = context.get_x_argument(as_dictionary=True).get("url") or context.config.get_main_option("sqlalchemy.url")
    if context.is_offline_mode():
        _run(None, url)
        return
    engine = open_engine(str(url), foreign_keys=False)
    with engine.begin() as connection:
        _run(connection)


_main()
