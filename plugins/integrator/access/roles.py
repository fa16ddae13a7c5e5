"""The table of roles: one place, asked by every door. Source: PRODUCT.md section 3."""

from __future__ import annotations

from collections.abc import Iterable

from integrator.model.access import RANK, Action, Role

_STANDARD = frozenset({Action.SEE, Action.RUN, Action.SEE_RECORDS, Action.USE_CREDENTIALS})
_ADMINISTRATOR = _STANDARD | {Action.NEW_BASE_URL, Action.CONFIGURE, Action.GIVE_ACCESS}
TABLE: dict[Role, frozenset[Action]] = {
    Role.STANDARD: _STANDARD,
    Role.ADMINISTRATOR: _ADMINISTRATOR,
    Role.OWNER: _ADMINISTRATOR | {Action.OWN},
}


OWN_DAGS = frozenset({"integrator.upkeep", "integrator.retention"})
"""DAGs of dags/upkeep.py."""


def may(role: Role | None, action: Action, *, records_for_standard: bool = True) -> bool:
    """Tell whether somebody with a role in a project may do something there; who has none may do nothing.

    Args:
        records_for_standard: the project's policy: whether Standard users see what records hold.
    """
    if role is None:
        return False
    if action is Action.SEE_RECORDS and role is Role.STANDARD and not records_for_standard:
        return False
    return action in TABLE[role]


def highest(roles: Iterable[Role]) -> Role | None:
    """Return the highest of several roles, as somebody in several groups has them."""
    return max(roles, key=RANK.index, default=None)


def project_of_dag(dag_id: str) -> str | None:
    """Return the project that a DAG belongs to, by its ID `<project>.<name>`; None for one that belongs to none.

    The one definition: a name that is not written exactly as projects are written belongs to nobody.
    """
    project, sign, rest = dag_id.partition(".")
    return project if sign and rest and is_project(project) else None


def project_of_named(name: str) -> str | None:
    """Return the project that a connection, variable or pool belongs to, by its name `<project>__<name>`; None for one that belongs to none."""
    project, sign, rest = name.partition("__")
    return project if sign and rest and is_project(project) else None


def is_ours(dag_id: str) -> bool:
    """Tell whether a DAG is one of the platform's own, which work for every project."""
    return dag_id in OWN_DAGS


def is_project(name: str) -> bool:
    """Tell whether a name may be a project's: small ASCII letters, digits and single underscores."""
    import re

    from integrator.model.names import NAME

    return name != "integrator" and bool(re.fullmatch(NAME, name))
