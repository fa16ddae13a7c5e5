"""How passwords are kept, and which may be one. Source: PRODUCT.md P9."""

from __future__ import annotations

import re
import secrets
from collections.abc import MutableMapping
from typing import Any

from integrator.errors import ConfigError

METHOD = "pbkdf2:sha256:600000"
LEAST = {"sha256": 600_000, "sha512": 210_000}
"""Rounds that a guess has to cost. Source: OWASP, Password Storage Cheat Sheet."""
LENGTH_MIN, LENGTH_MAX = 12, 256
DIFFERENT_MIN = 5


def check_password(password: str) -> None:
    """Pass if a text may be a password: long, and not the same few signs again and again. Kinds of signs are nobody's business.

    Raises:
        ConfigError: it may not, and why.
    """
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        raise ConfigError(f"a password has {LENGTH_MIN} to {LENGTH_MAX} characters; a few words in a row are good")
    if len(set(password.casefold())) < DIFFERENT_MIN:
        raise ConfigError(f"a password has at least {DIFFERENT_MIN} different characters")


def strong(method: str) -> bool:
    """Tell whether a hash is made with as much work as a guess has to cost today."""
    found = re.fullmatch(r"pbkdf2:(sha256|sha512):(\d+)", method)
    return found is not None and int(found[2]) >= LEAST[found[1]]


def harden(settings: MutableMapping[str, Any]) -> None:
    """Set what Flask-AppBuilder reads, where it is weaker than it has to be: the hash, and the same work for users that do not exist."""
    from flask_appbuilder.exceptions import PasswordComplexityValidationError
    from werkzeug.security import generate_password_hash

    def check(password: str) -> None:
        try:
            check_password(password)
        except ConfigError as fault:
            raise PasswordComplexityValidationError(str(fault)) from None

    if not strong(str(settings.get("FAB_PASSWORD_HASH_METHOD"))):
        settings["FAB_PASSWORD_HASH_METHOD"] = METHOD
    method = settings["FAB_PASSWORD_HASH_METHOD"]
    if not str(settings.get("AUTH_DB_FAKE_PASSWORD_HASH_CHECK", "")).startswith(f"{method}$"):
        settings["AUTH_DB_FAKE_PASSWORD_HASH_CHECK"] = generate_password_hash(secrets.token_urlsafe(24), method=method)
    if not settings.get("FAB_PASSWORD_COMPLEXITY_ENABLED"):
        settings["FAB_PASSWORD_COMPLEXITY_ENABLED"] = True
        settings["FAB_PASSWORD_COMPLEXITY_VALIDATOR"] = check


def hardened(manager: type[Any]) -> type[Any]:
    """Return a security manager of Flask-AppBuilder that checks passwords however they are set, and renews hashes that are too weak."""

    class Hardened(manager):  # type: ignore[misc]
        def _hash_password(self, password: str) -> str:
            if not password:  # somebody who signs in elsewhere: what is kept fits no password
                return str(super()._hash_password(secrets.token_urlsafe(32)))
            check_password(password)
            return str(super()._hash_password(password))

        def auth_user_db(self, username: str, password: str, rotate_session_id: bool = True) -> Any:
            user = super().auth_user_db(username, password, rotate_session_id)
            if user is not None and not strong(str(user.password).partition("$")[0]):
                user.password = super()._hash_password(password)
                self.update_user(user)
            return user

    return Hardened
