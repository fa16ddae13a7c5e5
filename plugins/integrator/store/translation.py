"""A database's error becomes ours: which database, what happened, what to do, and never a value of a statement."""

from __future__ import annotations

import sqlite3

from sqlalchemy import URL
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from integrator.errors import RunError, StopRunError, TryAgainError

MIGRATE = "run `airflow db migrate`, or any `integrator` command that may create tables"
_SQLITE_STOPS = {
    sqlite3.SQLITE_FULL: "has no room left on its disk; nothing of this step was written and all before it is safe: free some space, then run again",
    sqlite3.SQLITE_READONLY: "cannot be written; give this user the right to write the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; look whether its folder is there and may be written",
    sqlite3.SQLITE_IOERR: "could not be read or written by the disk; look at the disk's health and free space",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: "is not a SQLite file; look at [integrator] sql_alchemy_conn",
}
_POSTGRES_STOPS = {
    "53100": "has no room left on its server's disk; nothing of this step was written and all before it is safe: free some space, then run again",
    "42501": f"refuses this role; {MIGRATE}, with a role that owns the tables",
    "42P01": f"has no tables of ours yet; {MIGRATE}",
    "42703": f"has older tables than this version needs; {MIGRATE}",
    "42704": "does not know that role; create it first",
    "28P01": "refuses the password; look at [integrator] sql_alchemy_conn",
    "28000": "refuses this role; look at [integrator] sql_alchemy_conn",
    "3D000": "is not there; create it, or look at [integrator] sql_alchemy_conn",
}
_POSTGRES_PASSES = ("08", "40", "53", "55P03", "57")
"""SQLSTATE classes that may get better: connection, rollback, resources, lock not available, operator intervention."""
_NO_USE = ("authentication failed", "does not exist", "no password supplied", "no pg_hba.conf entry")


def place(url: URL) -> str:
    """Return which database a URL means, in words that hold no password."""
    if url.get_backend_name() == "sqlite":
        return f"the journal's file {url.database}"
    return f"the journal's database {url.database} on {url.host or 'this machine'}"


def translated(error: Exception, url: URL) -> RunError:
    """Return our error for a database's.

    Args:
        error: a SQLAlchemyError, or the ValueError of a driver that cannot encode a value.
    """
    where = place(url)
    if isinstance(error, PoolTimeoutError | DisconnectionError):
        return TryAgainError(f"{where} has no connection free")
    if not isinstance(error, DBAPIError):
        return StopRunError(_refused(where, error))
    if isinstance(error.orig, sqlite3.Error):
        return _of_sqlite(error.orig, where)
    return _of_postgres(error, where)


def _of_sqlite(orig: sqlite3.Error, where: str) -> RunError:
    code = getattr(orig, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return TryAgainError(f"{where} is locked by another process")
    if code in _SQLITE_STOPS:
        return StopRunError(f"{where} {_SQLITE_STOPS[code]}")
    if str(orig).startswith("no such table"):
        return StopRunError(f"{where} has no tables of ours yet; {MIGRATE}")
    return StopRunError(_refused(where, orig, getattr(orig, "sqlite_errorname", "")))


def _of_postgres(error: DBAPIError, where: str) -> RunError:
    orig = error.orig
    state = getattr(orig, "sqlstate", None) or getattr(orig, "pgcode", None) or ""
    if state in _POSTGRES_STOPS:
        return StopRunError(f"{where} {_POSTGRES_STOPS[state]}")
    lost = error.connection_invalidated or (not state and isinstance(error, OperationalError | InterfaceError))
    if lost and any(words in str(orig) for words in _NO_USE):
        return StopRunError(f"{where} does not let us in; look at [integrator] sql_alchemy_conn")
    if lost or state.startswith(_POSTGRES_PASSES):
        return TryAgainError(f"{where} is busy or cannot be reached{f' ({state})' if state else ''}")
    return StopRunError(_refused(where, orig, state))


def _refused(where: str, error: BaseException | None, code: str = "") -> str:
    what = " ".join(filter(None, (type(error).__name__, code)))
    return f"{where} refused a statement ({what}); nothing of this step was written"


FOREIGN = (SQLAlchemyError, ValueError)
"""What a database call may raise: drivers report a text they cannot encode as a ValueError."""
