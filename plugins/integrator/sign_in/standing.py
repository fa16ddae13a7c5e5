"""What somebody who is signed in may do, as it is at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from airflow.utils.session import create_session

from integrator.access.roles import may, project_of_dag
from integrator.model.access import Action, Role
from integrator.sign_in.parts import KNOWN, sign_in_parts
from integrator.store.sign_ins import account_of, dag_ids

PLATFORM_ROLE = "Admin"
"""Role of Airflow's sign-in whose holders administer the platform and stand above projects."""
AIRFLOWS_ROLES = frozenset({PLATFORM_ROLE, "Op", "User", "Viewer", "Public"})
"""Roles that Airflow makes itself. Another one counts as a group of its name: single sign-on gives people roles, and no groups."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody is: an administrator of the platform, or somebody with roles in projects, or nobody."""

    platform: bool = False
    roles: Mapping[str, Role] = field(default_factory=lambda: MappingProxyType({}))

    def may(self, action: Action, dag_id: str) -> bool:
        """Tell whether they may do something with a DAG; one that belongs to no project is the platform's."""
        if self.platform:
            return True
        project = project_of_dag(dag_id)
        return project is not None and may(self.roles.get(project), action)


NOBODY = Standing()


def standing_of(user: Any) -> Standing:
    """Return what a user may do, read anew for each request: what was given or taken holds from the next one on, whatever their token says.

    Raises:
        IntegratorError: our database does not answer; nothing is shown then.
    """
    # The public role of somebody who did not sign in gives nothing, whatever it is set to.
    if user is None or user.is_anonymous:
        return NOBODY
    number, known = int(user.get_id()), KNOWN.get()
    if known is None:
        return _read(number)
    if number not in known:
        known[number] = _read(number)
    found: Standing = known[number]
    return found


def _read(user_id: int) -> Standing:
    # A session of its own: closing the one that Flask's pages share would take their user away from under them.
    with create_session(scoped=False) as session:
        account = account_of(session, user_id)
    if account is None:
        return NOBODY
    if PLATFORM_ROLE in account.roles:
        return Standing(platform=True)
    return Standing(roles=sign_in_parts().members.roles(account.user, {*account.groups, *account.roles} - AIRFLOWS_ROLES))


def dags_for(standing: Standing, action: Action) -> set[str]:
    """Return the DAGs with which somebody may do something."""
    projects = None if standing.platform else [project for project, role in standing.roles.items() if may(role, action)]
    with create_session(scoped=False) as session:
        found = dag_ids(session, projects)
    return found if projects is None else {dag_id for dag_id in found if standing.may(action, dag_id)}
