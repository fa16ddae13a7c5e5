"""`integrator audit`: who did what."""

from __future__ import annotations

import sys
from typing import Any

import click

from integrator.commands.common import HOME_OPTION, JSON_OPTION, local, open_parts, say, show_json, table, when


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Read, export and verify the audit: who did what, from where, when, and what came of it."""


@command.command("list")
@click.argument("project", required=False)
@click.option("--since", metavar="TIME", help="Only lines from then on, such as 2026-01-31.")
@click.option("--until", metavar="TIME", help="Only lines from before then.")
@click.option("--actor", help="Only what this one did, such as cli:ann.")
@click.option("--action", help="Only this, such as console or console.link.")
@click.option("--most", type=click.IntRange(1), default=100, show_default=True, help="How many, the newest first.")
@click.option("--all", "everything", is_flag=True, help="However many there are.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for other programs.")
@HOME_OPTION
@JSON_OPTION
def list_(project: str | None, since: str | None, until: str | None, actor: str | None, action: str | None, most: int,
          everything: bool, as_csv: bool, home: str | None, as_json: bool) -> None:  # fmt: skip
    """List lines, the newest first. With --csv or --json: an export."""
    from integrator.actions.auditing import as_csv as csv_of
    from integrator.actions.auditing import told, words
    from integrator.commands.acting import audit_of

    between: dict[str, Any] = {"since": when(since), "until": when(until)}
    found = audit_of(open_parts(home)).lines(project, **between, actor=actor, action=action, most=None if everything else most)
    if as_json:
        show_json([told(one) for one in found])
        return
    if as_csv:
        sys.stdout.write(csv_of((), header=True))
        for one in found:
            sys.stdout.write(csv_of([one], header=False))
        return
    rows: list[list[object]] = [
        [local(o.at), o.line.project, o.line.actor, o.line.action, o.line.target, o.line.origin, o.line.came, words(o)]
        for o in found
    ]
    if rows:
        table(["when", "project", "who", "what", "thing", "from", "came", "detail"], rows)
    else:
        say("no line of the audit fits")


@command.command()
@HOME_OPTION
@JSON_OPTION
def verify(home: str | None, as_json: bool) -> None:
    """Look whether lines were changed, taken out, put in or cut off. Exit code 1 when something does not fit."""
    from integrator.commands.acting import audit_of

    audit = audit_of(open_parts(home))
    told = audit.verify()
    outside = str(audit.heads) if audit.heads is not None and audit.heads.is_file() else None
    if as_json:
        shown = [{"project": one.project, "number": one.number, "what": one.what} for one in told]
        show_json({"whole": not told, "tampered": shown, "compared_with": outside})
    for one in told:
        say(f"{one.project or 'platform'}, line {one.number}: {one.what}")
    if not told:
        say("the audit is whole" + (f", and fits {outside}" if outside else ""))
    if outside is None:
        say(
            "there is no log outside the database to compare with, so that lines cut off at the end cannot show; see [integrator] audit_log"
        )
    if told:
        sys.exit(1)
