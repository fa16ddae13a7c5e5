# ruff: noqa: INP001 - a file of the image, in no package
"""How Airflow's sign-in keeps passwords: one-way, and the same work for users that do not exist."""

import secrets

from flask_appbuilder.const import AUTH_DB
from werkzeug.security import generate_password_hash

AUTH_TYPE = AUTH_DB
WTF_CSRF_ENABLED = True
FAB_PASSWORD_HASH_METHOD = "pbkdf2:sha256:600000"  # noqa: S105 - a method, no password
AUTH_DB_FAKE_PASSWORD_HASH_CHECK = generate_password_hash(secrets.token_urlsafe(24), method=FAB_PASSWORD_HASH_METHOD)
