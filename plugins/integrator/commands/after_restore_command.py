"""`integrator after-restore`: what a restored backup brought back goes again, and what may be stale is marked or dropped."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from integrator.commands.acting import acting_in
from integrator.commands.common import HOME_OPTION, JSON_OPTION, say, show_json
from integrator.commands.retaining import NO_WAY, Place, place_of, words
from integrator.errors import ConfigError
from integrator.model.project import plans_of


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@HOME_OPTION
@JSON_OPTION
def command(yes: bool, home: str | None, as_json: bool) -> None:
    """After a backup was restored and before the platform starts: delete again what had expired or been deleted since, end runs that nobody moves, drop tokens, switch console logs off, and mark cursors for a check."""
    from integrator.store.restoring import backup_at, refuse_while_moving

    place, now = place_of(home), datetime.now(UTC)
    refuse_while_moving(place.engine, now, place.settings.stale_after_s)
    since = backup_at(place.engine)
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("nobody is here to be asked; say with --yes that this is a restored backup")
        made = "of an empty installation" if since is None else f"of about {since:%Y-%m-%d %H:%M} UTC"
        click.confirm(f"this is a backup {made}: delete again, drop tokens, mark cursors?", abort=True, err=True)
    with acting_in(place.parts).doing("restore.after") as noted:
        told = {"backup_at": since, **_again(place, since, now)}
        noted.update(
            {
                name: len(value) if isinstance(value, list) else value
                for name, value in told.items()
                if isinstance(value, (int, list))
            }
        )
    if as_json:
        show_json(told)
        return
    _say(told)


def _again(place: Place, since: datetime | None, now: datetime) -> dict[str, Any]:
    from integrator.store import restoring
    from integrator.store.console import SqlConsole
    from integrator.store.console_objects import objects_of
    from integrator.store.ledger import Ledger

    objects, airflows = objects_of(place.settings), place.airflows()
    ledger = Ledger(objects)
    ended = restoring.end_runs(place.engine)
    replayed, deleted, credentials = _replay(place, ledger, objects, airflows, since)
    longest = max(max(plan.run_days, plan.failure_days, plan.console_days) for plan in plans_of(place.settings.plans).values())
    ledger.forget(now - timedelta(days=longest))
    purged = [*place.ours(notice=False).every(), *(airflows.every() if airflows else ()), *(place.audits(None) or ())]
    for one in purged:
        for what, count in one.deleted.items():
            deleted[what] = deleted.get(what, 0) + count
    return {
        "ended_runs": ended,
        "deletions_repeated": replayed,
        "deleted": deleted,
        "faults": [f"{one.project}: {one.fault}" for one in purged if one.fault],
        "credentials_removed": credentials,
        "tokens_dropped": restoring.drop_tokens(place.engine),
        "switched_off": restoring.switch_off(place.engine),
        "unknown_objects": restoring.tidy_console(SqlConsole(place.engine), objects),
        "cursors_to_check": restoring.mark_cursors(place.engine, now),
        "airflow": airflows is not None,
    }


def _replay(
    place: Place, ledger: Any, objects: Any, airflows: Any, since: datetime | None
) -> tuple[int, dict[str, int], list[str]]:
    """Repeat every deletion by hand; credentials only those that were removed after the backup."""
    from integrator.store.console import SqlConsole
    from integrator.store.console_deleting import delete_logs
    from integrator.store.deleting import Deletion, choose
    from integrator.store.ledger import CONSOLE, CREDENTIAL
    from integrator.store.restoring import remove_connection

    console, total, count, removed = SqlConsole(place.engine), dict[str, int](), 0, list[str]()
    for _, one in ledger.entries():
        count += 1
        if one.what == CREDENTIAL:
            conn_id = f"{one.project}__{one.pipe}"
            if since is not None and one.at > since and place.airflow is not None and remove_connection(place.airflow, conn_id):
                removed.append(conn_id)
            continue
        if one.what == CONSOLE:
            told = {
                "console_logs": delete_logs(console, objects, console.logs(one.project, one.pipe, one.run_id, one.up_to))["logs"]
            }
        else:
            try:
                chosen = choose(place.engine, one.project, one.pipe, one.run_id, one.up_to)
            except ConfigError:  # the run is not in this backup
                continue
            made = Deletion(place.engine, objects, chosen)
            told = {**(made.airflows(airflows) if airflows else {})}
            told |= {what: told.get(what, 0) + n for what, n in made.ours().items()}
        for what, n in told.items():
            total[what] = total.get(what, 0) + n
    return count, {what: n for what, n in total.items() if n}, removed


def _say(told: dict[str, Any]) -> None:
    say(f"ended {told['ended_runs']} flow runs that were under way in the backup")
    say(f"deleted again: {words(told['deleted'])} ({told['deletions_repeated']} deletions by hand repeated)")
    say(
        f"deleted {told['unknown_objects']} objects of console logs that this backup does not know; switched off {told['switched_off']} logs"
    )
    for conn_id in told["credentials_removed"]:
        say(f"removed the connection {conn_id} again, which was removed after the backup")
    if told["tokens_dropped"]:
        say(f"dropped what sign-ins earned: {', '.join(told['tokens_dropped'])}; those that a person signed in need it again "
            "(integrator credential authorize)")  # fmt: skip
    if told["cursors_to_check"]:
        say(
            f"{told['cursors_to_check']} cursors may be behind: integrator cursor show PROJECT/PIPE, then `cursor keep` or `cursor set`"
        )
    for fault in told["faults"]:
        say(fault)
    if not told["airflow"]:
        say(NO_WAY)
