"""`integrator console`: switch a pipe's console log on and off, list, read, link and delete what was logged."""

from __future__ import annotations

import gzip
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from integrator.commands.acting import acting_in, actor
from integrator.commands.common import (
    DAGS_OPTION,
    HOME_OPTION,
    JSON_OPTION,
    local,
    open_parts,
    pipe_name,
    place_in,
    say,
    show_json,
    table,
    when,
)
from integrator.errors import ConfigError
from integrator.model.audit import PLATFORM
from integrator.model.console import DEFAULT_HOURS, MAX_MB, Content, Switch

PIPE_OR_PROJECT = click.argument("name", metavar="[PROJECT[/PIPE]]", required=False)
RUN_OPTION = click.option("--run", "run_id", metavar="ID", help="Only of this run.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Switch a pipe's console log on and off; list, read, link and delete what was logged."""


@command.command()
@click.argument("pipe", metavar="PROJECT/PIPE")
@click.option("--content", "contents", multiple=True, type=click.Choice([one.value for one in Content]),
              help="What to log; again for each [default: call].")  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="Log everything: call, headers, params and both bodies.")
@click.option("--hours", type=float, default=DEFAULT_HOURS, show_default=True, help="When it switches itself off.")
@click.option("--max-mb", type=int, default=MAX_MB, show_default=True, help="Most megabytes of one run, packed.")
@click.option("--reason", help="Why; some projects ask for it.")
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def enable(pipe: str, contents: tuple[str, ...], everything: bool, hours: float, max_mb: int, reason: str | None,
           dags: Path, home: str | None, as_json: bool) -> None:  # fmt: skip
    """Switch it on. Records then stand in the log, with secrets hidden: choose as little as will do."""
    from integrator.authoring.library import find_pipe

    named = pipe_name(pipe)
    find_pipe(dags, named.project, named.pipe)  # a misspelt pipe would never log anything
    chosen = frozenset(Content) if everything else frozenset(map(Content, contents)) or frozenset({Content.CALL})
    now = datetime.now(UTC)
    parts = open_parts(home)
    acting = acting_in(parts)
    switch = Switch(named.project, named.pipe, chosen, now, max_mb, acting.actor, now, reason)
    with acting.doing(
        "console.enable", named.project, f"{named.project}/{named.pipe}", contents=" ".join(sorted(chosen))
    ) as told:
        made = _of(parts).enable(switch, hours)
        told |= {"until": made.until_at.isoformat(timespec="seconds"), **({"reason": reason} if reason else {})}
    if as_json:
        show_json(_shown(made))
    say(f"{named.project}/{named.pipe}: {', '.join(sorted(made.contents))}, until {local(made.until_at)}")


@command.command()
@click.argument("pipe", metavar="PROJECT/PIPE")
@HOME_OPTION
@JSON_OPTION
def disable(pipe: str, home: str | None, as_json: bool) -> None:
    """Switch it off, at once, also for runs under way. What was logged stays until it is deleted."""
    named = pipe_name(pipe)
    parts = open_parts(home)
    with acting_in(parts).doing("console.disable", named.project, f"{named.project}/{named.pipe}"):
        was_on = _of(parts).disable(named.project, named.pipe)
    if as_json:
        show_json({"project": named.project, "pipe": named.pipe, "was_on": was_on})
    say(f"{named.project}/{named.pipe}: off" + ("" if was_on else ", as it was"))


@command.command("list")
@PIPE_OR_PROJECT
@RUN_OPTION
@HOME_OPTION
@JSON_OPTION
def list_(name: str | None, run_id: str | None, home: str | None, as_json: bool) -> None:
    """List what is switched on, and the logs there are."""
    project, pipe = place_in(name)
    console = _of(open_parts(home, keyed=False))
    on = [one for one in console.switches(project) if pipe in (None, one.pipe)]
    logs = console.logs(project, pipe, run_id)
    if as_json:
        show_json({"on": [_shown(one) for one in on], "logs": [_log_shown(one) for one in logs]})
        return
    for one in on:
        say(f"on: {one.project}/{one.pipe} ({', '.join(sorted(one.contents))}), until {local(one.until_at)}, by {one.enabled_by}")
    if logs:
        headers = ["pipe", "run", "flow", "try", "began", "lines", "KB", "state"]
        rows = [
            [f"{o.project}/{o.pipe}", o.run_id, o.flow, o.attempt, local(o.started_at), o.lines, o.bytes >> 10, _state(o)]
            for o in logs
        ]
        table(headers, rows)
    elif not on:
        say("no console log; switch one on: integrator console enable PROJECT/PIPE")


