"""Connections to the journal's database, and its tables at the newest revision."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, column, create_engine, event, make_url, select, table, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from integrator.errors import ConfigError, StopRunError
from integrator.store.tables import HEAD, VERSION_TABLE
from integrator.store.translation import FOREIGN, place, translated

ROOM = Path(__file__).parent
MIGRATIONS = ROOM / "migrations"
ALEMBIC_FILE = ROOM / "alembic.ini"
BUSY_S = 30
"""Seconds for which SQLite waits for another writer."""
CONNECT_S = 10
_READING = "integrator_reading"


def parsed(url: str) -> URL:
    """Return a database URL with the driver that is installed.

    Raises:
        ConfigError: it is no URL, or of a database that we do not know.
    """
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError("setting [integrator] sql_alchemy_conn is not a SQLAlchemy URL") from None
    if parts.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError("setting [integrator] sql_alchemy_conn must name a SQLite or a PostgreSQL database")
    if parts.drivername == "postgresql":
        return parts.set(drivername=f"postgresql+{'psycopg' if find_spec('psycopg') else 'psycopg2'}")
    return parts


def open_engine(url: str, *, foreign_keys: bool = True) -> Engine:
    """Return an engine; a SQLite file that is not there is created for this user only.

    Args:
        foreign_keys: False lets a migration rebuild a SQLite table that others point to.

    Raises:
        ConfigError: the URL is of no use.
        StopRunError: the SQLite file cannot be created.
    """
    parts = parsed(url)
    if parts.get_backend_name() == "sqlite":
        return _sqlite_engine(parts, foreign_keys=foreign_keys)
    connect: dict[str, Any] = {"connect_timeout": CONNECT_S, "application_name": "integrator"}
    if parts.get_driver_name() == "psycopg":
        connect["prepare_threshold"] = None  # a prepared plan looks through hundreds of IDs one by one: 50 times slower
    return create_engine(parts, hide_parameters=True, pool_pre_ping=True, pool_size=2, max_overflow=3, connect_args=connect)


def _sqlite_engine(url: URL, *, foreign_keys: bool) -> Engine:
    _create_private(url)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_S})

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        connection.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000}")
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            _use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        reading = connection.get_execution_options().get(_READING)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _use_wal(connection: Any) -> None:
    # Another process may be at it, and the file remembers; until then the old mode is as safe.
    with suppress(connection.OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")


def _create_private(url: URL) -> None:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        return
    path = Path(url.database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StopRunError(f"{place(url)} cannot be created or opened: {error.strerror}") from None


@contextmanager
def ours(url: URL) -> Iterator[None]:
    """Let a database's errors leave as ours.

    Raises:
        TryAgainError: the database is locked or away.
        StopRunError: it will not get better by itself.
    """
    try:
        yield
    except FOREIGN as error:
        raise translated(error, url) from None


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in one transaction that is committed at the end, or not at all. Raises as `ours`."""
    with ours(engine.url), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection in one transaction that only reads and waits for no writer. Raises as `ours`."""
    with ours(engine.url), engine.connect().execution_options(**{_READING: True}) as connection:
        yield connection


def lock(connection: Connection, name: str) -> None:
    """Wait until this transaction alone holds that name; SQLite's write transactions are alone anyway."""
    if connection.dialect.name == "postgresql":
        number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


def revision_of(engine: Engine) -> str | None:
    """Return the revision of our tables, or None when there are none (or the database does not say)."""
    try:
        with engine.connect().execution_options(**{_READING: True}) as connection:
            found = connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
            return None if found is None else str(found)
    except SQLAlchemyError:
        return None


def upgrade(url: str) -> None:
    """Bring our tables to the newest revision; one SELECT when they are there already.

    Two processes may do this at once: the second one waits, and finds nothing left to do.

    Raises:
        TryAgainError: the database is locked or away.
        StopRunError: it refuses, or its tables are newer than this version.
    """
    engine = open_engine(url, foreign_keys=False)
    try:
        if revision_of(engine) != HEAD:
            _apply(engine)
    finally:
        engine.dispose()


def _apply(engine: Engine) -> None:
    from alembic import command  # slow to import, and hardly ever needed
    from alembic.config import Config
    from alembic.util import CommandError

    with writing(engine) as connection:
        lock(connection, VERSION_TABLE)
        config = Config(ALEMBIC_FILE.as_posix())
        config.set_main_option("script_location", MIGRATIONS.as_posix().replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError:
            raise StopRunError(
                f"{place(engine.url)} holds tables of a newer version (revision {revision_of(engine)}, "
                f"known here: {HEAD}); install that version"
            ) from None
