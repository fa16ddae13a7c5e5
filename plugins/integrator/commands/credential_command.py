"""`integrator credential`: add, list, test, remove and authorize credentials."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from integrator.commands.acting import acting_in
from integrator.commands.common import HOME_OPTION, JSON_OPTION, local, open_parts, safe, say, show_json, table
from integrator.errors import ConfigError, FieldsError
from integrator.model.names import NAME

NAME_ARGUMENT = click.argument("name", metavar="PROJECT/NAME")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Add, list, test, remove and authorize credentials."""


def credential_name(text: str) -> tuple[str, str]:
    """Read PROJECT/NAME; Airflow's PROJECT__NAME is understood too.

    Raises:
        ConfigError: it is not one.
    """
    project, sign, name = text.partition("/") if "/" in text else text.partition("__")
    if not sign or not re.fullmatch(NAME, project) or not re.fullmatch(NAME, name):
        raise ConfigError(f"{text!r} is not PROJECT/NAME, such as demo/shop (small letters, digits and single underscores)")
    return project, name


@command.command()
@NAME_ARGUMENT
@click.option("--scheme", help="How it is presented: basic, oauth2, ... (docs/reference/credentials.md).")
@click.option("--url", help="Base URL, such as https://api.example.com.")
@click.option("--set", "given", metavar="FIELD=VALUE", multiple=True, help="A field that is no secret; again for each.")
@click.option("--file", "files", metavar="FIELD=FILE", multiple=True, help="A field from a file, such as a key in PEM form.")
@click.option("--env", "variables", metavar="FIELD=VARIABLE", multiple=True, help="A secret from an environment variable.")
@click.option("--json-in", is_flag=True, help="Read fields as a JSON object from standard input.")
@click.option(
    "--replace", is_flag=True, help="Change one that is there; what is not given stays, but for secrets that would go elsewhere."
)
@click.option("--no-test", is_flag=True, help="Keep it without trying it.")
@HOME_OPTION
@JSON_OPTION
def add(name: str, scheme: str | None, url: str | None, given: tuple[str, ...], files: tuple[str, ...],
        variables: tuple[str, ...], json_in: bool, replace: bool, no_test: bool, home: str | None, as_json: bool) -> None:  # fmt: skip
    """Keep a credential in Airflow's encrypted store; secrets are asked for, and never stand on the command line."""
    from integrator.commands.credential_editing import asking, credentials_of, refuse_secrets, with_options

    project, own = credential_name(name)
    if not replace and not (scheme and url):
        raise ConfigError("a new credential needs --scheme and --url")
    shown = dict(_pair(one) for one in given)
    refuse_secrets(scheme, shown)
    parts = open_parts(home)
    fields: dict[str, Any] = {}
    if json_in:
        fields |= _object(sys.stdin.read())
    fields |= shown
    fields |= {field: _text(Path(file)) for field, file in map(_pair, files)}
    fields |= {field: _variable(variable) for field, variable in map(_pair, variables)}
    more: dict[str, Any] = {} if as_json or not sys.stdin.isatty() else {"fill": asking(_ask)}
    credentials, who = credentials_of(home, parts), _who(parts)
    try:
        made = credentials.keep(who, project, own, scheme, url, fields, replace=replace, **more)
    except FieldsError as fault:
        raise with_options(fault, scheme or "") from None
    erased, warnings = made.erased, list(made.warnings)
    if erased:
        warnings.insert(
            0, f"{', '.join(erased)}: erased, since the place that it goes to has changed; give it anew with --replace"
        )
    for one in warnings:
        say(f"warning: {one}")
    say(f"{project}/{own} is kept, encrypted")
    kept = {"credential": f"{project}/{own}", "kept": True, "warnings": warnings}
    if no_test:
        if as_json:
            show_json(kept)
        return
    _show_tried(f"{project}/{own}", credentials.test(who, project, own), as_json=as_json, fail=False, more=kept)


def _pair(text: str) -> tuple[str, str]:
    field, sign, value = text.partition("=")
    if not sign:
        raise ConfigError(f"{text!r} is not FIELD=VALUE, such as username=integrator")
    return field.strip(), value


def _object(text: str) -> dict[str, Any]:
    try:
        made = json.loads(text)
    except ValueError:
        made = None
    if not isinstance(made, dict):
        raise ConfigError('standard input holds no JSON object of fields, such as {"username": "integrator"}')
    return made


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"the file {file} cannot be read") from None


def _variable(name: str) -> str:
    import os

    if name not in os.environ:
        raise ConfigError(f"the environment has no variable {name}")
    return os.environ[name]


def _ask(label: str, *, hidden: bool) -> str:
    return str(click.prompt(label, hide_input=hidden, default="", show_default=False, err=True))