@command.command()
@click.argument("pipe", metavar="PROJECT/PIPE")
@click.option("--run", "run_id", metavar="ID", help="Of this run [default: the newest that has one].")
@HOME_OPTION
def show(pipe: str, run_id: str | None, home: str | None) -> None:
    """Print what was logged of a run, a JSON line for each call."""
    from integrator.store.console_objects import objects_of

    named, parts = pipe_name(pipe), open_parts(home)
    logs = _of(parts).logs(named.project, named.pipe, run_id)
    if not logs:
        raise ConfigError(f"there is no console log of {named.project}/{named.pipe}" + (f" for run {run_id}" if run_id else ""))
    objects = objects_of(parts.settings)
    acting_in(parts).note("console.show", named.project, f"{named.project}/{named.pipe}", run=logs[0].run_id)
    for log in reversed([one for one in logs if one.run_id == logs[0].run_id]):
        for part in range(log.objects):
            try:
                sys.stdout.write(gzip.decompress(objects.get(log.key(part))).decode("utf-8", "replace"))
            except KeyError:
                say(f"part {part} of {log.flow} is not there any more")


@command.command()
@click.argument("pipe", metavar="PROJECT/PIPE")
@click.option("--run", "run_id", metavar="ID", required=True, help="Of this run.")
@HOME_OPTION
@JSON_OPTION
def link(pipe: str, run_id: str, home: str | None, as_json: bool) -> None:
    """Make download links to a run's log, one for each part. Each works for 300 seconds, for whoever has it: once, where the log lies in a folder.

    Where the project wants that people sign in for it, these are addresses in Airflow's API server, for whoever is signed in and may see the pipe's logs.
    """
    from integrator.commands.linking import linked

    named, parts = pipe_name(pipe), open_parts(home)
    logs = _of(parts).logs(named.project, named.pipe, run_id)
    names = [log.key(part) for log in logs for part in range(log.objects)]
    if not names:
        raise ConfigError(f"there is no console log of run {run_id}")
    links, signed_in = linked(home, parts, named.project, names)
    # Before they are shown: a link that nobody has noted must not be in anybody's hands.
    acting_in(parts).note(
        "console.link", named.project, f"{named.project}/{named.pipe}", run=run_id, links=len(links), signed_in=signed_in
    )
    if as_json:
        show_json({"expires_s": None if signed_in else 300, "signed_in": signed_in, "links": links})
    else:
        click.echo("\n".join(links))


@command.command()
@PIPE_OR_PROJECT
@RUN_OPTION
@click.option("--before", metavar="TIME", help="Only those that began before this, such as 2026-01-31.")
@click.option("--all", "everything", is_flag=True, help="Those of every project.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@HOME_OPTION
@JSON_OPTION
def delete(
    name: str | None, run_id: str | None, before: str | None, everything: bool, yes: bool, home: str | None, as_json: bool
) -> None:
    """Delete logs for good, also of runs under way: every version, every copy, unfinished uploads."""
    from integrator.store.console_deleting import delete_logs
    from integrator.store.console_objects import objects_of

    project, pipe = place_in(name)
    if not (name or run_id or before or everything):
        raise ConfigError("say which: PROJECT, PROJECT/PIPE, --run, --before, or --all")
    parts = open_parts(home)
    console = _of(parts)
    logs = console.logs(project, pipe, run_id, when(before), deleted=True)
    if not yes and not as_json:
        click.confirm(f"delete {len(logs)} console logs for good?", abort=True, err=True)
    what: dict[str, str] = {"run": run_id or "", "before": before or ""}
    asked = {name: value for name, value in what.items() if value}
    with acting_in(parts).doing("console.delete", project or PLATFORM, "/".join(filter(None, (project, pipe))), **asked) as noted:
        note_deletion(objects_of(parts.settings), project, pipe, run_id, when(before))
        told = delete_logs(console, objects_of(parts.settings), logs)
        noted.update(told)
    if as_json:
        show_json(told)
    say(f"deleted: {told['logs']} logs, {told['objects']} objects")


@command.command("prove-deleted")
@PIPE_OR_PROJECT
@HOME_OPTION
@JSON_OPTION
def prove_deleted(name: str | None, home: str | None, as_json: bool) -> None:
    """List what is left in the store of logs that were deleted, or that nobody knows: nothing, or exit code 1."""
    from integrator.store.console_deleting import left_over
    from integrator.store.console_objects import objects_of

    project, pipe = place_in(name)
    parts = open_parts(home, keyed=False)
    console = _of(parts)
    left = left_over(console, objects_of(parts.settings), project, pipe)
    if as_json:
        show_json({"left": left})
    else:
        click.echo("\n".join(left) if left else "nothing is left")
    if left:
        sys.exit(1)


def _of(parts: Any) -> Any:
    return parts.console


def note_deletion(objects: Any, project: str | None, pipe: str | None, run_id: str | None, before: datetime | None) -> None:
    """Remember the deletion where a restored backup does not undo it."""
    from integrator.store.ledger import CONSOLE, Deleted, Ledger

    Ledger(objects).note(Deleted(CONSOLE, project, datetime.now(UTC), actor(), pipe, run_id, before))


def _shown(one: Switch) -> dict[str, Any]:
    return {"project": one.project, "pipe": one.pipe, "contents": sorted(one.contents), "until_at": one.until_at, "max_mb": one.max_mb,
            "enabled_by": one.enabled_by, "enabled_at": one.enabled_at, "reason": one.reason}  # fmt: skip


def _log_shown(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def _state(one: Any) -> str:
    dropped = f", {one.dropped:,} lines dropped ({one.fault})" if one.dropped else ""
    return f"{one.state}{dropped}"
