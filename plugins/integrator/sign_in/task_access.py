"""What tasks may ask Airflow's Execution API for: connections and variables of their own project.

Airflow 3.3 answers any task's question for any connection; the check that it asks, and that always says yes, is put out here for ours.
Source: issue "Projects", AIRFLOW.md.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any

from airflow.api_fastapi.execution_api.routes.connections import has_connection_access
from airflow.api_fastapi.execution_api.routes.variables import has_variable_access
from airflow.api_fastapi.execution_api.security import CurrentTIToken
from airflow.utils.session import create_session
from fastapi import FastAPI, HTTPException, Path

from integrator.access.roles import is_ours, project_of_dag, project_of_named
from integrator.store.sign_ins import dag_of_task

logger = logging.getLogger(__name__)

MOUNT = "/execution"
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class TasksKeepToTheirProject:
    """Puts the check into the API server's application when it starts; requests pass as they are."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Hand on whatever comes."""
        if scope["type"] == "lifespan":
            guard_tasks(scope["app"])
        await self._app(scope, receive, send)


def guard_tasks(app: FastAPI) -> None:
    """Let the Execution API below an application ask us about connections and variables.

    Raises:
        RuntimeError: it cannot be found, so that nothing would be asked; the API server does not start then.
    """
    mounted = [getattr(route, "app", None) for route in app.routes if getattr(route, "path", None) == MOUNT]
    if len(mounted) != 1 or not isinstance(mounted[0], FastAPI):
        raise RuntimeError(
            f"Airflow's Execution API is not at {MOUNT}, so that access of tasks to connections could not be checked"
        )
    mounted[0].dependency_overrides |= {has_connection_access: may_open_connection, has_variable_access: may_use_variable}


def may_open_connection(connection_id: Annotated[str, Path(min_length=1)], token: Any = CurrentTIToken) -> bool:
    """Pass if a connection is of the task's project, or of no project."""
    return _own("connection", connection_id, token)


def may_use_variable(variable_key: Annotated[str, Path(min_length=1)], token: Any = CurrentTIToken) -> bool:
    """Pass if a variable is of the task's project, or of no project."""
    return _own("variable", variable_key, token)


def _own(what: str, name: str, token: Any) -> bool:
    # As a variable of the environment a connection is found whatever the case of its name, and a long s is an S there.
    project = project_of_named(name.upper().lower())
    if project is None:
        return True
    with create_session(scoped=False) as session:
        dag_id = dag_of_task(session, token.id)
    if dag_id is not None and (is_ours(dag_id) or project_of_dag(dag_id) == project):
        return True
    logger.warning("DAG %s asked for %s %s, which is another project's", dag_id, what, name)
    raise HTTPException(
        403,
        {
            "reason": "access_denied",
            "message": f"the {what} {name} is of project {project}; a DAG of that project is named {project}.<name>",
        },
    )
