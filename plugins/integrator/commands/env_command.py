"""`integrator env`."""

from __future__ import annotations

import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import click

from integrator.errors import ConfigError

HEADER = """\
# Made by `integrator env`: the secrets of one deployment. Keep a copy in a safe place and show it to nobody.
# Without AIRFLOW__CORE__FERNET_KEY no stored credential can be read again; without S3_ENCRYPTION_KEY no console log.
"""


def _random() -> str:
    """Return 43 signs, 256 bits, that need no quoting in a URL, a shell or an env file."""
    return secrets.token_urlsafe(32)


def _fernet_key() -> str:
    return urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _password() -> str:
    """Return a password that a person can type."""
    return "-".join(secrets.token_hex(3) for _ in range(4))


SECRETS: dict[str, Callable[[], str]] = {
    "AIRFLOW__CORE__FERNET_KEY": _fernet_key,
    "AIRFLOW__API_AUTH__JWT_SECRET": lambda: secrets.token_urlsafe(48),
    "AIRFLOW__API__SECRET_KEY": _random,
    "AIRFLOW__INTEGRATOR__HASH_KEY": _fernet_key,
    "AIRFLOW__INTEGRATOR__TOKEN_KEY": _fernet_key,
    "POSTGRES_PASSWORD": _random,
    "AIRFLOW_DB_PASSWORD": _random,
    "INTEGRATOR_DB_PASSWORD": _random,
    "INTEGRATOR_WORKER_DB_PASSWORD": _random,
    "BROKER_PASSWORD": _random,
    "S3_ACCESS_KEY": lambda: secrets.token_hex(10).upper(),
    "S3_SECRET_KEY": _random,
    "S3_ENCRYPTION_KEY": lambda: secrets.token_hex(32),
    "INTEGRATOR_ADMIN_PASSWORD": _password,
}
"""What a deployment must have of its own, and how each is made."""
IMAGE_UID = 50000
"""The image's own user."""


def settings_of() -> dict[str, str]:
    """Return what a person may change in the file."""
    # The containers run as whoever owns the checkout, for only an owner may set a file's time; but never as root.
    return {"INTEGRATOR_ADMIN_USER": "admin", "INTEGRATOR_PORT": "8080", "INTEGRATOR_UID": str(os.getuid() or IMAGE_UID)}


def text_of(values: dict[str, str]) -> str:
    """Return the text of an env file."""
    return HEADER + "".join(f"{name}={value}\n" for name, value in values.items())


@click.command("env")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=Path("deploy/.env"))
def command(file: Path) -> None:
    """Write the env file of a deployment with fresh secrets; FILE is deploy/.env unless you say another.

    A file that is there is never changed: the secrets in it hold the deployment's data.
    """
    settings = settings_of()
    values = settings | {name: make() for name, make in SECRETS.items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            os.fchmod(out.fileno(), 0o600)  # a lenient umask cannot widen it, a strict one cannot lock us out
            out.write(text_of(values))
    except FileExistsError:
        raise ConfigError(
            f"{file} is there already and was not changed: its secrets hold a deployment's data. For another deployment name another file"
        ) from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror})") from None
    click.echo(f"wrote {file} with fresh secrets, for your user only; keep a copy in a safe place")
    click.echo("next:")
    click.echo(f"  docker compose --env-file {file} build")
    click.echo(f"  docker compose --env-file {file} up -d")
    click.echo(f"then open http://localhost:{settings['INTEGRATOR_PORT']} as {settings['INTEGRATOR_ADMIN_USER']};")
    click.echo(f"the password is the line INTEGRATOR_ADMIN_PASSWORD in {file}")
