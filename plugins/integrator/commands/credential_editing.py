"""Keeps, lists and removes credentials. A secret never stays when the place that it goes to changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from integrator import settings
from integrator.auth.connections import PREFIX, from_environment
from integrator.auth.manners import manners_of
from integrator.auth.moved_secrets import Place, without_moved_secrets
from integrator.auth.presenting import make_ready
from integrator.auth.scheme import COMMON, Field, scheme_of, short_secrets
from integrator.commands import airflow_store
from integrator.commands.acting import actor
from integrator.commands.common import say
from integrator.errors import ConfigError, IntegratorError
from integrator.model.credential import Credential, is_on
from integrator.registry import SCHEMES, find, near
from integrator.store.tokens import SqlTokens
from integrator.wiring import Parts

_USER = re.compile(r"//[^/?#]*@")
"""A user in a base URL, which is refused when it is used, and might be a password all the same."""
NOBODY_YET = "nobody_yet"
"""State of a credential that a person has to sign in for, and nobody has."""


class Ask(Protocol):
    """Asks a person for a field."""

    def __call__(self, label: str, *, hidden: bool) -> str:
        """Return what was typed; empty for nothing."""


def edited(
    home: str | None,
    project: str,
    name: str,
    scheme: str | None,
    url: str | None,
    fields: Mapping[str, Any],
    *,
    replace: bool,
    ask: Ask | None,
) -> tuple[Credential, list[str]]:
    """Return the credential as it is to be kept, and the names of the secrets that were erased since their way has changed.

    Raises:
        ConfigError: it is there already, or something is missing or cannot be used.
    """
    environ = settings.environment(home)
    before = airflow_store.credential_from_airflow(environ, project, name)
    if before is not None and not replace:
        raise ConfigError(f"project {project} has a credential {name!r} already; change it with --replace")
    scheme = scheme or (before.scheme if before is not None else None)
    if scheme is None or not (url or before):
        raise ConfigError("a new credential needs --scheme and --url")
    if scheme not in SCHEMES:
        raise ConfigError(f"no scheme {scheme!r}; {near(scheme, SCHEMES)}")
    known = {one.name: one for one in (*find("scheme", scheme).FIELDS, *COMMON)}
    for field in fields:
        if field not in known:
            raise ConfigError(f"scheme {scheme} has no field {field!r}; {near(field, known)}")
    kept = dict(before.extra) if before is not None and before.scheme == scheme else {}
    made = {**kept, **{field: value for field, value in fields.items() if value != ""}}
    for field in [field for field, value in fields.items() if value == ""]:
        made.pop(field, None)
    base_url, whole = url or (before.base_url if before is not None else ""), made
    if before is not None and before.scheme == scheme:
        left = without_moved_secrets(Place(scheme, before.base_url, before.extra), Place(scheme, base_url, made))
        made = left | {field: made[field] for field in fields if field in made}  # what is given now is meant for the new place
    if ask is not None:
        _ask_for(known, made, ask)
    erased = [field for field in whole if field not in made]
    _refuse_missing(scheme, known, made, erased)
    extra = {field: _typed(known[field], value) for field, value in made.items()}
    return Credential(project, name, scheme, base_url, extra), erased


def _refuse_missing(scheme: str, known: Mapping[str, Field], made: Mapping[str, Any], erased: list[str]) -> None:
    for name, one in known.items():
        if one.required and one not in COMMON and name not in made:
            why = " (it was erased, since the place that it goes to changes)" if name in erased else ""
            how = f"--env {name}=VARIABLE, --file {name}=FILE or --json-in" if one.secret else f"--set {name}=..."
            raise ConfigError(f"scheme {scheme}: {name!r} is missing ({one.meaning}){why}; give it by {how}")


def refuse_secrets(scheme: str | None, given: Iterable[str]) -> None:
    """Refuse secrets among fields that were given on the command line.

    Raises:
        ConfigError: one of them is a secret of its scheme, or of any where no scheme is named.
    """
    schemes = [scheme] if scheme in SCHEMES else list(SCHEMES)
    secret = {one.name for name in schemes for one in (*find("scheme", str(name)).FIELDS, *COMMON) if one.secret}
    for field in given:
        if field in secret:
            raise ConfigError(
                f"{field} is a secret, and other processes can read a command line; give it by --env {field}=VARIABLE, "
                f"--file {field}=FILE or --json-in, or leave it out and be asked"
            )


def _ask_for(known: Mapping[str, Field], made: dict[str, Any], ask: Ask) -> None:
    for name, one in known.items():
        if name in made or one in COMMON or not (one.secret or one.required):
            continue
        answer = ask(f"{one.label} ({one.meaning}{'' if one.required else '; empty for none'})", hidden=one.secret)
        if answer or (one.required and one.secret):
            made[name] = answer


def _typed(field: Field, value: Any) -> Any:
    return is_on(value) if isinstance(field.default, bool) and isinstance(value, str) else value


def keep(home: str | None, parts: Parts, credential: Credential, *, replace: bool) -> list[str]:
    """Keep a credential in Airflow's store; returns warnings.

    Raises:
        ConfigError: it cannot be used, or there is no store that encrypts.
    """
    make_ready(credential, parts.around())
    airflow_store.save(settings.environment(home), credential, replace=replace)
    return short_secrets(credential)


def listed(home: str | None, parts: Parts) -> list[dict[str, Any]]:
    """Return what may be shown of every credential, in the order of their names."""
    environ = settings.environment(home)
    rows = parts.tokens.rows() if isinstance(parts.tokens, SqlTokens) else {}
    found: dict[str, tuple[str, Credential | str]] = {}
    try:
        found |= {conn_id: ("Airflow", made) for conn_id, made in airflow_store.credentials(environ).items()}
    except ConfigError as fault:
        say(f"warning: only what the environment holds is listed: {fault}")
    for variable in environ:
        if variable.startswith(PREFIX) and "__" in variable[len(PREFIX) :]:
            conn_id = variable[len(PREFIX) :].lower()
            project, _, name = conn_id.partition("__")
            found[conn_id] = ("environment", _read(lambda p=project, n=name: from_environment(environ, p, n)))  # type: ignore[misc]
    return [_row(conn_id, where, made, rows.get(conn_id)) for conn_id, (where, made) in sorted(found.items())]


def _read(work: Callable[[], Credential | None]) -> Credential | str:
    try:
        return work() or "it is empty"
    except ConfigError as fault:
        return str(fault)


def _row(conn_id: str, where: str, made: Credential | str, kept: Any) -> dict[str, Any]:
    project, _, name = conn_id.partition("__")
    fault, state = (made, None) if isinstance(made, str) else _standing(made)
    shown = (
        {"scheme": None, "base_url": None}
        if isinstance(made, str)
        else {"scheme": made.scheme, "base_url": _USER.sub("//***@", made.base_url)}
    )
    sign_in = {"state": kept.state if kept else state, "expires_at": kept.expires_at if kept else None}
    return {"project": project, "name": name, **shown, "kept_in": where, **sign_in, "fault": fault}


def _standing(credential: Credential) -> tuple[str | None, str | None]:
    """Return why a credential cannot be used, and how its sign-in stands while nothing of one is kept."""
    try:
        scheme = scheme_of(credential)
        manners_of(credential)
    except IntegratorError as fault:
        return str(fault), None
    return None, NOBODY_YET if getattr(scheme, "consents", False) else None


def forget(home: str | None, parts: Parts, project: str, name: str, *, tokens_only: bool) -> None:
    """Remove a credential and its tokens.

    Raises:
        ConfigError: there is none in Airflow's store.
    """
    conn_id, environ = f"{project}__{name}", settings.environment(home)
    parts.tokens.forget(conn_id)
    if tokens_only:
        return
    if f"{PREFIX}{conn_id}".upper() in environ:
        raise ConfigError(
            f"{project}/{name} comes from the environment: unset {PREFIX}{conn_id.upper()}; its tokens were removed"
        )
    if not airflow_store.remove(environ, conn_id):
        raise ConfigError(f"project {project} has no credential {name!r} in Airflow's store")
    _remember(parts, project, name)


def _remember(parts: Parts, project: str, name: str) -> None:
    """Remember the removal where a restored backup does not undo it; a store that is away keeps nobody from removing."""
    from integrator.store.console_objects import objects_of
    from integrator.store.ledger import CREDENTIAL, Deleted, Ledger

    try:
        Ledger(objects_of(parts.settings)).note(Deleted(CREDENTIAL, project, datetime.now(UTC), actor(), name))
    except IntegratorError as fault:
        say(f"it is removed, but a backup of before would bring it back unnoticed: {fault}")
