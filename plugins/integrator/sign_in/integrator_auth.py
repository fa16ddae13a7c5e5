"""Airflow's auth manager with our projects: Flask-AppBuilder says who somebody is, our table says what they may do.

Everybody's permissions in Flask-AppBuilder are left aside, but for its role Admin: a Viewer, a User or an Op without a role in a
project sees no project. What is not a DAG (connections, variables, pools, assets, configuration) has no place here where its project
could be checked for every method, so it is the platform administrators'. Source: PRODUCT.md section 3, docs/decisions/048.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
from airflow.providers.common.compat.sdk import conf
from airflow.providers.fab.auth_manager.fab_auth_manager import CACHE_TTL, FabAuthManager
from airflow.providers.fab.auth_manager.models import Group, User
from cachetools import Cache, TTLCache

from integrator.model.access import Action
from integrator.sign_in.borrowed_dag import WithoutBorrowedDag
from integrator.sign_in.own_origin import OwnOrigin
from integrator.sign_in.parts import sign_in_parts
from integrator.sign_in.rights import LISTED, MENU, OF_DAG, OWN_ACCOUNT, VIEWS
from integrator.sign_in.serving import hardened_manager, serve
from integrator.sign_in.standing import Standing, dags_for, standing_of
from integrator.sign_in.task_access import TasksKeepToTheirProject
from integrator.sign_in.tokens import CLAIM, TOKEN_S, known_by, revoke, session_for
from integrator.sign_in.users import UsersChange
from integrator.store.sealing import Sealer
from integrator.store.user_events import watch_users

CACHED_MOST_S = 5
"""Longest time for which a token's user is taken as known; what they may do is not cached at all."""


