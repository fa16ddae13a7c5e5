"""Sessions behind tokens: each token names one, Flask's own session holds its name, and signing out ends it.

Flask-AppBuilder leaves its session in the database when somebody signs out, and an old cookie would give new tokens; so each
request of its pages asks whether our session goes on. Source: PRODUCT.md P5.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from jwt.exceptions import ExpiredSignatureError, InvalidTokenError
from starlette.concurrency import run_in_threadpool

from integrator.sign_in.parts import ORIGIN, SignInParts

CLAIM = "sid"
TOKEN_S = 900
"""Longest life of a token, whatever is asked for; pages get a new one while their session goes on."""
_NAME = "integrator_session"
SIGNED_IN, SIGNED_OUT = "sign_in.done", "sign_in.out"


def session_for(parts: SignInParts, user_id: int) -> str:
    """Return the session that a new token belongs to: that of the page which asks for it, else one for this token alone."""
    from flask import has_request_context, session

    if not has_request_context():
        return parts.sessions.open(user_id, ORIGIN.get(), timedelta(seconds=TOKEN_S))
    found = session.get(_NAME)
    if found is None:
        session[_NAME] = found = parts.sessions.open(user_id, _address())
    return str(found)


def keep_sessions(app: Any, parts: SignInParts) -> None:
    """Let a Flask application open a session with each sign-in, end it with each sign-out, and ask for it before each page."""
    from flask_login import user_logged_in, user_logged_out

    def opened(_sender: Any, user: Any, **_: Any) -> None:
        from flask import session

        session[_NAME] = parts.sessions.open(int(user.id), _address())
        parts.acting(str(user.username)).note(SIGNED_IN, target="pages")

    def ended(_sender: Any, user: Any, **_: Any) -> None:
        from flask import session

        if (found := session.pop(_NAME, None)) and parts.sessions.end(str(found)) and user is not None:
            parts.acting(str(getattr(user, "username", ""))).note(SIGNED_OUT, target="pages")

    user_logged_in.connect(opened, app, weak=False)
    user_logged_out.connect(ended, app, weak=False)
    # Before all others: they take who is signed in for granted.
    app.before_request_funcs.setdefault(None, []).insert(0, lambda: _only_while_it_lives(parts))


def sign_out(app: Any, cookies: str) -> None:
    """End the session that these cookies name, in the sign-in's database and in ours, as its own page does.

    Args:
        app: the Flask application.
        cookies: the header of the request.
    """
    from flask import session
    from flask_login import logout_user

    with app.test_request_context("/", headers={"Cookie": cookies}, environ_overrides={"REMOTE_ADDR": ORIGIN.get()}):
        logout_user()
        session.clear()
        app.session_interface.save_session(app, session, app.response_class())


def _only_while_it_lives(parts: SignInParts) -> None:
    from flask import session
    from flask_login import current_user, logout_user

    if not current_user.is_authenticated:
        return
    found = session.get(_NAME)
    if found is None or not parts.sessions.alive(str(found), int(current_user.id)):
        session.pop(_NAME, None)
        logout_user()
        session.clear()


def _address() -> str:
    from flask import request

    return str(request.remote_addr or "")


async def known_by(manager: Any, parts: SignInParts, token: str) -> Any:
    """Return the user whom an auth manager gave a token to, while its session goes on.

    Raises:
        InvalidTokenError: the token does not hold.
        ExpiredSignatureError: it is over, or its session is.
    """
    claims = await manager._get_token_validator().avalidated_claims(token)  # noqa: SLF001 - Airflow's own way, which ends with asking no session

    def known() -> Any:  # in a thread, since it asks databases
        from airflow.models.revoked_token import RevokedToken

        if RevokedToken.is_revoked(str(claims.get("jti"))):
            raise InvalidTokenError("the token was taken back")
        try:
            user_id = int(claims["sub"])
            if not parts.sessions.alive(str(claims.get(CLAIM)), user_id):
                raise ExpiredSignatureError("the session is over")
            return manager.deserialize_user(claims)
        except (ValueError, KeyError, TypeError):
            raise InvalidTokenError("the token names nobody who may sign in") from None

    return await run_in_threadpool(known)


def revoke(manager: Any, parts: SignInParts, token: str) -> None:
    """End the session that a token belongs to, and note who signed out."""
    try:
        claims = manager._get_token_validator().validated_claims(token)  # noqa: SLF001 - as Airflow's own `revoke_token`
        user_id, found = int(claims["sub"]), str(claims.get(CLAIM))
    except (InvalidTokenError, ValueError, KeyError, TypeError):
        return  # what does not hold ends nothing
    if parts.sessions.alive(found, user_id) and parts.sessions.end(found):
        try:
            name = str(manager.deserialize_user(claims).username)
        except ValueError:
            name = f"user {user_id}"
        parts.acting(name).note(SIGNED_OUT, target="token")
