"""Hands our Alembic revisions to `airflow db migrate`."""

from __future__ import annotations

import os
from typing import Any

from airflow.configuration import conf
from airflow.utils.db_manager import BaseDBManager
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from airflow import settings as airflow_settings
from integrator import settings
from integrator.store import database, grants
from integrator.store.tables import HEAD, VERSION_TABLE, metadata


def _ask_airflow(name: str) -> str | None:
    return conf.get(settings.SECTION, name, fallback=None)


class IntegratorTables(BaseDBManager):
    """Creates and upgrades our tables where `[integrator] sql_alchemy_conn` says, else in Airflow's database.

    When that setting names another role of Airflow's own PostgreSQL database, Airflow's role creates the tables
    and gives the other one the right to read and write their rows, and nothing else.
    """

    metadata = metadata
    version_table_name = VERSION_TABLE
    migration_dir = database.MIGRATIONS.as_posix()
    alembic_file = database.ALEMBIC_FILE.as_posix()
    supports_table_dropping = True
    revision_heads_map: dict[str, str] = {"0.1.0": HEAD}  # noqa: RUF012 - Airflow declares it so

    def __init__(self, session: Session) -> None:
        super().__init__(session)  # type: ignore[no-untyped-call]
        airflows = str(airflow_settings.SQL_ALCHEMY_CONN)
        known = settings.load(os.environ, _ask_airflow)
        ours, self._worker_role = known.sql_alchemy_conn or airflows, known.worker_role
        self._shared = grants.same_database(ours, airflows)
        self._url = airflows if self._shared else ours
        self._role = grants.other_role(ours, airflows) if self._shared else None

    def get_alembic_config(self) -> Any:
        """Return Alembic's configuration with our database in it."""
        config = super().get_alembic_config()  # type: ignore[no-untyped-call]
        url = database.parsed(self._url).render_as_string(hide_password=False)
        config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
        return config

    def get_current_revision(self) -> str | None:
        """Return the revision of our tables, or None when there are none."""
        engine = database.open_engine(self._url)
        try:
            return database.revision_of(engine)
        finally:
            engine.dispose()

    def create_db_from_orm(self) -> None:
        """Create our tables, by the revisions: one way only, so that no two ways can differ."""
        self.upgradedb()

    def initdb(self, use_migration_files: bool = False) -> None:
        """Create or upgrade our tables."""
        self.upgradedb()

    def upgradedb(
        self,
        to_revision: str | None = None,
        from_revision: str | None = None,
        show_sql_only: bool = False,
        use_migration_files: bool = False,
    ) -> None:
        """Create or upgrade our tables, and give our own role its rights."""
        self.log.info("Upgrading the tables of Integrator")
        self.session.commit()  # Airflow's session may hold the one write lock of a shared SQLite file
        database.upgrade(self._url)
        if self._role is not None:
            grants.give(self._url, self._role)
        if self._worker_role:
            grants.give(self._url, self._worker_role, worker=True)

    def drop_tables(self, connection: Connection) -> None:
        """Drop our tables, wherever they are."""
        if self._shared:
            super().drop_tables(connection)  # type: ignore[no-untyped-call]
            return
        engine = database.open_engine(self._url, foreign_keys=False)
        try:
            with database.writing(engine) as own:
                metadata.drop_all(own)
                own.exec_driver_sql(f"DROP TABLE IF EXISTS {VERSION_TABLE}")
        finally:
            engine.dispose()
