"""Secrets that an installation makes once and keeps: lose the Fernet key and every stored credential is lost with it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping

from cryptography.fernet import Fernet, MultiFernet

from integrator.errors import ConfigError
from integrator.launching.home import Home

FERNET_KEY = "AIRFLOW__CORE__FERNET_KEY"
ADMIN_USER = "INTEGRATOR_ADMIN_USER"
ADMIN_PASSWORD = "INTEGRATOR_ADMIN_PASSWORD"  # noqa: S105 - a variable's name
PASSWORD_SHOWN = "INTEGRATOR_ADMIN_PASSWORD_SHOWN"  # noqa: S105 - a variable's name
SHOP = "AIRFLOW_CONN_DEMO__SHOP"
ERP = "AIRFLOW_CONN_DEMO__ERP"

_MADE: dict[str, Callable[[], str]] = {
    "AIRFLOW__API_AUTH__JWT_SECRET": lambda: secrets.token_urlsafe(48),
    "AIRFLOW__API__SECRET_KEY": lambda: secrets.token_urlsafe(32),
    "AIRFLOW__INTEGRATOR__HASH_KEY": lambda: secrets.token_urlsafe(32),
    ADMIN_USER: lambda: "admin",
    ADMIN_PASSWORD: lambda: "-".join(secrets.token_hex(3) for _ in range(4)),
}


def make_secrets(home: Home, environ: Mapping[str, str]) -> None:
    """Put the secrets that are missing into the home's env file.

    Raises:
        ConfigError: credentials may already be stored under a Fernet key that is not there any more, or not usable.
    """
    kept = home.variables()
    key = environ.get(FERNET_KEY, kept.get(FERNET_KEY))
    made = {name: make() for name, make in _MADE.items() if name not in kept}
    if key is None and not home.database.exists():
        made[FERNET_KEY] = Fernet.generate_key().decode()
    else:
        check_fernet_key(key, home)
    if made:
        home.keep(made)


def check_fernet_key(key: str | None, home: Home) -> None:
    """Refuse to go on without a usable Fernet key; Airflow would store credentials as plain text. Source: PRODUCT.md P2.

    Raises:
        ConfigError: with the cure.
    """
    cure = (
        f"Put the key back as {FERNET_KEY}=... in {home.env_file} (from your backup; a key is 44 characters). "
        f"If no credential is stored yet, delete {home.database.name} there too and start again: a new key is made."
    )
    if not key:
        raise ConfigError(f"there is no Fernet key, so credentials would be stored readable. {cure}")
    try:
        MultiFernet([Fernet(one.strip()) for one in key.split(",")])
    except ValueError:
        raise ConfigError(f"the Fernet key cannot be used. {cure}") from None


def demo_connections(kept: Mapping[str, str], shop_port: int, erp_port: int) -> dict[str, str]:
    """Return the demo's two connections with today's ports; their secrets stay the ones they had."""
    shop = {"username": "integrator", "password": _kept_secret(kept, SHOP, "password"), "plain_http": True}
    erp = {"token": _kept_secret(kept, ERP, "token"), "plain_http": True}
    return {
        SHOP: json.dumps({"conn_type": "integrator_basic", "host": f"http://127.0.0.1:{shop_port}", "extra": shop}),
        ERP: json.dumps({"conn_type": "integrator_bearer", "host": f"http://127.0.0.1:{erp_port}", "extra": erp}),
    }


def _kept_secret(kept: Mapping[str, str], variable: str, name: str) -> str:
    try:
        return str(json.loads(kept[variable])["extra"][name])
    except (KeyError, ValueError, TypeError):
        return secrets.token_urlsafe(24)