@command.command("list")
@click.argument("project", required=False)
@HOME_OPTION
@JSON_OPTION
def list_(project: str | None, home: str | None, as_json: bool) -> None:
    """List credentials: scheme, base URL, where they are kept, and how their sign-in stands. Never a secret."""
    from integrator.commands.credential_editing import credentials_of

    parts = open_parts(home)
    told = ("project", "name", "scheme", "base_url", "kept_in", "state", "expires_at", "fault")
    found = credentials_of(home, parts).every(_who(parts), project)
    rows = [{name: getattr(one, name) for name in told} for one in found]
    if as_json:
        show_json(rows)
        return
    if not rows:
        say("no credentials; add one: integrator credential add PROJECT/NAME --scheme basic --url https://...")
        return
    headers = ["credential", "scheme", "base URL", "kept in", "sign-in"]
    table(headers, [[f"{r['project']}/{r['name']}", r["scheme"], r["base_url"], r["kept_in"], _state(r)] for r in rows])


def _state(row: dict[str, Any]) -> str:
    if row["fault"]:
        return f"cannot be used: {row['fault']}"
    if row["state"] == "sign_in_again":
        return "waits for a person: sign in again"
    if row["state"] == "nobody_yet":
        return "nobody has signed in yet: integrator credential authorize"
    if row["state"] == "good":
        return f"token until {local(row['expires_at'])}" if row["expires_at"] else "token"
    return ""


@command.command()
@NAME_ARGUMENT
@HOME_OPTION
@JSON_OPTION
def test(name: str, home: str | None, as_json: bool) -> None:
    """Make a real call and say in words what came of it. Exit code 1 when the sign-in does not work."""
    from integrator.commands.credential_editing import credentials_of

    project, own = credential_name(name)
    parts = open_parts(home)
    tried = credentials_of(home, parts).test(_who(parts), project, own)
    _show_tried(f"{project}/{own}", tried, as_json=as_json, fail=True)


def _who(parts: Any) -> Any:
    """Return who asks: the command line, with platform rights."""
    from integrator.actions.who import Who

    return Who(acting_in(parts), platform=True)


def _show_tried(name: str, tried: Any, *, as_json: bool, fail: bool, more: Mapping[str, Any] = MappingProxyType({})) -> None:
    if as_json:
        show_json({"credential": name, **more, "ok": tried.ok, "message": tried.words})
    else:
        click.echo(safe(f"{name}: {tried.words}"))
    if fail and not tried.ok:
        sys.exit(1)


@command.command()
@NAME_ARGUMENT
@click.option("--tokens-only", is_flag=True, help="Only forget what its sign-ins earned.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@HOME_OPTION
@JSON_OPTION
def remove(name: str, tokens_only: bool, yes: bool, home: str | None, as_json: bool) -> None:
    """Remove a credential, and whatever its sign-ins earned."""
    from integrator.commands.credential_editing import credentials_of

    project, own = credential_name(name)
    what = "what the sign-ins of" if tokens_only else "the credential"
    if not yes and not as_json:
        if not sys.stdin.isatty():
            raise ConfigError("nobody is here to be asked whether to remove it; say so with --yes")
        click.confirm(f"remove {what} {project}/{own}{' earned' if tokens_only else ''}?", abort=True, err=True)
    parts = open_parts(home)
    credentials_of(home, parts).remove(_who(parts), project, own, tokens_only=tokens_only)
    if as_json:
        show_json({"credential": f"{project}/{own}", "removed": True})
    say(f"{project}/{own}: {'its tokens are' if tokens_only else 'it is'} removed")


@command.command()
@NAME_ARGUMENT
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the callback on 127.0.0.1 [default: a free one].")
@click.option(
    "--redirect-url",
    help="Redirect URL that is registered over there, when it is not 127.0.0.1; the address at which the browser "
    "ends is then pasted. OAuth 1: `oob` where the page shows a code instead.",
)
@click.option("--paste", is_flag=True, help="Sign in with a browser elsewhere, and paste the address that it ends at.")
@click.option("--no-browser", is_flag=True, help="Only print the address, open no browser.")
@click.option(
    "--wait", "wait_s", type=click.IntRange(1, 3600), default=300, show_default=True, help="Seconds to wait for the browser."
)
@HOME_OPTION
@JSON_OPTION
def authorize(name: str, port: int, redirect_url: str | None, paste: bool, no_browser: bool, wait_s: int,
              home: str | None, as_json: bool) -> None:  # fmt: skip
    """Let a person sign in with a browser, and keep the token that this gives (OAuth 2 code with PKCE, OAuth 1 three-legged)."""
    from integrator.commands.authorizing import Browser, authorize_credential

    project, own = credential_name(name)
    parts = open_parts(home)
    browser = Browser(
        port=port, redirect_url=redirect_url, paste=paste or redirect_url is not None, opens=not no_browser, wait_s=wait_s
    )
    with acting_in(parts).doing("credential.authorize", project, f"{project}/{own}"):
        token = asyncio.run(authorize_credential(parts.credential(project, own), parts.around(), browser))
    if as_json:
        show_json(
            {"credential": f"{project}/{own}", "authorized": True, "scope": token.scope, "renewable": token.refresh is not None}
        )
    say(
        f"{project}/{own}: signed in; the token is kept, encrypted"
        + ("" if token.refresh else ", and cannot be renewed by itself")
    )
