"""Who somebody is that signed in to Airflow: read from the tables of its sign-in with Airflow's own session, nothing is written.

The tables are named here as Flask-AppBuilder 5 names them; a test holds its models against this file.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Boolean, TableClause, Uuid, column, false, func, literal, or_, select, table, union_all
from sqlalchemy.orm import Session

USERS = table("ab_user", column("id"), column("username"), column("email"), column("active", Boolean()))
GROUPS = table("ab_group", column("id"), column("name"))
ROLES = table("ab_role", column("id"), column("name"))
USERS_GROUPS = table("ab_user_group", column("user_id"), column("group_id"))
USERS_ROLES = table("ab_user_role", column("user_id"), column("role_id"))
GROUPS_ROLES = table("ab_group_role", column("group_id"), column("role_id"))
DAGS = table("dag", column("dag_id"))
TASKS = table("task_instance", column("id", Uuid()), column("dag_id"))
TABLES: tuple[TableClause, ...] = (USERS, GROUPS, ROLES, USERS_GROUPS, USERS_ROLES, GROUPS_ROLES)


@dataclass(frozen=True, slots=True)
class Account:
    """A user who may sign in.

    Attributes:
        roles: names of the sign-in's own roles, also those that a group gives.
    """

    user: str
    groups: Collection[str] = ()
    roles: Collection[str] = ()


def account_of(session: Session, user_id: int) -> Account | None:
    """Return a user's account as it is now, or None when it is gone or was switched off. One statement."""
    u, g, r, ug, ur, gr = (one.c for one in TABLES)
    mine = union_all(
        select(literal("user"), u.username).where(u.id == user_id, u.active.is_(True)),
        select(literal("group"), g.name).where(g.id == ug.group_id, ug.user_id == user_id),
        select(literal("role"), r.name).where(r.id == ur.role_id, ur.user_id == user_id),
        select(literal("role"), r.name).where(r.id == gr.role_id, gr.group_id == ug.group_id, ug.user_id == user_id),
    )
    found: dict[str, list[str]] = {}
    for what, name in session.execute(mine):
        found.setdefault(what, []).append(name)
    if not found.get("user"):
        return None
    return Account(found["user"][0], tuple(found.get("group", ())), frozenset(found.get("role", ())))


def is_known(session: Session, name: str) -> bool:
    """Tell whether a name, or a mail address, is a user's; the case of letters says nothing."""
    u = USERS.c
    asked = select(u.id).where((func.lower(u.username) == name.lower()) | (func.lower(u.email) == name.lower()))
    return session.execute(asked.limit(1)).first() is not None


def dag_of_task(session: Session, task: UUID) -> str | None:
    """Return the DAG of a task that runs."""
    found = session.scalar(select(TASKS.c.dag_id).where(TASKS.c.id == task))
    return None if found is None else str(found)


def dag_ids(session: Session, projects: Collection[str] | None) -> set[str]:
    """Return the DAGs whose IDs begin with the names of projects, or all."""
    asked = select(DAGS.c.dag_id)
    if projects is not None:
        begins = [DAGS.c.dag_id.startswith(f"{project}.", autoescape=True) for project in projects]
        asked = asked.where(or_(false(), *begins))
    return set(session.scalars(asked))
