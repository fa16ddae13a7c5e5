"""`integrator rotate-keys`: encrypt everything with a new Fernet key."""

from __future__ import annotations

import os
from pathlib import Path

import click
from cryptography.fernet import Fernet

from integrator import settings
from integrator.commands.acting import acting_in
from integrator.commands.common import HOME_OPTION, JSON_OPTION, open_parts, say, show_json
from integrator.errors import ConfigError
from integrator.store.sealing import KEY_VARIABLE, Sealer


@click.command()
@click.option("--new-key", is_flag=True, help="First put a new key before the others in the home folder's env file.")
@click.option("--drop-old", is_flag=True, help="At the end, leave only the newest key in the home folder's env file.")
@HOME_OPTION
@JSON_OPTION
def command(new_key: bool, drop_old: bool, home: str | None, as_json: bool) -> None:
    """Encrypt credentials and tokens, Airflow's and ours, with the first key of AIRFLOW__CORE__FERNET_KEY.

    The key to be given up stands behind a comma after the new one until this has run. It may be run again at any time.
    """
    from integrator.commands import airflow_store
    from integrator.store.tokens import SqlTokens

    if new_key and drop_old:
        raise ConfigError(
            "--new-key and --drop-old are two steps: between them every part of the platform has to learn the new key, by a restart"
        )
    outside = KEY_VARIABLE in os.environ  # rather than in the home folder's env file
    environ = settings.environment(home)
    file = Path(environ[settings.HOME_VARIABLE]) / settings.ENV_FILE
    if new_key and environ.get(KEY_VARIABLE):
        _put_first(file, "" if outside else environ.get(KEY_VARIABLE, ""))
        environ = settings.environment(home)
    keys = environ.get(KEY_VARIABLE, "")
    if not keys:
        raise ConfigError(
            f"there is no key: {KEY_VARIABLE} is set neither in the environment nor in {file}; set it as the platform has it, "
            "as NEW,OLD, or name the platform's home folder with --home"
        )
    Sealer(keys)
    parts = open_parts(home)
    with acting_in(parts).doing("keys.rotate", keys=len(keys.split(","))) as told:
        airflows = airflow_store.rotate(environ)
        turned = parts.tokens.rotate() if isinstance(parts.tokens, SqlTokens) else 0
        told["tokens"] = turned
    if drop_old and outside and "," in keys:
        raise ConfigError(f"everything is encrypted with the newest key; take the others out of {KEY_VARIABLE} where it is set")
    if drop_old and not outside:
        _write(file, keys.split(",")[0].strip())
    if as_json:
        show_json({"airflow": airflows, "tokens": turned, "keys": 1 if drop_old else len(keys.split(","))})
    say(
        f"encrypted with the newest key: {turned} of our tokens"
        + (", and Airflow's connections, variables and triggers" if airflows else "")
    )
    if new_key and not drop_old:
        say("restart the platform, so that every part knows the new key; then: integrator rotate-keys --drop-old")


def _put_first(file: Path, keys: str) -> None:
    in_file = file.is_file() and f"{KEY_VARIABLE}={keys}" in file.read_text("utf-8").splitlines()
    if not keys or not in_file:
        raise ConfigError(
            f"the key is not kept in the home folder's env file; put a new one before it where {KEY_VARIABLE} is set, as NEW,OLD, "
            "then run this without --new-key"
        )
    _write(file, f"{Fernet.generate_key().decode()},{keys}")


def _write(file: Path, keys: str) -> None:
    """Write the keys into the env file, all of it or nothing."""
    lines = [line for line in file.read_text("utf-8").splitlines() if not line.startswith(f"{KEY_VARIABLE}=")]
    new = file.with_name(f"{file.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write("\n".join([*lines, f"{KEY_VARIABLE}={keys}", ""]))
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)
