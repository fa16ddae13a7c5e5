"""What the journal's own PostgreSQL roles may do: read and write our rows, of the audit only add and read them, and nothing else.

Workers may sign in as a role that has less: an author of DAGs can do what it can, and is not to give themselves a role in a project.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, text

from integrator.store.database import open_engine, parsed, writing
from integrator.store.tables import APPEND_ONLY, OF_PEOPLE, VERSION_TABLE, metadata, projects


def same_database(one: str, other: str) -> bool:
    """Tell whether two URLs name one database, whoever signs in."""
    first, second = parsed(one), parsed(other)
    if first.get_backend_name() != second.get_backend_name():
        return False
    if first.get_backend_name() == "sqlite":
        return Path(first.database or "").resolve() == Path(second.database or "").resolve()
    places = [(url.host or "localhost", url.port or 5432, url.database) for url in (first, second)]
    return places[0] == places[1]


def other_role(one: str, other: str) -> str | None:
    """Return the role of the first URL when the second signs in as another one."""
    first, second = parsed(one), parsed(other)
    return None if first.username == second.username else first.username


def give(url: str, role: str, *, worker: bool = False) -> None:
    """Let a role read and write our rows, and read which revision they are of.

    Args:
        url: signs in as the role that owns our tables.
        worker: whether it only moves records: what projects want it may only read, and of people nothing.

    Raises:
        StopRunError: there is no such role, or we may not give these rights.
    """
    engine = open_engine(url)
    try:
        _give(engine, role, worker=worker)
    finally:
        engine.dispose()


def _rights(table: str, *, worker: bool) -> str:
    if table in APPEND_ONLY:
        return "SELECT, INSERT"
    if worker and table in OF_PEOPLE:
        return ""
    return "SELECT" if worker and table == projects.name else "SELECT, INSERT, UPDATE, DELETE"


def _give(engine: Engine, role: str, *, worker: bool) -> None:
    quoted = engine.dialect.identifier_preparer.quote_identifier(role)
    with writing(engine) as connection:
        for table in metadata.sorted_tables:
            rights = _rights(table.name, worker=worker)
            if worker or table.name in APPEND_ONLY:
                connection.exec_driver_sql(f"REVOKE ALL ON {table.name} FROM {quoted}")  # an earlier release may have given more
            if not rights:
                continue
            connection.exec_driver_sql(f"GRANT {rights} ON {table.name} TO {quoted}")
            column = table.autoincrement_column
            if column is not None:
                asked = {"table": table.name, "column": column.name}
                sequence = connection.execute(text("SELECT pg_get_serial_sequence(:table, :column)"), asked).scalar()
                connection.exec_driver_sql(f"GRANT USAGE, SELECT ON SEQUENCE {sequence} TO {quoted}")
        connection.exec_driver_sql(f"GRANT SELECT ON {VERSION_TABLE} TO {quoted}")
