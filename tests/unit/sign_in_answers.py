"""The auth manager in a process of its own: questions as JSON on stdin, answers on stdout."""

from __future__ import annotations

import json
import sys
from typing import Any


class Somebody:
    """A user as the sign-in hands it on; None is somebody who did not sign in."""

    def __init__(self, number: int | None) -> None:
        self.id, self.is_anonymous = number, number is None

    def get_id(self) -> str:
        """Return the number as the token has it."""
        return str(self.id)

    @property
    def perms(self) -> set[tuple[str, str]]:
        """Return every permission that there is: none of them may open anything."""
        from airflow.providers.fab.www.security import permissions

        names = [value for name, value in vars(permissions).items() if name.startswith("RESOURCE_") and isinstance(value, str)]
        actions = [value for name, value in vars(permissions).items() if name.startswith("ACTION_") and isinstance(value, str)]
        return {(action, name) for action in actions for name in (*names, "List Users", "List Roles")}


def answer(made: Any, asked: dict[str, Any]) -> Any:
    """Answer one question."""
    user = Somebody(asked["user"])
    return globals()[f"_{asked['do']}"](made, user, asked)


def _dag(made: Any, user: Any, asked: dict[str, Any]) -> Any:
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails

    entity = DagAccessEntity(asked["entity"]) if asked["entity"] else None
    details = DagDetails(id=asked["dag_id"]) if asked["dag_id"] is not None else None
    return made.is_authorized_dag(method=asked["method"], user=user, access_entity=entity, details=details)


def _batch(made: Any, user: Any, asked: dict[str, Any]) -> Any:
    from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails

    return made.batch_is_authorized_dag([{"method": "GET", "details": DagDetails(id=one)} for one in asked["dags"]], user=user)


def _named(made: Any, user: Any, asked: dict[str, Any]) -> Any:
    from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails, PoolDetails, VariableDetails

    name = asked["name"]
    return [
        any(
            made.is_authorized_connection(method=m, details=ConnectionDetails(conn_id=name), user=user)
            for m in ("GET", "POST", "PUT", "DELETE")
        ),
        any(
            made.is_authorized_variable(method=m, details=VariableDetails(key=name), user=user)
            for m in ("GET", "POST", "PUT", "DELETE")
        ),
        any(
            made.is_authorized_pool(method=m, details=PoolDetails(name=name), user=user) for m in ("GET", "POST", "PUT", "DELETE")
        ),
    ]


def _listed(made: Any, user: Any, asked: dict[str, Any]) -> Any:
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
    from airflow.api_fastapi.common.types import MenuItem

    single = ("configuration", "asset", "asset_alias", "backfill", "team")
    return {
        "dags": sorted(made.get_authorized_dag_ids(user=user)),
        "connections": sorted(made.get_authorized_connections(user=user)),
        "variables": sorted(made.get_authorized_variables(user=user)),
        "pools": sorted(made.get_authorized_pools(user=user)),
        "assets": sorted(made.get_authorized_assets(user=user)),
        "teams": sorted(made.get_authorized_teams(user=user)),
        "menu": sorted(item.name for item in made.filter_authorized_menu_items(list(MenuItem), user=user)),
        "views": sorted(view.value for view in AccessView if made.is_authorized_view(access_view=view, user=user)),
        "extra_menu": [item.text for item in made.get_extra_menu_items(user=user)],
        "other": [
            f"{method} {name}"
            for name in single
            for method in ("GET", "POST", "PUT", "DELETE")
            if getattr(made, f"is_authorized_{name}")(method=method, user=user)
        ]
        + [
            name
            for name in ("Users", "Roles", "Permissions")
            if made.is_authorized_custom_view(method="GET", resource_name=name, user=user)
        ],
    }


def _entities(made: Any, user: Any, asked: dict[str, Any]) -> Any:
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

    return [entity.value for entity in DagAccessEntity]


def _sql(made: Any, user: Any, asked: dict[str, Any]) -> Any:
    from airflow.utils.session import create_session
    from sqlalchemy import text

    with create_session(scoped=False) as session:
        session.execute(text(asked["sql"]))


def _methods(made: Any, user: Any, asked: dict[str, Any]) -> Any:
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

    from integrator.sign_in.rights import OF_DAG

    user.id = 7
    names = {name for one in type(made).__mro__[1:-1] for name in vars(one) if not name.startswith("_")}
    about = {
        name for name in names if name.startswith(("is_authorized", "get_authorized", "filter_authorized", "batch_is_authorized"))
    }
    return {
        "about_access": sorted(about),
        "ours": sorted(vars(type(made))),
        "rest": sorted(names - about),
        "entities": sorted(entity.value for entity in DagAccessEntity),
        "entities_known": sorted(name for name in OF_DAG if name),
        "token": made.serialize_user(user),
    }


def _main() -> None:
    from airflow.api_fastapi.app import create_auth_manager

    made = create_auth_manager()
    print("ANSWERS", json.dumps([answer(made, one) for one in json.load(sys.stdin)]))


if __name__ == "__main__":
    _main()
