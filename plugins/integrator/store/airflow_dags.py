"""Which DAGs of an Airflow are ours. Another DAG of the same deployment is never touched."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select

from integrator.access.roles import OWN_DAGS
from integrator.store.airflow_tables import BY_AGE, TABLES
from integrator.store.database import reading
from integrator.store.tables import console_logs, console_switches, cursors, failures, flow_runs, runs, selections

MARK = "integrator"
"""Tag that every DAG of ours has, beside that of its project."""
PLATFORM = "integrator"
"""Under this name stand the DAGs of the platform itself, such as integrator.upkeep."""
RERUN = ".rerun"


@dataclass(frozen=True, slots=True)
class OurDag:
    """A DAG of ours.

    Attributes:
        lives: whether Airflow still has it, so that it may run again.
    """

    dag_id: str
    project: str
    lives: bool


def our_dags(airflow: Engine, journal: Engine) -> list[OurDag]:
    """Return our DAGs, those of pipes that are gone among them.

    A DAG that Airflow has is ours when it has our tag, and its project's. One that Airflow has no longer is ours when the journal
    knows its pipe.
    """
    d, t = TABLES["dag"], TABLES["dag_tag"]
    with reading(airflow) as c:
        there = {row.dag_id: not row.is_stale for row in c.execute(select(d.c.dag_id, d.c.is_stale))}
        tags: dict[str, set[str]] = {}
        marked = select(t.c.dag_id).where(t.c.name == MARK)
        for row in c.execute(select(t.c.dag_id, t.c.name).where(t.c.dag_id.in_(marked))):
            tags.setdefault(row.dag_id, set()).add(row.name)
        named = set(c.scalars(select(TABLES["dag_run"].c.dag_id).distinct()))
        for rule in BY_AGE:
            named.update(c.scalars(select(TABLES[rule.table].c[rule.dag]).distinct()))
    found = [OurDag(dag_id, _project(dag_id), there[dag_id]) for dag_id, its in tags.items() if _is_ours(dag_id, its)]
    gone = {name for name in named if name and name not in there}
    known = _known(journal) if gone else set()
    found += [OurDag(name, _project(name), False) for name in gone if name in OWN_DAGS or name.removesuffix(RERUN) in known]
    return sorted(found, key=lambda one: one.dag_id)


def living_dags(session: Any) -> list[str]:
    """Return the IDs of the DAGs that Airflow has, whosever they are.

    Args:
        session: Airflow's own, of SQLAlchemy.
    """
    d = TABLES["dag"].c
    return list(session.scalars(select(d.dag_id).where(d.is_stale.is_(False))))


def _project(dag_id: str) -> str:
    return dag_id.partition(".")[0]


def _is_ours(dag_id: str, tags: Iterable[str]) -> bool:
    project = _project(dag_id)
    return dag_id in OWN_DAGS or ("." in dag_id and any(_safe(tag) == project for tag in tags))


def _safe(project: str) -> str:
    """Return a project's name as it stands in a DAG's: that of a faulty pipe has other signs replaced."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", project)[:100]


def _known(journal: Engine) -> set[str]:
    known: set[str] = set()
    with reading(journal) as c:
        for one in (runs, flow_runs, failures, cursors, selections, console_switches, console_logs):
            known.update(f"{row.project}.{row.pipe}" for row in c.execute(select(one.c.project, one.c.pipe).distinct()))
    return known
