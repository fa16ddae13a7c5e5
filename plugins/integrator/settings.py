"""Every setting: its default, unit and meaning; Airflow's config section is `[integrator]`.

A value comes from the environment (`AIRFLOW__INTEGRATOR__<NAME>`), else from whatever a door hands in
(airflow.cfg), else from the default here. The provider's config section and docs/reference/settings.md
are made from this file.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from integrator.errors import ConfigError

SECTION = "integrator"
HOME_VARIABLE = "INTEGRATOR_HOME"
DEFAULT_HOME = "./.integrator"
MAINTENANCE_VARIABLE = "INTEGRATOR_MAINTENANCE_CONN"
"""SQLAlchemy URL of Airflow's own database, for the purge alone: no setting of `[integrator]`, since tasks read those."""
MAINTENANCE_MEANING = (
    "SQLAlchemy URL of Airflow's own database, by which Airflow's rows of our pipes are purged. Only for the process that purges, "
    "never for a worker; empty: Airflow's SQLite file where there is one"
)
_AIRFLOW_DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
ENV_FILE = "env"
"""Name of the file in the home folder where the launcher keeps its variables, mode 0600."""


def _setting(default: Any, meaning: str, *, unit: str = "", secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"meaning": meaning, "unit": unit, "secret": secret})


@dataclass(frozen=True, slots=True)
class Settings:
    """What an installation may set. Source: docs/reference/settings.md is made from this class."""

    sql_alchemy_conn: str = _setting(
        "", "SQLAlchemy URL of the journal's database; empty: integrator.db (SQLite) in the home folder", secret=True
    )
    worker_role: str = _setting(
        "",
        "PostgreSQL role as which workers sign in to the journal's database, which `airflow db migrate` then lets move records and "
        "neither read nor change who is in a project; empty: they sign in as everything else does",
    )
    hash_key: str = _setting(
        "",
        "Key of the keyed hashes (marks of settled records, idempotency keys); made by the launcher or on first use",
        secret=True,
    )
    allowed_networks: str = _setting(
        "",
        "Private networks that credentials may reach beside public addresses, as CIDR ranges with commas; http (plain_http) too",
    )
    proxy: str = _setting(
        "", "URL of a proxy that all calls to other systems go through, such as http://proxy.example:3128", secret=True
    )
    no_proxy: str = _setting(
        "", "Hosts, domains and networks that are reached without the proxy, with commas; loopback always is"
    )
    in_flight_start: int = _setting(8, "Calls in flight to a destination when a flow starts", unit="calls")
    in_flight_max: int = _setting(64, "Most calls in flight to one destination, unless the flow says otherwise", unit="calls")
    answer_max_mb: int = _setting(32, "Largest answer that is read, decompressed", unit="MiB")
    connect_timeout_s: float = _setting(15.0, "How long connecting may take", unit="s")
    answer_timeout_s: float = _setting(120.0, "How long an answer may take from sending to its last byte", unit="s")
    attempts: int = _setting(5, "How often one request is sent when the other system is busy or away", unit="times")
    back_off_s: float = _setting(1.0, "First wait between two attempts; doubles, with jitter", unit="s")
    wait_max_s: float = _setting(
        300.0, "Longest wait for another system that a worker sits through; above it the task gives its worker back", unit="s"
    )
    park_max_s: float = _setting(
        86_400.0, "Longest wait for which a task gives its worker back and comes again; above it the run fails", unit="s"
    )
    stale_after_s: float = _setting(60.0, "A flow run without a sign of life for this long is taken to be dead", unit="s")
    pages_max: int = _setting(1_000_000, "Most pages that one run reads", unit="pages")
    console_store: str = _setting(
        "", "Where console logs lie: s3://bucket/prefix, or a folder; empty: console in the home folder"
    )
    console_endpoint: str = _setting("", "URL of an S3-compatible store; empty: AWS itself")
    console_region: str = _setting("", "Region of the bucket; empty: as AWS's own tools find it")
    console_kms_key: str = _setting("", "KMS key that console logs are encrypted with; empty: the store's own key (AES256)")
    token_key: str = _setting(
        "",
        "Fernet keys of what sign-ins earn, with commas, the newest first, so that workers need not have Airflow's; empty: Airflow's own",
        secret=True,
    )
    audit_log: str = _setting(
        "",
        "File outside the database to which each line of the audit goes too; empty: audit.log in the home folder; none: no file",
    )
    plans: str = _setting(
        "",
        "Plans of your own beside trial, standard, business and enterprise: "
        "`gold: run_days=10 failure_days=20 console_days=5 audit_days=60; silver: ...`",
    )
    session_max_min: int = _setting(720, "Longest time for which somebody stays signed in", unit="min")
    session_idle_min: int = _setting(60, "Time without a request after which somebody is signed out", unit="min")
    platform_plan: str = _setting("standard", "Plan of the platform's own DAGs, such as integrator.upkeep")
    environment: str = _setting(
        "development", "development or production; in production `integrator doctor` fails on what is grave"
    )
    home: str = _setting(DEFAULT_HOME, "Folder of the embedded installation: secrets, journal, logs")

    @property
    def database_url(self) -> str:
        """URL of the journal's database."""
        return self.sql_alchemy_conn or f"sqlite:///{Path(self.home).resolve() / 'integrator.db'}"


