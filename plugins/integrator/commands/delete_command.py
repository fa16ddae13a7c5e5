"""`integrator delete`: delete what is kept of a project, a pipe or a run, by hand."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from integrator.commands.acting import acting_in, actor
from integrator.commands.common import HOME_OPTION, JSON_OPTION, place_in, say, show_json, when
from integrator.commands.retaining import NO_WAY, place_of, words
from integrator.errors import ConfigError


@click.command()
@click.argument("name", metavar="[PROJECT[/PIPE]]", required=False)
@click.option("--run", "run_id", metavar="ID", help="Only what is kept of this run.")
@click.option("--before", metavar="TIME", help="Only what is older than this, such as 2026-01-31.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@HOME_OPTION
@JSON_OPTION
def command(name: str | None, run_id: str | None, before: str | None, dry_run: bool, yes: bool, home: str | None, as_json: bool) -> None:  # fmt: skip
    """Delete runs, failures, selections and console logs for good, and what Airflow keeps of the runs. What still goes on stays; so do cursors, credentials and the pipes themselves."""
    from integrator.store.console_objects import objects_of
    from integrator.store.deleting import Deletion, choose
    from integrator.store.ledger import ALL, Deleted, Ledger

    project, pipe = place_in(name)
    if project is None and run_id is None:
        raise ConfigError("say what: PROJECT, PROJECT/PIPE, or --run")
    place, now = place_of(home), datetime.now(UTC)
    chosen = choose(place.engine, project, pipe, run_id, when(before) or now)
    objects = objects_of(place.settings)
    counting, airflows = Deletion(place.engine, objects, chosen, dry=True), place.airflows(dry=True)
    would = {**counting.ours(), **({f"airflow_{what}": n for what, n in counting.airflows(airflows).items()} if airflows else {})}
    if not dry_run:
        _ask(words(would), counting.open_failures(), yes=yes)
        made, airflows = Deletion(place.engine, objects, chosen), place.airflows()
        asked = {name: value for name, value in {"run": run_id or "", "before": before or ""}.items() if value}
        target = "/".join(filter(None, (chosen.project, chosen.pipe)))
        with acting_in(place.parts).doing("retention.delete", chosen.project, target, **asked) as noted:
            Ledger(objects).note(Deleted(ALL, chosen.project, now, actor(), chosen.pipe, run_id, when(before)))
            of_airflow = made.airflows(airflows) if airflows else {}  # first: ours say which run of Airflow's is meant
            would = {**made.ours(), **{f"airflow_{what}": n for what, n in of_airflow.items()}}
            noted.update(would)
    going = counting.going()
    if as_json:
        show_json({"dry_run": dry_run, "deleted": would, "still_going": going, "airflow": airflows is not None})
    say(
        f"{'would delete' if dry_run else 'deleted'}: {words(would)}"
        + (f"; {going} flow runs still go on, and stay" if going else "")
    )
    if airflows is None:
        say(NO_WAY)


def _ask(what: str, open_failures: int, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("nobody is here to be asked whether to delete; say so with --yes, or look first with --dry-run")
    open_ones = f" ({open_failures:,} failures are still open, and cannot be rerun then)" if open_failures else ""
    click.confirm(f"delete {what} for good{open_ones}?", abort=True, err=True)
