"""`integrator cursor`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from integrator.commands.acting import acting_in
from integrator.commands.common import (
    DAGS_OPTION,
    HOME_OPTION,
    JSON_OPTION,
    PIPE_ARGUMENT,
    open_parts,
    pipe_name,
    say_restored,
    show_json,
)


@click.group("cursor")
def command() -> None:
    """Show or set how far a flow has read."""


@command.command("show")
@PIPE_ARGUMENT
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def show(pipe: str, dags: Path, home: str | None, as_json: bool) -> None:
    """Show the cursor of each flow, and which came out of a backup and nobody has looked at since."""
    parts = open_parts(home, keyed=False)
    journal = parts.journal
    say_restored(parts, pipe)
    values: dict[str, str | None] = {}
    for flow, key, _source in _flows(pipe, dags, None):
        found = journal.cursor(key)
        values[flow] = found.value if found else None
    if as_json:
        show_json(values)
        return
    for flow, value in values.items():
        click.echo(f"{flow}: {value or 'not set; the next run reads from the start'}")


@command.command("keep")
@PIPE_ARGUMENT
@click.option("--flow", help="Only of this flow.")
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def keep(pipe: str, flow: str | None, dags: Path, home: str | None, as_json: bool) -> None:
    """Say that a restored cursor is right, so that nobody is asked to look at it again."""
    from integrator.store.database import open_engine
    from integrator.store.restoring import keep_cursors

    parts, keys = open_parts(home), [key for _, key, _ in _flows(pipe, dags, flow)]
    with acting_in(parts).doing("cursor.keep", keys[0].project, f"{keys[0].project}/{keys[0].pipe}", flow=flow or "") as noted:
        kept = noted["cursors"] = keep_cursors(open_engine(parts.settings.database_url), keys)
    if as_json:
        show_json({"kept": kept})
    else:
        click.echo(f"{kept} cursors are as they should be" if kept else "no cursor of this pipe waits for a look")


@command.command("set")
@PIPE_ARGUMENT
@click.argument("value", metavar="TIME|none")
@click.option("--flow", help="Which flow, where the pipe has several.")
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def set_(pipe: str, value: str, flow: str | None, dags: Path, home: str | None, as_json: bool) -> None:
    """Set the cursor of a flow: the next run reads what changed since then. `none` forgets it."""
    from integrator.errors import ConfigError
    from integrator.mapping.stamps import checked_cursor

    found = [one for one in _flows(pipe, dags, flow) if flow or one[2].delta is not None]
    if len(found) != 1:
        raise ConfigError(
            "say which flow with --flow" if found else "no flow of this pipe has since:, so there is no cursor to set"
        )
    name, key, source = found[0]
    if source.delta is None:
        raise ConfigError(f"flow {name} has no since:, so it has no cursor")
    cursor = None if value.lower() == "none" else checked_cursor(value, source.delta)
    parts = open_parts(home)
    target = f"{key.project}/{key.pipe}"
    with acting_in(parts).doing("cursor.set", key.project, target, flow=name, to=cursor or "none"):
        parts.journal.set_cursor(key, cursor)
    if as_json:
        show_json({name: cursor})
    else:
        click.echo(f"{name}: {cursor or 'not set; the next run reads from the start'}")


def _flows(pipe: str, dags: Path, flow: str | None) -> list[tuple[str, Any, Any]]:
    """Return name, key and source of a pipe's flows."""
    from integrator.authoring.library import find_pipe
    from integrator.commands.running import in_order

    name = pipe_name(pipe)
    checked = find_pipe(dags, name.project, name.pipe)
    assert checked.pipe is not None  # noqa: S101 - find_pipe returns no other
    return [(one, checked.plans[one].key, checked.pipe.flows[one].source) for one in in_order(checked.pipe, flow)]
