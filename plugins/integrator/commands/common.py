"""What the commands share: their options, their output, and the parts they are handed."""

from __future__ import annotations

import json
import os
import secrets
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from integrator import settings
from integrator.errors import ConfigError

if TYPE_CHECKING:
    from integrator.wiring import Parts

F = TypeVar("F", bound=Callable[..., Any])
DAGS_OPTION = click.option(
    "--dags",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("dags"),
    show_default=True,
    help="Folder of the projects.",
)
HOME_OPTION = click.option(
    "--home", metavar="DIR", help=f"Home of the installation [default: ${settings.HOME_VARIABLE} or {settings.DEFAULT_HOME}]."
)
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output, and nothing else there.")
PIPE_ARGUMENT = click.argument("pipe", metavar="PROJECT/PIPE")
HASH_KEY = "AIRFLOW__INTEGRATOR__HASH_KEY"


@dataclass(frozen=True, slots=True)
class PipeName:
    """A pipe as the command line names it."""

    project: str
    pipe: str


def pipe_name(text: str) -> PipeName:
    """Read PROJECT/PIPE; Airflow's PROJECT.PIPE is understood too.

    Raises:
        ConfigError: it is not one.
    """
    project, sign, pipe = text.partition("/") if "/" in text else text.partition(".")
    if not (project and sign and pipe) or "/" in pipe:
        raise ConfigError(f"{text!r} is not PROJECT/PIPE, such as demo/orders")
    return PipeName(project, pipe.removesuffix(".yaml"))


def open_parts(home: str | None, *, keyed: bool = True) -> Parts:
    """Return what a command works with; the journal is made on first use.

    Args:
        home: folder of the installation, as the command line gave it.
        keyed: whether keyed hashes are needed; their key is made when there is none.
    """
    from integrator.wiring import for_cli

    environ = settings.environment(home)
    folder = Path(environ[settings.HOME_VARIABLE])
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if keyed and not environ.get(HASH_KEY):
            environ = {**environ, HASH_KEY: _new_hash_key(folder)}
    except OSError as error:
        raise ConfigError(f"the home folder {folder} cannot be written ({error.strerror}); say another with --home") from None

    def other_store(project: str, name: str) -> Any:
        from integrator.commands.airflow_store import credential_from_airflow

        return credential_from_airflow(environ, project, name)

    def other_variables(project: str, name: str) -> str | None:
        from integrator.commands.airflow_store import variable_from_airflow

        return variable_from_airflow(environ, project, name)

    return for_cli(environ, other_store, other_variables)


def _new_hash_key(home: Path) -> str:
    """Make the key and keep it in the home folder's env file, mode 0600; another process may have been first."""
    file = home / settings.ENV_FILE
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as out:
        key = urlsafe_b64encode(secrets.token_bytes(32)).decode()
        out.write(f"\n{HASH_KEY}={key}\n")  # the line before may lack its end
    return next(iter(value for name, value in _pairs(file) if name == HASH_KEY))


def _pairs(file: Path) -> list[tuple[str, str]]:
    return [(n, v) for n, _, v in (line.partition("=") for line in file.read_text("utf-8").splitlines())]


def place_in(name: str | None) -> tuple[str | None, str | None]:
    """Read [PROJECT[/PIPE]] as the command line names it.

    Raises:
        ConfigError: it is neither.
    """
    if name is None or ("/" not in name and "." not in name):
        return name, None
    named = pipe_name(name)
    return named.project, named.pipe


def show_json(value: Any) -> None:
    """Print JSON on standard output."""
    click.echo(json.dumps(value, indent=2, default=_plain, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Path):
        return str(value)
    return str(value)


def safe(text: object) -> str:
    """Return text that cannot play with a terminal: control characters are written out."""
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in str(text))


def say(text: str) -> None:
    """Print a line for people, on standard error, so that standard output stays the result's."""
    click.echo(text, err=True)


def say_restored(parts: Parts, pipe: str | None) -> None:
    """Say which cursors came out of a backup and wait for somebody to look at them."""
    from integrator.store.database import open_engine
    from integrator.store.restoring import restored_cursors

    name = pipe_name(pipe) if pipe else None
    engine = open_engine(parts.settings.database_url)
    for one in restored_cursors(engine, name.project if name else None, name.pipe if name else None):
        say(
            f"{one.key.project}/{one.key.pipe}, {one.key.flow}: its cursor {one.value} came out of a backup on {local(one.restored_at)}, and what "
            f"was moved since may come again; keep it (integrator cursor keep {one.key.project}/{one.key.pipe}), or set another"
        )


def table(headers: list[str], rows: list[list[object]]) -> None:
    """Print a table on standard output; wide where the terminal is, plain where it is none."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 200)
    made = Table(box=box.SIMPLE_HEAD)
    for header in headers:
        made.add_column(header, overflow="fold", justify="right" if header in _NUMBERS else "left")
    for row in rows:
        made.add_row(*[Text(safe("" if cell is None else cell)) for cell in row])
    console.print(made)


_NUMBERS = {"read", "created", "updated", "skipped", "failed", "unknown", "attempts", "seconds", "calls"}


def when(text: str | None) -> datetime | None:
    """Read a time that a person gave; one without a zone is this machine's.

    Raises:
        ConfigError: it is no time.
    """
    if text is None:
        return None
    try:
        made = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no time, such as 2026-01-31 or 2026-01-31T12:00Z") from None
    return made if made.tzinfo else made.astimezone()


def local(at: datetime | None) -> str:
    """Return a time as this machine's people read it."""
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


__all__ = [
    "DAGS_OPTION",
    "HOME_OPTION",
    "JSON_OPTION",
    "PIPE_ARGUMENT",
    "local",
    "open_parts",
    "pipe_name",
    "place_in",
    "replace",
    "safe",
    "say",
    "say_restored",
    "show_json",
    "table",
    "when",
]
