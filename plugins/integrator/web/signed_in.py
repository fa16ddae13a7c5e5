"""Who is signed in to Airflow, and what Airflow's auth manager lets them see. The one file that leans on its internal parts."""

from __future__ import annotations

from functools import cache
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends

from integrator.access.roles import may, project_of_dag
from integrator.hooks.integrator_hook import load_settings
from integrator.model.access import Action
from integrator.store.database import open_engine
from integrator.store.projects import SqlProjects

SignedIn = Depends(get_user)
"""Gives the user, or answers 401."""


def name_of(user: Any) -> str:
    """Return a user's name."""
    return str(user.get_name())


@cache
def projects() -> SqlProjects:
    """Return where it is kept what projects want.

    Raises:
        ConfigError: a setting is missing or cannot be used.
    """
    return SqlProjects(open_engine(load_settings().database_url))


def may_see_logs(user: Any, project: str, pipe: str) -> bool:
    """Tell whether a user may read what was logged of a pipe's calls: who may read its tasks' logs, and by the project's policy what records hold.

    Where another auth manager than ours is set, nobody has a role, so that nobody can be told from a Standard user.
    """
    manager, dag_id = get_auth_manager(), f"{project}.{pipe}"
    owner = project_of_dag(dag_id)
    if owner is not None and not projects().wants(owner).records_for_standard:
        from integrator.sign_in.integrator_auth import IntegratorAuthManager  # brings Flask
        from integrator.sign_in.standing import standing_of

        if not isinstance(manager, IntegratorAuthManager):
            return False
        standing = standing_of(user)
        if not (standing.platform or may(standing.roles.get(owner), Action.SEE_RECORDS, records_for_standard=False)):
            return False
    entity = DagAccessEntity.TASK_LOGS
    return bool(manager.is_authorized_dag(method="GET", access_entity=entity, details=DagDetails(id=dag_id), user=user))
