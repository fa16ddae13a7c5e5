"""What the command line adds to the actions on credentials: a store that knows the environment too, questions to a person, and a word on secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from integrator import settings
from integrator.actions.credentials import Credentials, Found
from integrator.auth.changing import Fill, fields_of
from integrator.auth.connections import PREFIX, from_environment
from integrator.auth.scheme import COMMON, Field
from integrator.commands import airflow_store
from integrator.commands.common import say
from integrator.errors import ConfigError, FieldsError, IntegratorError
from integrator.model.credential import Credential
from integrator.registry import SCHEMES
from integrator.store.tokens import SqlTokens
from integrator.wiring import Parts


class Ask(Protocol):
    """Asks a person for a field."""

    def __call__(self, label: str, *, hidden: bool) -> str:
        """Return what was typed; empty for nothing."""


class Connections:
    """Fits `actions.credentials.Store`: Airflow's database where there is an Airflow, and the environment, which comes first."""

    def __init__(self, environ: Mapping[str, str], get: Callable[[str, str], Credential | None]) -> None:
        self._environ, self._get = environ, get
        self._airflows = airflow_store.connections(environ)

    def every(self, project: str | None) -> dict[str, Found]:
        """Return the credentials; where Airflow's cannot be read, a warning, and those of the environment."""
        found: dict[str, Found] = {}
        try:
            found |= self._airflows.every(project) if self._airflows is not None else {}
        except ConfigError as fault:
            say(f"warning: only what the environment holds is listed: {fault}")
        for variable in self._environ:
            if variable.startswith(PREFIX) and "__" in variable[len(PREFIX) :]:
                own, _, name = variable[len(PREFIX) :].lower().partition("__")
                if project in (None, own):
                    found[f"{own}__{name}"] = Found("environment", self._in_environment(own, name))
        return found

    def _in_environment(self, project: str, name: str) -> Credential | str:
        try:
            return from_environment(self._environ, project, name) or "it is empty"
        except ConfigError as fault:
            return str(fault)

    def get(self, project: str, name: str) -> Credential | None:
        """Return a credential, as a pipe would have it."""
        return self._get(project, name)

    def save(self, credential: Credential, *, replace: bool) -> None:
        """Keep a credential in Airflow's database."""
        if self._airflows is None:
            raise ConfigError(
                "there is no Airflow here to keep it in (AIRFLOW_HOME is not set, nor does the home folder's env file name it); "
                f"set the variable AIRFLOW_CONN_{credential.conn_id.upper()} instead, as JSON: docs/reference/credentials.md"
            )
        self._airflows.save(credential, replace=replace)

    def remove(self, project: str, name: str) -> bool:
        """Remove a credential from Airflow's database."""
        variable = f"{PREFIX}{project}__{name}".upper()
        if variable in self._environ:
            raise ConfigError(f"{project}/{name} comes from the environment: unset {variable}; its tokens were removed")
        return self._airflows is not None and self._airflows.remove(project, name)


def credentials_of(home: str | None, parts: Parts) -> Credentials:
    """Return what may be asked for of credentials."""

    def removed(project: str, name: str, by: str) -> None:
        """Remember the removal where a restored backup does not undo it; a store that is away keeps nobody from removing."""
        from integrator.store.console_objects import objects_of
        from integrator.store.ledger import CREDENTIAL, Deleted, Ledger

        try:
            Ledger(objects_of(parts.settings)).note(Deleted(CREDENTIAL, project, datetime.now(UTC), by, name))
        except IntegratorError as fault:
            say(f"it is removed, but a backup of before would bring it back unnoticed: {fault}")

    rows = parts.tokens.rows if isinstance(parts.tokens, SqlTokens) else dict
    return Credentials(Connections(settings.environment(home), parts.get_credential), parts.around(), rows, removed)


def refuse_secrets(scheme: str | None, given: Iterable[str]) -> None:
    """Refuse secrets among fields that were given on the command line.

    Raises:
        ConfigError: one of them is a secret of its scheme, or of any where no scheme is named.
    """
    schemes = [scheme] if scheme in SCHEMES else list(SCHEMES)
    secret = {one.name for name in schemes for one in fields_of(str(name)).values() if one.secret}
    for field in given:
        if field in secret:
            raise ConfigError(
                f"{field} is a secret, and other processes can read a command line; give it by --env {field}=VARIABLE, "
                f"--file {field}=FILE or --json-in, or leave it out and be asked"
            )


def asking(ask: Ask) -> Fill:
    """Return what asks a person for the fields that a scheme must have and that are not given."""

    def fill(known: Mapping[str, Field], made: dict[str, Any]) -> None:
        for name, one in known.items():
            if name in made or one in COMMON or not (one.secret or one.required):
                continue
            answer = ask(f"{one.label} ({one.meaning}{'' if one.required else '; empty for none'})", hidden=one.secret)
            if answer or (one.required and one.secret):
                made[name] = answer

    return fill


def with_options(fault: FieldsError, scheme: str) -> ConfigError:
    """Return a fault with the options by which the fields are given."""
    secret = {name for name, one in fields_of(scheme).items() if one.secret} if scheme in SCHEMES else set()
    told = []
    for place, why in fault.faults.items():
        name = place.removeprefix("fields.")
        how = f"--env {name}=VARIABLE, --file {name}=FILE or --json-in" if name in secret else f"--set {name}=..."
        told.append(f"{why}; give it by {how}" if "is missing" in why else why)
    return ConfigError("; ".join(told))
