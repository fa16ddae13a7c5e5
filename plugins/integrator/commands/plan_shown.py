"""How `integrator plan` tells people of one pipe."""

from __future__ import annotations

import json
from typing import Any

import click

from integrator.commands.common import safe

COLOURS = {"added": "green", "removed": "red", "changed": "yellow", "same_meaning": "blue", "faulty": "red"}
WORDS = {"same_meaning": "no change in meaning"}
_SIGNS = (("added", "+"), ("removed", "-"))


def show(one: dict[str, Any]) -> None:
    """Print what changes in a pipe: a line for each thing."""
    change = one["change"]
    click.echo(f"{safe(one['pipe'])}: {click.style(WORDS.get(change, change), fg=COLOURS[change], bold=True)}")
    hosts = one["hosts"]["of"]
    for title, called in (("dags", "DAG"), ("flows", "flow"), ("credentials", "credential"), ("hosts", "host")):
        for side, sign in _SIGNS:
            for name in one[title][side] if change != "faulty" or title == "dags" else []:
                at = f" ({safe(hosts[name])})" if title == "credentials" and name in hosts else ""
                click.echo(f"    {sign} {called} {safe(name)}{at}")
    if one["schedule"]["changed"] and change != "faulty":
        was, now = (_when(one["schedule"][side]) for side in ("from", "to"))
        click.echo(f"    schedule: {safe(was)} -> {safe(now)}")
    if change == "changed":  # a whole pipe that comes or goes would fill the screen
        for made in (*one["mappings"], *one["settings"]):
            was, now = (safe(_value(made, side)) for side in ("from", "to"))
            click.echo(f"    {safe(made['path'])}: {was} -> {now}")
    for warning in one["warnings"]:
        click.echo(f"    {click.style('!', fg='yellow', bold=True)} {safe(warning)}")


def _value(made: dict[str, Any], side: str) -> str:
    if side not in made:
        return "(none)"
    value = made[side]
    return value if isinstance(value, str) else json.dumps(value)


def _when(when: dict[str, Any] | None) -> str:
    """Return when a pipe runs, in words: `*/15 * * * * (America/New_York)`."""
    if when is None:
        return "(none)"
    schedule = when["schedule"]
    if schedule is None:
        told = "by hand"
    elif isinstance(schedule, dict):
        told = ", ".join(f"{name} {' '.join(at) if isinstance(at, list) else at}" for name, at in schedule.items())
    else:
        told = " and ".join(schedule) if isinstance(schedule, list) else schedule
    zone = when["timezone"] or "its project's zone"
    return f"{told} ({zone}{', starts out paused' if when['paused'] else ''})"
