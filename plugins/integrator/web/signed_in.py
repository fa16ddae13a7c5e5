"""Who is signed in to Airflow, what its auth manager lets them see, and which DAGs it has. The one file that leans on its internal parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user
from airflow.configuration import conf
from airflow.utils.session import create_session
from fastapi import HTTPException, Request

from integrator.access.roles import may, project_of_dag
from integrator.errors import NotSignedInError
from integrator.model.access import Action
from integrator.store.airflow_dags import living_dags
from integrator.store.sign_in_groups import SqlGroups


async def user_of(request: Request, token: Any) -> Any:
    """Return the user of a request: by its token, else by Airflow's cookie.

    Raises:
        NotSignedInError: there is none, or it holds no longer.
    """
    try:
        user = await get_user(request, None, token)
    except HTTPException as refused:
        if refused.status_code not in (401, 403):
            raise
        raise NotSignedInError("sign in: send a token of POST /auth/token as Authorization: Bearer ...") from None
    if user is None or user.is_anonymous:
        raise NotSignedInError("sign in: send a token of POST /auth/token as Authorization: Bearer ...")
    return user


def may_see_logs(user: Any, project: str, pipe: str, *, records_for_standard: bool) -> bool:
    """Tell whether a user may read what was logged of a pipe's calls: who may read its tasks' logs, and by the project's policy what records hold.

    Args:
        records_for_standard: that policy.

    Where another auth manager than ours is set, nobody has a role, so that nobody can be told from a Standard user.
    """
    manager, dag_id = get_auth_manager(), f"{project}.{pipe}"
    owner = project_of_dag(dag_id)
    if owner is not None and not records_for_standard:
        from integrator.sign_in.integrator_auth import IntegratorAuthManager  # brings Flask
        from integrator.sign_in.standing import standing_of

        if not isinstance(manager, IntegratorAuthManager):
            return False
        standing = standing_of(user)
        if not (standing.platform or may(standing.roles.get(owner), Action.SEE_RECORDS, records_for_standard=False)):
            return False
    entity = DagAccessEntity.TASK_LOGS
    return bool(manager.is_authorized_dag(method="GET", access_entity=entity, details=DagDetails(id=dag_id), user=user))


def projects_with_dags() -> set[str]:
    """Return the projects whose pipes Airflow has DAGs of: a folder makes a project, whoever owns it."""
    with create_session(scoped=False) as session:
        return {project for dag_id in living_dags(session) if (project := project_of_dag(dag_id)) is not None}


def sign_in() -> SqlGroups:
    """Return where Airflow's sign-in keeps its groups."""
    return SqlGroups(lambda: create_session(scoped=False))


def public_origin() -> str:
    """Return the origin at which people reach Airflow, where its configuration says so."""
    from urllib.parse import urlsplit

    parts = urlsplit(str(conf.get("api", "base_url", fallback="") or ""))
    return f"{parts.scheme}://{parts.netloc}".lower() if parts.scheme and parts.netloc else ""


def log_folder() -> Path | None:
    """Return where Airflow's task logs lie."""
    named = conf.get("logging", "base_log_folder", fallback="")
    return Path(named) if named else None