def token_keys(settings: Settings, airflows: str) -> str:
    """Return the Fernet keys of what sign-ins earn, the newest first.

    Args:
        airflows: Airflow's own keys, empty in a worker that has none; what they encrypted before can still be read.
    """
    return ",".join(one for one in (settings.token_key.strip(), airflows.strip()) if one)


def read_env_file(home: Path) -> dict[str, str]:
    """Return the variables that the launcher keeps in the home folder; empty when there is no such file."""
    path = home / ENV_FILE
    if not path.is_file():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text("utf-8").splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def environment(home: str | None = None) -> dict[str, str]:
    """Return the process's environment over the home folder's env file, which is where the launcher keeps its own."""
    folder = Path(home or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
    return {**read_env_file(folder), **os.environ, HOME_VARIABLE: str(folder.resolve())}


def maintenance_url(environ: Mapping[str, str]) -> str | None:
    """Return how the purge reaches Airflow's own database; None where it may not.

    A SQLite file has no roles that could be kept apart, so Airflow's own URL will do there.
    """
    airflows = environ.get(_AIRFLOW_DATABASE, "")
    return environ.get(MAINTENANCE_VARIABLE) or (airflows if airflows.startswith("sqlite:") else None)


def load(environ: Mapping[str, str], get: Callable[[str], str | None] = lambda _name: None) -> Settings:
    """Return the settings.

    Args:
        environ: variables, usually of `environment()`.
        get: what only a door can know, such as a lookup in airflow.cfg.

    Raises:
        ConfigError: a value is not of its type.
    """
    values: dict[str, Any] = {"home": environ.get(HOME_VARIABLE, DEFAULT_HOME)}
    for one in fields(Settings):
        text = environ.get(f"AIRFLOW__{SECTION.upper()}__{one.name.upper()}") or get(one.name)
        if text in (None, ""):
            continue
        kind = {"int": int, "float": float}.get(str(one.type), str)
        try:
            values[one.name] = kind(text)
        except ValueError:
            raise ConfigError(f"setting [{SECTION}] {one.name} is not a number of {one.metadata['unit']}") from None
    return Settings(**values)


def key_of(settings: Settings) -> bytes:
    """Return the key of the keyed hashes.

    Raises:
        ConfigError: there is none.
    """
    if not settings.hash_key:
        raise ConfigError(
            "[integrator] hash_key is not set; `integrator run` and scripts/run make one in the home folder's env file"
        )
    try:
        return base64.urlsafe_b64decode(settings.hash_key + "==")[:64]
    except ValueError:
        return settings.hash_key.encode()[:64]
