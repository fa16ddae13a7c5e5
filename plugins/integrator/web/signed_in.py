"""Who is signed in to Airflow, and what Airflow's auth manager lets them see. The one file that leans on its internal parts."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends

SignedIn = Depends(get_user)
"""Gives the user, or answers 401."""


def name_of(user: Any) -> str:
    """Return a user's name."""
    return str(user.get_name())


def may_see_logs(user: Any, project: str, pipe: str) -> bool:
    """Tell whether a user may read what a pipe's tasks log."""
    dag = DagDetails(id=f"{project}.{pipe}")
    return bool(
        get_auth_manager().is_authorized_dag(method="GET", access_entity=DagAccessEntity.TASK_LOGS, details=dag, user=user)
    )
