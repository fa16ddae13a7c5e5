"""`integrator purge`: delete what the projects' plans no longer keep."""

from __future__ import annotations

import sys

import click

from integrator.commands.common import HOME_OPTION, JSON_OPTION, open_parts, say, show_json, table
from integrator.errors import ConfigError


@click.command()
@click.argument("project", required=False)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@HOME_OPTION
@JSON_OPTION
def command(project: str | None, dry_run: bool, home: str | None, as_json: bool) -> None:
    """Delete runs, failures, selections and console logs that are older than the project's plan keeps them. Exit code 1 when something could not be deleted."""
    from integrator.store.console_objects import objects_of
    from integrator.store.database import open_engine
    from integrator.store.projects import SqlProjects
    from integrator.store.purge import Purge

    settings = open_parts(home, keyed=False).settings
    engine = open_engine(settings.database_url)
    purge = Purge(engine, objects_of(settings), dry=dry_run)
    if project is not None and project not in purge.projects():
        raise ConfigError(f"nothing is kept of a project {project!r}")
    told = purge.every() if project is None else [purge.one(project, SqlProjects(engine).wants(project).plan)]
    if as_json:
        show_json(
            [
                {
                    "project": o.project,
                    "plan": o.plan,
                    "dry_run": dry_run,
                    "deleted": o.deleted,
                    "expiring": o.expiring,
                    "fault": o.fault,
                }
                for o in told
            ]
        )
    else:
        rows: list[list[object]] = [[o.project, o.plan, _words(o.deleted), o.expiring or ""] for o in told]
        table(["project", "plan", "would go" if dry_run else "deleted", "open failures that go within 48 h"], rows)
        for one in told:
            if one.fault:
                say(f"{one.project}: {one.fault}")
    if any(one.fault for one in told):
        sys.exit(1)


def _words(deleted: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in deleted.items()) or "nothing"
