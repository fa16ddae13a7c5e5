"""Every row of every table of a database, as bytes: for a search that trusts nobody. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import MetaData, Table, inspect, select, text

from integrator.store.database import open_engine, parsed, reading

_SYSTEM = {"pg_catalog", "information_schema", "pg_toast"}
_AT_ONCE = 500


def shown(url: str) -> str:
    """Return a database's name without its password."""
    return parsed(url).render_as_string(hide_password=True)


def every_row(url: str) -> Iterator[tuple[str, bytes]]:
    """Yield table and bytes, some rows at a time, of every table of every schema: archive tables and Airflow's own too.

    Raises:
        TryAgainError, StopRunError: as `store.database.ours`.
    """
    engine = open_engine(url)
    try:
        with reading(engine) as c:
            looker = inspect(c)
            schemas: list[str | None] = [None]
            if c.dialect.name == "postgresql":
                schemas = [one for one in looker.get_schema_names() if one not in _SYSTEM and not one.startswith("pg_")]
            for schema in schemas:
                for name in looker.get_table_names(schema):
                    columns = [text(c.dialect.identifier_preparer.quote(one["name"])) for one in looker.get_columns(name, schema)]
                    if not columns:
                        continue
                    rows = c.execution_options(yield_per=_AT_ONCE).execute(
                        select(*columns).select_from(Table(name, MetaData(), schema=schema))
                    )
                    yield name, b""
                    for part in rows.partitions(_AT_ONCE):
                        yield name, b"\n".join(_cell(cell) for row in part for cell in row)
    finally:
        engine.dispose()


def _cell(cell: Any) -> bytes:
    if isinstance(cell, (bytes, memoryview)):
        return bytes(cell)
    return str(cell).encode("utf-8", "surrogatepass")
