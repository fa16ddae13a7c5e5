"""Forgets all that is kept of a project, but for who did what in it."""

from __future__ import annotations

from sqlalchemy import Engine, delete, select

from integrator.store.database import writing
from integrator.store.tables import APPEND_ONLY, limits, metadata, projects, selection_ids, selections, sessions, tokens


def forget_project(engine: Engine, project: str) -> dict[str, int]:
    """Delete every row of a project, in one transaction; returns how many there were, by table. Raises as `store.database.ours`."""
    told: dict[str, int] = {}
    with writing(engine) as c:
        mine = select(selections.c.id).where(selections.c.project == project)
        told[selection_ids.name] = c.execute(delete(selection_ids).where(selection_ids.c.selection_id.in_(mine))).rowcount
        for table in (tokens, sessions, limits):
            told[table.name] = c.execute(
                delete(table).where(table.c.credential.startswith(f"{project}__", autoescape=True))
            ).rowcount
        told[projects.name] = c.execute(delete(projects).where(projects.c.name == project)).rowcount
        for table in reversed(metadata.sorted_tables):
            if "project" in table.c and table.name not in APPEND_ONLY:
                told[table.name] = c.execute(delete(table).where(table.c.project == project)).rowcount
    return {name: count for name, count in told.items() if count}
