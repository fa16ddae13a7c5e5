"""`integrator plan`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from integrator.commands.common import DAGS_OPTION, HOME_OPTION, JSON_OPTION, safe, say, show_json

COLOURS = {"added": "green", "removed": "red", "changed": "yellow", "same_meaning": "blue", "faulty": "red"}


@click.command("plan")
@click.argument("names", nargs=-1, metavar="[PROJECT | PROJECT/PIPE]...")
@click.option("--against", metavar="DIR|REVISION", help="What to compare with: a folder, or a git revision [default: git HEAD].")
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def command(names: tuple[str, ...], against: str | None, dags: Path, home: str | None, as_json: bool) -> None:
    """Say what changes against another state: DAGs, schedules, credentials, hosts, mappings, settings. Changes nothing.

    Exit code 0 whether or not there are changes; 2 when a pipe here has faults, or the other state cannot be read.
    """
    from integrator import settings
    from integrator.authoring.library import check_all, faults_of
    from integrator.commands.other_state import other_state

    here = check_all(dags)
    with other_state(dags, against) as other:
        there = check_all(other.folder)
        pipes = _planned(here, there, names, settings.environment(home))
    faults = faults_of(one for one in here if _wanted(f"{one.project}/{one.name}", names))
    if as_json:
        listed = [{"file": f.file, "line": f.line, "path": f.path, "message": f.message, "cure": f.cure} for f in faults]
        show_json({"against": other.called, "pipes": pipes, "faults": listed, "notes": other.notes})
    else:
        for one in pipes:
            _show(one)
        for fault in faults:
            click.echo(safe(fault))
        for note in other.notes:
            say(safe(note))
        changed = sum(1 for one in pipes if one["change"] != "same_meaning")
        say(f"against {safe(other.called)}: {changed} pipe{'s' * (changed != 1)} with changes")
    if faults:
        sys.exit(2)


def _planned(here: list[Any], there: list[Any], names: tuple[str, ...], environ: Any) -> list[dict[str, Any]]:
    from integrator.errors import ConfigError
    from integrator.registry import near

    now, was = ({f"{one.project}/{one.name}": one for one in side} for side in (here, there))
    planned = []
    for wanted in names:
        if not any(_wanted(name, (wanted,)) for name in {**was, **now}):
            raise ConfigError(f"{wanted!r} is no project and no pipe, here or there; {near(wanted, {**was, **now})}")
    for name in sorted({**was, **now}):
        if not _wanted(name, names):
            continue
        made = _plan(name, was.get(name), now.get(name), environ)
        if made is not None:
            planned.append(made)
    return planned


def _wanted(name: str, names: tuple[str, ...]) -> bool:
    return not names or name in names or name.split("/", maxsplit=1)[0] in names


def _plan(name: str, was: Any, now: Any, environ: Any) -> dict[str, Any] | None:
    """Return a pipe's plan; None when its file says the same, byte for byte."""
    from integrator.authoring.differences import compare

    if now is not None and (now.faults or now.pipe is None):
        return {"pipe": name, "change": "faulty", "warnings": ["it has faults here; `integrator check` lists them"]}
    old = was.pipe if was is not None and not was.faults else None
    if was is not None and now is not None and was.file.read_bytes() == now.file.read_bytes():
        return None
    found = compare(old, now.pipe if now is not None else None)
    if found is None:
        return None
    project, dag_ids = name.split("/", maxsplit=1)[0], [name.replace("/", "."), f"{name.replace('/', '.')}.rerun"]
    if was is not None and was.faults:
        found.warnings.append("it had faults in the other state, so everything is told as new")
    before, after = found.credentials
    return {
        "pipe": name,
        "change": found.change,
        "dags": {"added": dag_ids if was is None else [], "removed": dag_ids if now is None else []},
        "flows": _sides(*found.flows),
        "schedule": _changes(found.schedule),
        "credentials": _sides(before, after),
        "hosts": _sides(_hosts(project, before, environ), _hosts(project, after, environ)),
        "mappings": _changes(found.mappings),
        "settings": _changes(found.settings),
        "warnings": found.warnings,
    }


def _sides(before: set[str], after: set[str]) -> dict[str, list[str]]:
    return {"added": sorted(after - before), "removed": sorted(before - after), "kept": sorted(before & after)}


def _changes(changes: Any) -> list[dict[str, Any]]:
    from integrator.authoring.differences import ABSENT

    return [
        {"path": path, **{side: value for side, value in (("from", was), ("to", now)) if value is not ABSENT}}
        for path, (was, now) in changes.items()
    ]


def _hosts(project: str, credentials: set[str], environ: Any) -> set[str]:
    """Return the hosts of credentials that the environment tells; never more of an address than its host and port."""
    from integrator.auth.connections import from_environment
    from integrator.errors import ConfigError

    hosts = set()
    for name in credentials:
        try:
            found = from_environment(environ, project, name)
        except ConfigError:
            continue  # `integrator run` says what is wrong with it
        if found is not None:
            hosts.add(urlsplit(found.base_url).netloc.rpartition("@")[2])
    return hosts


def _show(one: dict[str, Any]) -> None:
    change = one["change"]
    click.echo(f"{safe(one['pipe'])}: {click.style(change.replace('_', ' '), fg=COLOURS[change], bold=True)}")
    for title in ("dags", "flows", "credentials", "hosts"):
        for side, sign in (("added", "+"), ("removed", "-")):
            for name in one.get(title, {}).get(side, []):
                click.echo(f"    {sign} {title[:-1].replace('dag', 'DAG')} {safe(name)}")
    for title in ("schedule", "mappings", "settings"):
        for made in one.get(title, []):
            if change != "changed" and not made["path"].startswith("schedule"):
                continue  # of a whole pipe that comes or goes, only when it runs
            was, now = (safe(made[side]) if side in made else "(none)" for side in ("from", "to"))
            click.echo(f"    {safe(made['path'])}: {was} -> {now}")
    for warning in one["warnings"]:
        click.echo(f"    {click.style('!', fg='yellow', bold=True)} {safe(warning)}")
