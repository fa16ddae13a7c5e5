"""FAB's file in the home folder: how Airflow's sign-in keeps passwords. Source: PRODUCT.md P9."""

from __future__ import annotations

import secrets

from integrator.launching.home import Home

FILE = "webserver_config.py"
METHOD = "pbkdf2:sha256:600000"


def write_sign_in_settings(home: Home) -> None:
    """Write the file unless it is there: one-way hashes, also for the check that hides which users exist."""
    if (home.path / FILE).exists():
        return
    from werkzeug.security import generate_password_hash  # slow to import, and needed once

    fake = generate_password_hash(secrets.token_urlsafe(24), method=METHOD)
    home.write(
        FILE,
        "# How Airflow's sign-in keeps passwords.\n"
        "from flask_appbuilder.const import AUTH_DB\n\n"
        f"AUTH_TYPE = AUTH_DB\nWTF_CSRF_ENABLED = True\nFAB_PASSWORD_HASH_METHOD = {METHOD!r}\n"
        f"AUTH_DB_FAKE_PASSWORD_HASH_CHECK = {fake!r}\n",
    )
