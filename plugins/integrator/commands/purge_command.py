"""`integrator purge`: delete what the projects' plans no longer keep."""

from __future__ import annotations

import sys

import click

from integrator.commands.acting import actor, audit_of, origin
from integrator.commands.common import HOME_OPTION, JSON_OPTION, say, show_json
from integrator.commands.retaining import NO_WAY, Place, place_of, shown, tell
from integrator.errors import ConfigError
from integrator.model.retention import Purged

OURS, AIRFLOWS, AUDIT = "ours", "airflow", "audit"
TITLES = {OURS: "project", AIRFLOWS: "project, in Airflow", AUDIT: "project, in the audit"}


@click.command()
@click.argument("project", required=False)
@click.option(
    "--only",
    type=click.Choice([OURS, AIRFLOWS]),
    help="Only what tasks may delete (our rows, console logs), or only what they cannot reach (what Airflow keeps of our pipes, the audit).",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@HOME_OPTION
@JSON_OPTION
def command(project: str | None, only: str | None, dry_run: bool, home: str | None, as_json: bool) -> None:  # fmt: skip
    """Delete runs, failures, selections and console logs that are older than the project's plan keeps them, lines of the audit, and what Airflow keeps of the pipes' runs. Exit code 1 when something could not be deleted."""
    place = place_of(home)
    airflows = None if only == OURS else place.airflows(dry=dry_run)
    if only == AIRFLOWS and airflows is None:
        raise ConfigError(NO_WAY)
    ours = None if only == AIRFLOWS else place.ours(dry=dry_run)
    if project is not None and project not in {*(ours.projects() if ours else ()), *(airflows.dags() if airflows else ())}:
        raise ConfigError(f"nothing is kept of a project {project!r}")
    told: dict[str, list[Purged]] = {}
    if ours:
        told[OURS] = ours.every(project)
    if airflows:
        told[AIRFLOWS] = airflows.every(project)
    audits = None if only == OURS else place.audits(project, dry=dry_run)
    if audits is not None:
        told[AUDIT] = audits
    left = airflows.rows.unattributed() if airflows else []
    if not dry_run and project is None:
        _note(place, told)
    if as_json:
        show_json(
            {"dry_run": dry_run, **{what: [shown(one) for one in each] for what, each in told.items()}, "unattributed": left}
        )
    else:
        for what, each in told.items():
            tell(TITLES[what], each, dry=dry_run)
        if airflows is None and only is None:
            say(NO_WAY)
        for name in left:
            say(f"{name} holds copies of rows that name no DAG, and may be anybody's: `airflow db drop-archived` drops them")
    if any(one.fault for each in told.values() for one in each):
        sys.exit(1)


def _note(place: Place, told: dict[str, list[Purged]]) -> None:
    from integrator.store.purge_notes import Who, note_purge

    for what in (OURS, AIRFLOWS):
        if what in told:
            note_purge(place.engine, audit_of(place.parts), Who(actor(), origin()), what, told[what])
