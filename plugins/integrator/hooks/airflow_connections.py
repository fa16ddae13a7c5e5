"""Credentials in Airflow's own database, encrypted as a whole: where processes may reach it, the API server and the command line, and no task."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from integrator.actions.credentials import Found
from integrator.auth.connections import of_connection
from integrator.errors import ConfigError, ConflictError
from integrator.model.credential import CONN_TYPE_PREFIX, Credential
from integrator.store.translation import FOREIGN

MIGRATE = "was `airflow db migrate` run?"
OTHER_KEY = "it was encrypted with another Fernet key; put that key behind a comma at the end of AIRFLOW__CORE__FERNET_KEY"
PARTS = ("conn_type", "host", "extra", "login", "password", "port")
KEPT_IN = "Airflow"


class AirflowConnections:
    """Fits `actions.credentials.Store`. Each method raises ConfigError where there is no Fernet key, or the database cannot be reached.

    Args:
        within: what Airflow is imported and asked in.
    """

    def __init__(self, within: Callable[[], AbstractContextManager[Any]] = nullcontext) -> None:
        self._within = within

    def every(self, project: str | None) -> dict[str, Found]:
        """Return a project's credentials by connection ID; instead of one that cannot be used, why."""
        with self._within():
            from airflow.models.connection import Connection
            from airflow.utils.session import create_session

            refuse_without_key()
            try:
                with create_session() as session:
                    rows = session.query(Connection).filter(Connection.conn_type.like("integrator%")).all()
                    mine = (
                        row
                        for row in rows
                        if (row.conn_id or "").partition("__")[1] and project in (None, row.conn_id.partition("__")[0])
                    )
                    return {row.conn_id: Found(KEPT_IN, of_row(row)) for row in mine}
            except FOREIGN as error:
                raise ConfigError(f"Airflow's database cannot be read ({type(error).__name__}); {MIGRATE}") from None

    def get(self, project: str, name: str) -> Credential | None:
        """Return a credential, or None when there is none.

        Raises:
            ConfigError: there is one, and it cannot be read; or it is no credential of ours.
        """
        conn_id = f"{project}__{name}"
        with self._within():
            from airflow.models.connection import Connection
            from airflow.utils.session import create_session

            refuse_without_key()
            try:
                with create_session() as session:
                    row = session.query(Connection).filter(Connection.conn_id == conn_id).one_or_none()
                    found = None if row is None else of_row(row)
            except FOREIGN as error:
                raise ConfigError(f"Airflow's database cannot be read ({type(error).__name__}); {MIGRATE}") from None
        if isinstance(found, str):
            raise ConfigError(f"connection {conn_id}: {found}")
        return found

    def save(self, credential: Credential, *, replace: bool) -> None:
        """Keep a credential.

        Raises:
            ConfigError: it is there already and not to be replaced.
        """
        with self._within():
            from airflow.models.connection import Connection
            from airflow.utils.session import create_session

            refuse_without_key()
            made = Connection(
                conn_id=credential.conn_id, conn_type=CONN_TYPE_PREFIX + credential.scheme, host=credential.base_url,
                extra=json.dumps(dict(credential.extra)),
            )  # fmt: skip
            try:
                with create_session() as session:
                    before = session.query(Connection).filter(Connection.conn_id == credential.conn_id).one_or_none()
                    if before is not None and not replace:
                        raise ConflictError(
                            f"Airflow has a connection {credential.conn_id} already; change that one (on the command line: --replace)"
                        )
                    if before is not None:
                        made.description, made.team_name = before.description, before.team_name
                        session.delete(before)
                        session.flush()
                    session.add(made)
            except FOREIGN as error:
                raise ConfigError(f"Airflow's database cannot be written ({type(error).__name__}); {MIGRATE}") from None

    def remove(self, project: str, name: str) -> bool:
        """Remove a credential; returns whether it was there."""
        with self._within():
            from airflow.models.connection import Connection
            from airflow.utils.session import create_session

            try:
                with create_session() as session:
                    return bool(session.query(Connection).filter(Connection.conn_id == f"{project}__{name}").delete())
            except FOREIGN as error:
                raise ConfigError(f"Airflow's database cannot be written ({type(error).__name__}); {MIGRATE}") from None


def of_row(row: Any) -> Credential | str:
    """Return the credential of a row, or why there is none."""
    from cryptography.fernet import InvalidToken

    try:
        return of_connection(row.conn_id, **{name: getattr(row, name) for name in PARTS})
    except InvalidToken:
        return OTHER_KEY
    except ConfigError as fault:
        return str(fault)


def refuse_without_key() -> None:
    """Refuse to keep or read what Airflow would keep as plain text.

    Raises:
        ConfigError: there is no Fernet key.
    """
    from airflow.configuration import conf

    if not conf.get("core", "fernet_key", fallback=""):
        raise ConfigError(
            "[core] fernet_key is not set, so Airflow keeps connections as plain text; set AIRFLOW__CORE__FERNET_KEY "
            "to the key that the platform has (integrator env makes one)"
        )
