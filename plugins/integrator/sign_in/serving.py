"""Puts what guards the sign-in around Flask-AppBuilder's own application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.utils.session import create_session
from fastapi import Request
from fastapi.responses import JSONResponse

from integrator.errors import ConfigError, IntegratorError
from integrator.sign_in.guarded import Guarded, note_signed_in
from integrator.sign_in.parts import sign_in_parts
from integrator.sign_in.passwords import harden, hardened
from integrator.sign_in.tokens import keep_sessions
from integrator.store.sign_ins import is_known

MANAGER = "SECURITY_MANAGER_CLASS"


def serve(app: Any, flask_app: Any) -> Any:
    """Return the sign-in's application, guarded."""
    from airflow.providers.fab.auth_manager.security_manager.override import FabException
    from flask_login import user_logged_in

    keep_sessions(flask_app, sign_in_parts())
    user_logged_in.connect(lambda _sender, user, **_: note_signed_in(str(user.username)), flask_app, weak=False)
    flask_app.config["SESSION_COOKIE_SAMESITE"] = flask_app.config.get("SESSION_COOKIE_SAMESITE") or "Lax"
    view = getattr(flask_app.appbuilder.sm, "user_view", None)
    if view is not None:
        view.pre_delete = lambda user: _may_go(str(user.username))
    app.add_exception_handler(ConfigError, _refused)
    app.add_exception_handler(FabException, _refused)
    app.add_middleware(Guarded, parts=sign_in_parts, flask_app=flask_app, known=_known)
    return app


def hardened_manager(make: Callable[[], Any]) -> Any:
    """Return the security manager that is made once our rules for passwords are in its settings."""
    from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride
    from flask import current_app

    settings = current_app.config
    harden(settings)
    settings["AUTH_RATE_LIMITED"] = False  # counts good ones too, in each process by itself; `Guarded` counts better
    chosen = settings.get(MANAGER) or FabAirflowSecurityManagerOverride
    settings[MANAGER] = hardened(chosen)
    try:
        return make()
    finally:
        settings[MANAGER] = chosen


def _may_go(user: str) -> None:
    from integrator.sign_in.users import UsersChange

    UsersChange(sign_in_parts).may_go(user)


def _known(name: str) -> bool:
    with create_session(scoped=False) as session:
        return is_known(session, name)


def _refused(request: Request, fault: Exception) -> JSONResponse:
    """Answer in our own words where they are the reason; Flask-AppBuilder's say less."""
    cause = fault if isinstance(fault, IntegratorError) else fault.__cause__
    told = str(cause if isinstance(cause, IntegratorError) else fault)
    return JSONResponse({"detail": told}, 409 if request.method == "DELETE" else 400)