class IntegratorAuthManager(FabAuthManager):
    """Access by project on every page and API of Airflow, and sessions that end."""

    cache: ClassVar[Any] = Cache(maxsize=0)  # Flask-AppBuilder's, which threads may not share: it keeps nothing
    _users: ClassVar[Any] = TTLCache(maxsize=1024, ttl=min(CACHE_TTL, CACHED_MOST_S))
    _users_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        watch_users(User, Group, UsersChange(sign_in_parts))

    @cached_property
    def security_manager(self) -> Any:
        """Return Flask-AppBuilder's, or the deployment's own one, with our rules for passwords."""
        return hardened_manager(lambda: super(IntegratorAuthManager, self).security_manager)

    def get_fastapi_app(self) -> Any:
        """Return the sign-in's application, with what guards it.

        Raises:
            ConfigError: there is no Fernet key, so that the API server would keep connections as plain text; it does not start then.
        """
        Sealer(conf.get("core", "fernet_key", fallback="") or "")
        return serve(super().get_fastapi_app(), self.flask_app)

    def serialize_user(self, user: Any) -> dict[str, Any]:
        """Return what a token says: who somebody is, and the session that it is worth something in."""
        return {**super().serialize_user(user), CLAIM: session_for(sign_in_parts(), int(user.id))}

    def deserialize_user(self, token: dict[str, Any]) -> Any:
        """Return a token's user, kept for a few seconds.

        Raises:
            ValueError: there is no such user, or it was switched off.
        """
        number = int(token["sub"])
        with self._users_lock:
            found = self._users.get(number)
        if found is None:
            found = super().deserialize_user(token)
            with self._users_lock:
                self._users[number] = found
        return found

    def generate_jwt(self, user: Any, *, expiration_time_in_seconds: int = TOKEN_S) -> str:
        """Return a token that holds for a quarter of an hour at most, whatever the configuration says."""
        return str(super().generate_jwt(user, expiration_time_in_seconds=min(expiration_time_in_seconds, TOKEN_S)))

    async def get_user_from_token(self, token: str) -> Any:
        """Return who a token was given to, while its session goes on.

        Raises:
            InvalidTokenError: it was not made here, is over, was taken back, or its user is gone.
            ExpiredSignatureError: its session is over, so that pages send their people to sign in again.
        """
        return await known_by(self, sign_in_parts(), token)

    def revoke_token(self, token: str) -> None:
        """Take a token back, and end its session with all others of its tokens."""
        super().revoke_token(token)
        revoke(self, sign_in_parts(), token)

    def is_authorized_dag(self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None) -> bool:
        """Ask our table; without a DAG's name, only what is then filtered may be listed."""
        return _may_dag(standing_of(user), method, access_entity, details)

    def batch_is_authorized_dag(self, requests: Sequence[Any], *, user: Any) -> bool:
        """Ask our table for several DAGs at once."""
        standing = standing_of(user)
        return all(_may_dag(standing, one["method"], one.get("access_entity"), one.get("details")) for one in requests)

    def get_authorized_dag_ids(self, *, user: Any, method: Any = "GET", **kwargs: Any) -> set[str]:
        """Return the DAGs of one's projects; Flask-AppBuilder's own would return all, or those of its permissions."""
        del kwargs  # Airflow's session, and teams: a DAG's project is in its name
        standing, action = standing_of(user), OF_DAG[None].get(_word(method))
        if action is None and not standing.platform:
            return set()
        return dags_for(standing, action or Action.SEE)

    def filter_authorized_dag_ids(
        self, *, dag_ids: set[str], user: Any, method: Any = "GET", team_name: str | None = None
    ) -> set[str]:
        """Keep the DAGs of one's projects."""
        standing, action = standing_of(user), OF_DAG[None].get(_word(method))
        if standing.platform:
            return set(dag_ids)
        return {dag_id for dag_id in dag_ids if action is not None and standing.may(action, dag_id)}

    def is_authorized_configuration(self, *, method: Any, user: Any, details: Any = None) -> bool:
        """Platform administrators only."""
        return standing_of(user).platform

    def is_authorized_connection(self, *, method: Any, user: Any, details: Any = None) -> bool:
        """Platform administrators only: Airflow's answer shows a connection's host and what its masker does not know by name."""
        return standing_of(user).platform

    def is_authorized_variable(self, *, method: Any, user: Any, details: Any = None) -> bool:
        """Platform administrators only."""
        return standing_of(user).platform

    def is_authorized_pool(self, *, method: Any, user: Any, details: Any = None) -> bool:
        """Platform administrators only."""
        return standing_of(user).platform

    def is_authorized_asset(self, *, method: Any, user: Any, details: Any = None) -> bool:
        """Platform administrators only: an asset's answer names the DAGs of every project that uses it."""
        return standing_of(user).platform

    def is_authorized_asset_alias(self, *, method: Any, user: Any, details: Any = None) -> bool:
        """Platform administrators only."""
        return standing_of(user).platform

    def is_authorized_backfill(self, *, method: Any, user: Any, details: Any = None) -> bool:
        """Platform administrators only; Airflow 3.3 asks about the back-fill's DAG instead."""
        return standing_of(user).platform

    def is_authorized_team(self, *, method: Any, user: Any, details: Any = None) -> bool:
        """Platform administrators only: teams tell which workers run what, projects who sees it."""
        return standing_of(user).platform

    def is_authorized_view(self, *, access_view: Any, user: Any, team_name: str | None = None) -> bool:
        """Show what tells of no project to everybody who is signed in, and the rest to platform administrators."""
        return (access_view.value in VIEWS and not _anonymous(user)) or standing_of(user).platform

    def is_authorized_custom_view(self, *, method: Any, resource_name: str, user: Any) -> bool:
        """Show everybody their own account; users, roles and permissions are for platform administrators."""
        if resource_name in OWN_ACCOUNT and not _anonymous(user):
            return True
        return standing_of(user).platform

    def is_authorized_hitl_task(self, *, assigned_users: set[str], user: Any) -> bool:
        """Leave a question to those it was put to; that they may see its DAG is asked before."""
        return not _anonymous(user) and user.get_id() in assigned_users

    def get_authorized_connections(self, *, user: Any, method: Any = "GET", **kwargs: Any) -> set[str]:
        """Return all, or none."""
        return set(BaseAuthManager.get_authorized_connections(self, user=user, method=method, **kwargs))

    def filter_authorized_connections(
        self, *, conn_ids: set[str], user: Any, method: Any = "GET", team_name: str | None = None
    ) -> set[str]:
        """Keep all, or none."""
        return _all_or_none(conn_ids, user)

    def get_authorized_variables(self, *, user: Any, method: Any = "GET", **kwargs: Any) -> set[str]:
        """Return all, or none."""
        return set(BaseAuthManager.get_authorized_variables(self, user=user, method=method, **kwargs))

    def filter_authorized_variables(
        self, *, variable_keys: set[str], user: Any, method: Any = "GET", team_name: str | None = None
    ) -> set[str]:
        """Keep all, or none."""
        return _all_or_none(variable_keys, user)

    def get_authorized_pools(self, *, user: Any, method: Any = "GET", **kwargs: Any) -> set[str]:
        """Return all, or none."""
        return set(BaseAuthManager.get_authorized_pools(self, user=user, method=method, **kwargs))

    def filter_authorized_pools(
        self, *, pool_names: set[str], user: Any, method: Any = "GET", team_name: str | None = None
    ) -> set[str]:
        """Keep all, or none."""
        return _all_or_none(pool_names, user)

    def filter_authorized_teams(self, *, teams_names: set[str], user: Any, method: Any = "GET") -> set[str]:
        """Keep all, or none."""
        return _all_or_none(teams_names, user)

    def get_authorized_assets(self, *, user: Any, method: Any = "GET", **kwargs: Any) -> set[int]:
        """Return all, or none. Airflow 3.3 does not ask; later ones do."""
        return set(super().get_authorized_assets(user=user, method=method, **kwargs)) if standing_of(user).platform else set()

    def filter_authorized_menu_items(self, menu_items: list[Any], *, user: Any) -> list[Any]:
        """Show the items whose pages have something for everybody; platform administrators see all."""
        if standing_of(user).platform:
            return list(menu_items)
        return [] if _anonymous(user) else [item for item in menu_items if item.name in MENU]

    def get_extra_menu_items(self, *, user: Any) -> list[Any]:
        """Show the sign-in's own pages, users and roles, to platform administrators."""
        return list(super().get_extra_menu_items(user=user)) if standing_of(user).platform else []

    def get_fastapi_middlewares(self) -> list[Any]:
        """Add ours to those of Flask-AppBuilder."""
        own = (OwnOrigin, {"base_url": conf.get("api", "base_url", fallback="") or ""})
        return [*super().get_fastapi_middlewares(), (WithoutBorrowedDag, {}), (TasksKeepToTheirProject, {}), own]

    def _get_teams(self) -> set[str]:
        """Return the teams that the sign-in itself knows: none, they are Airflow's. Asked in multi-team mode only."""
        return set()


def _may_dag(standing: Standing, method: Any, entity: Any, details: Any) -> bool:
    if standing.platform:
        return True
    what = entity.value if entity is not None else None
    action = OF_DAG.get(what, {}).get(_word(method))
    if action is None:
        return False
    dag_id = details.id if details is not None else None
    if not dag_id:
        return _word(method) == "GET" and what in LISTED
    return standing.may(action, dag_id)


def _all_or_none(names: set[str], user: Any) -> set[str]:
    return set(names) if standing_of(user).platform else set()


def _anonymous(user: Any) -> bool:
    return user is None or bool(user.is_anonymous)


def _word(method: Any) -> str:
    return str(getattr(method, "value", method))
