"""Airflow's sign-in as the command line reaches it: its groups and users, in Airflow's own database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from integrator.commands.airflow_store import has_airflow, quiet
from integrator.errors import ConfigError, IntegratorError
from integrator.model.access import Kind
from integrator.store.sign_in_groups import SqlGroups


def groups_of(environ: Mapping[str, str]) -> SqlGroups:
    """Return the groups of Airflow's sign-in.

    Raises:
        ConfigError: there is no Airflow here.
    """
    if not has_airflow(environ):
        raise ConfigError(
            "there is no Airflow here whose groups these could be (AIRFLOW_HOME is not set, nor does the home folder's env file name it)"
        )

    @contextmanager
    def session() -> Iterator[Any]:
        with quiet(environ):
            from airflow.utils.session import create_session

            with create_session() as made:
                yield made

    return SqlGroups(session)


def invited(environ: Mapping[str, str], kind: Kind, name: str) -> bool:
    """Tell whether Airflow's sign-in does not know a name, so that what is given to it holds once it does; False where that cannot be known."""
    try:
        return not groups_of(environ).knows(kind, name)
    except IntegratorError:
        return False
