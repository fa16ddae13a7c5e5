"""Credentials and variables from Airflow's own store, for a command line that was given none in its environment. The only place of it that imports Airflow."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from integrator.auth.connections import of_connection
from integrator.errors import ConfigError
from integrator.model.credential import Credential


def credential_from_airflow(environ: Mapping[str, str], project: str, name: str) -> Credential | None:
    """Return a project's credential from Airflow's store, or None when there is no Airflow here or it has none.

    Raises:
        ConfigError: the store holds it in plain text, since there is no Fernet key, or it cannot be read.
    """
    if not _has_airflow(environ):
        return None
    found = _read(environ, f"{project}__{name}")
    return None if found is None else of_connection(f"{project}__{name}", **found)


def variable_from_airflow(environ: Mapping[str, str], project: str, name: str) -> str | None:
    """Return a project variable's text from Airflow's store, or None when there is no Airflow here or it has none."""
    if not _has_airflow(environ):
        return None
    with _quiet(environ):
        from airflow.exceptions import AirflowException
        from airflow.models.variable import Variable

        try:
            found = Variable.get_variable_from_secrets(f"{project}__{name}")
        except AirflowException:
            return None
    return None if found is None else str(found)


@contextmanager
def _quiet(environ: Mapping[str, str]) -> Iterator[None]:
    """Let Airflow be imported and asked without its words on our output; the home's env file says where its database and key are."""
    os.environ.update(environ)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _has_airflow(environ: Mapping[str, str]) -> bool:
    """Tell whether this environment names an Airflow installation; importing one that is not meant would make a home for it."""
    named = any(variable in environ for variable in ("AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"))
    return named and find_spec("airflow") is not None


def _read(environ: Mapping[str, str], conn_id: str) -> dict[str, Any] | None:
    with _quiet(environ):
        from airflow.configuration import conf
        from airflow.exceptions import AirflowException
        from airflow.models.connection import Connection
        from cryptography.fernet import InvalidToken

        if not conf.get("core", "fernet_key", fallback=""):
            raise ConfigError(
                "[core] fernet_key is not set, so Airflow keeps connections as plain text; set AIRFLOW__CORE__FERNET_KEY"
            )
        try:
            found = Connection.get_connection_from_secrets(conn_id)
            return {name: getattr(found, name) for name in ("conn_type", "host", "extra", "login", "password", "port")}
        except InvalidToken:
            raise ConfigError(
                f"connection {conn_id} was encrypted with another Fernet key; set AIRFLOW__CORE__FERNET_KEY to it"
            ) from None
        except AirflowException:
            return None  # there is none of that name, or Airflow's database cannot be read
