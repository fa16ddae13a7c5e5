"""What projects want, one row each; a project without a row wants what is usual."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Engine, select
from sqlalchemy.dialects import postgresql, sqlite

from integrator.model.project import Wants
from integrator.store.database import lock, reading, writing
from integrator.store.tables import projects


class SqlProjects:
    """Keeps what projects want in the journal's database. Raises as `store.database.ours`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def wants(self, project: str) -> Wants:
        """Return what a project wants."""
        with reading(self._engine) as c:
            text = c.scalar(select(projects.c.wants).where(projects.c.name == project))
        return Wants() if text is None else msgspec.json.decode(text, type=Wants)

    def of_credential(self, project: str) -> Wants:
        """Return what the project of a credential wants, however its name is spelt: Airflow finds a variable of the environment in any letters."""
        return self.wants(project.lower())

    def every(self) -> dict[str, Wants]:
        """Return what each project that says so wants, by name."""
        with reading(self._engine) as c:
            rows = c.execute(select(projects.c.name, projects.c.wants).order_by(projects.c.name)).all()
        return {row.name: msgspec.json.decode(row.wants, type=Wants) for row in rows}

    def zones(self) -> dict[str, str]:
        """Return the time zone of each project that says so."""
        return {name: wants.zone for name, wants in self.every().items()}

    def set(self, project: str, wants: Wants, actor: str) -> None:
        """Keep what a project wants."""
        self.change(project, lambda _now: wants, actor)

    def change(self, project: str, change: Callable[[Wants], Wants], actor: str) -> tuple[Wants, Wants]:
        """Change what a project wants, nobody else in between; returns what it was and what it is."""
        with writing(self._engine) as c:
            lock(c, f"integrator wants {project}")
            text = c.scalar(select(projects.c.wants).where(projects.c.name == project))
            before = Wants() if text is None else msgspec.json.decode(text, type=Wants)
            after = change(before)
            if after != before:
                values = {
                    "wants": msgspec.json.encode(after).decode(),
                    "updated_at": datetime.now(UTC),
                    "updated_by": actor[:250],
                }
                insert: Any = postgresql.insert(projects) if c.dialect.name == "postgresql" else sqlite.insert(projects)
                c.execute(insert.values(name=project, **values).on_conflict_do_update(index_elements=["name"], set_=values))
        return before, after
