"""Credentials and variables from Airflow's own store, for a command line that was given none in its environment. The only place of it that imports Airflow."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from typing import Any

from integrator.auth.connections import of_connection
from integrator.errors import ConfigError
from integrator.hooks.airflow_connections import OTHER_KEY, PARTS, AirflowConnections, of_row, refuse_without_key
from integrator.model.credential import Credential
from integrator.store.translation import FOREIGN


def credential_from_airflow(environ: Mapping[str, str], project: str, name: str) -> Credential | None:
    """Return a project's credential from Airflow's store, or None when there is no Airflow here or it has none.

    Raises:
        ConfigError: the store holds it in plain text, since there is no Fernet key, or it cannot be read.
    """
    if not has_airflow(environ):
        return None
    found = _read(environ, f"{project}__{name}")
    return None if found is None else of_connection(f"{project}__{name}", **found)


def variable_from_airflow(environ: Mapping[str, str], project: str, name: str) -> str | None:
    """Return a project variable's text from Airflow's store, or None when there is no Airflow here or it has none."""
    if not has_airflow(environ):
        return None
    with quiet(environ):
        from airflow.exceptions import AirflowException
        from airflow.models.variable import Variable

        try:
            found = Variable.get_variable_from_secrets(f"{project}__{name}")
        except AirflowException:
            return None
    return None if found is None else str(found)


@contextmanager
def quiet(environ: Mapping[str, str]) -> Iterator[None]:
    """Let Airflow be imported and asked without its words on our output; the home's env file says where its database and key are."""
    os.environ.update(environ)
    logging.disable(logging.CRITICAL)
    try:
        # Some of Airflow's words go past logging straight to standard output, which is the result's.
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def has_airflow(environ: Mapping[str, str]) -> bool:
    """Tell whether this environment names an Airflow installation; importing one that is not meant would make a home for it."""
    named = any(variable in environ for variable in ("AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"))
    return named and find_spec("airflow") is not None


def connections(environ: Mapping[str, str]) -> AirflowConnections | None:
    """Return the credentials in Airflow's database, or None when there is no Airflow here."""
    return AirflowConnections(lambda: quiet(environ)) if has_airflow(environ) else None


def airflow_settings(environ: Mapping[str, str]) -> Callable[[str, str], str] | None:
    """Return what reads a setting of Airflow by section and name, empty where it is not set; None where there is no Airflow."""
    if not has_airflow(environ):
        return None
    with quiet(environ):
        from airflow.configuration import conf

    return lambda section, name: str(conf.get(section, name, fallback="") or "")


def rotate(environ: Mapping[str, str]) -> bool:
    """Encrypt Airflow's own connections, variables and triggers with the newest key; False where there is no Airflow.

    Raises:
        ConfigError: something was encrypted with a key that is not among them; nothing was changed.
    """
    if not has_airflow(environ):
        return False
    with quiet(environ):
        from types import SimpleNamespace

        from airflow.cli.commands.rotate_fernet_key_command import rotate_fernet_key
        from cryptography.fernet import InvalidToken

        refuse_without_key()
        try:
            rotate_fernet_key.__wrapped__(SimpleNamespace())  # past what would log the command line
        except InvalidToken:
            raise ConfigError(
                "Airflow's store holds something that was encrypted with a key that is not in AIRFLOW__CORE__FERNET_KEY; "
                "put that key behind a comma at its end"
            ) from None
    return True


def _read(environ: Mapping[str, str], conn_id: str) -> dict[str, Any] | None:
    with quiet(environ):
        from airflow.exceptions import AirflowException
        from airflow.models.connection import Connection
        from cryptography.fernet import InvalidToken

        refuse_without_key()
        try:
            found = Connection.get_connection_from_secrets(conn_id)
            return {name: getattr(found, name) for name in PARTS}
        except InvalidToken:
            raise ConfigError(f"connection {conn_id}: {OTHER_KEY}") from None
        except AirflowException:
            _refuse_unreadable(conn_id)
            return None  # there is none of that name, or Airflow's database cannot be read


def _refuse_unreadable(conn_id: str) -> None:
    """Refuse one that is there and cannot be decrypted, which Airflow itself takes for none."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    try:
        with create_session() as session:
            row = session.query(Connection).filter(Connection.conn_id == conn_id).one_or_none()
            found = None if row is None else of_row(row)
    except FOREIGN:
        return
    if isinstance(found, str):
        raise ConfigError(f"connection {conn_id}: {found}")
