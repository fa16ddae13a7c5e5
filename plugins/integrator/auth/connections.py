"""Credentials from connections as Airflow names them, without Airflow: `AIRFLOW_CONN_<PROJECT>__<NAME>`, as JSON or URI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from integrator.errors import ConfigError
from integrator.model.credential import CONN_TYPE_PREFIX, Credential
from integrator.registry import SCHEMES, near

PREFIX = "AIRFLOW_CONN_"


def from_environment(environ: Mapping[str, str], project: str, name: str) -> Credential | None:
    """Return the credential that a variable holds, or None when it is not set.

    Raises:
        ConfigError: the variable cannot be read; its value is not shown.
    """
    text = environ.get(f"{PREFIX}{project}__{name}".upper())
    if not text:
        return None
    conn_id = f"{project}__{name}"
    parts = _from_json(text, conn_id) if text.lstrip().startswith("{") else _from_uri(text, conn_id)
    return of_connection(conn_id, **parts)


def of_connection(conn_id: str, conn_type: str | None, host: str | None, extra: Any, **others: Any) -> Credential:
    """Return the credential of an Airflow connection.

    Raises:
        ConfigError: it is not one of ours, or part of it stands where it would not be encrypted.
    """
    project, _, name = conn_id.partition("__")
    scheme = (conn_type or "").replace("-", "_").removeprefix(CONN_TYPE_PREFIX)
    if scheme not in SCHEMES:
        raise ConfigError(
            f"connection {conn_id}: type {conn_type!r} is not one of ours, which are {CONN_TYPE_PREFIX}<scheme>; {near(scheme, SCHEMES)}"
        )
    if any(others.get(place) for place in ("login", "password")):
        raise ConfigError(
            f'connection {conn_id}: user and password belong in extra ({{"username": ...}}), which is encrypted as a whole; clear login and password'
        )
    if isinstance(extra, str) and extra.strip():
        try:
            extra = json.loads(extra)
        except ValueError:
            raise ConfigError(f"connection {conn_id}: extra is not JSON") from None
    if extra and not isinstance(extra, Mapping):
        raise ConfigError(f"connection {conn_id}: extra is not a JSON object")
    try:
        base_url = base_url_of(host, others.get("port"))
    except ValueError:
        raise ConfigError(f"connection {conn_id}: its host is not a URL") from None
    return Credential(project, name, scheme, base_url, dict(extra or {}))


def base_url_of(host: str | None, port: Any) -> str:
    """Return the base URL of a connection: its host, with the port that may stand beside it. Raises ValueError where it is none."""
    if port and host and "://" in host and urlsplit(host).port is None:
        return f"{host.rstrip('/')}:{port}"
    return host or ""


def _from_json(text: str, conn_id: str) -> dict[str, Any]:
    try:
        made = json.loads(text)
    except ValueError:
        raise ConfigError(f"connection {conn_id}: the variable is neither JSON nor a URI") from None
    known = ("conn_type", "host", "extra", "login", "password", "port")
    return {"conn_type": None, "host": None, "extra": None, **{name: made[name] for name in known if name in made}}


def _from_uri(text: str, conn_id: str) -> dict[str, Any]:
    # Airflow's form: type://host:port/?field=value, where host may itself be a quoted URL, or follow as type://https://host.
    try:
        kind, rest = text.split("://", 1)
        inner = rest.split("://", 1)[0] if "://" in rest.split("?", 1)[0] else ""
        parts = urlsplit(f"{inner or 'x'}://{rest.split('://', 1)[1] if inner else rest}")
        host, port = unquote(parts.netloc.rpartition("@")[2]), None
        if not inner and "://" not in host:
            host, port = unquote(parts.hostname or ""), parts.port
        elif inner:
            host = f"{inner}://{host}{parts.path.rstrip('/')}"
    except ValueError:
        raise ConfigError(f"connection {conn_id}: the variable is neither JSON nor a URI") from None
    extra: Any = dict(parse_qsl(parts.query, keep_blank_values=True))
    if set(extra) == {"__extra__"}:
        extra = extra["__extra__"]
    return {"conn_type": kind, "host": host, "extra": extra, "port": port, "login": parts.username, "password": parts.password}
