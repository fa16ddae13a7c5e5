"""`integrator project`: what a project wants of the platform."""

from __future__ import annotations

from typing import Any

import click

from integrator.commands.acting import acting_in
from integrator.commands.common import HOME_OPTION, JSON_OPTION, open_parts, say, show_json, table
from integrator.errors import ConfigError
from integrator.model.project import ConsolePolicy, Downloads, plans_of
from integrator.registry import near


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show and change what a project wants of the platform."""


@command.command()
@click.argument("project")
@click.option(
    "--console", type=click.Choice([one.value for one in ConsolePolicy]), help="Whether its pipes may have console logs."
)
@click.option(
    "--downloads",
    type=click.Choice([one.value for one in Downloads]),
    help="How console logs are downloaded: by links for whoever has them, or signed in.",
)
@click.option("--plan", help="For how long things are kept: trial, standard, business, enterprise, or one of [integrator] plans.")
@HOME_OPTION
@JSON_OPTION
def configure(
    project: str, console: str | None, downloads: str | None, plan: str | None, home: str | None, as_json: bool
) -> None:
    """Change what a project wants; without options, show it."""
    import re

    import msgspec

    from integrator.model.names import NAME

    if not re.match(NAME, project):
        raise ConfigError(f"{project!r} is not a project's name (small letters, digits and single underscores)")
    parts = open_parts(home)
    projects, plans = _projects(parts), plans_of(parts.settings.plans)
    if plan is not None and plan not in plans:
        raise ConfigError(f"there is no plan {plan!r}; {near(plan, plans)}")
    wants = projects.wants(project)
    changed = msgspec.structs.replace(
        wants,
        console=ConsolePolicy(console) if console else wants.console,
        downloads=Downloads(downloads) if downloads else wants.downloads,
        plan=plan or wants.plan,
    )
    if changed != wants:
        now, before = msgspec.structs.asdict(changed), msgspec.structs.asdict(wants)
        acting = acting_in(parts)
        with acting.doing("project.configure", project, project, **{n: str(v) for n, v in now.items() if v != before[n]}):
            projects.set(project, changed, acting.actor)
    if as_json:
        show_json({"project": project, **msgspec.structs.asdict(changed)})
    say(f"{project}: console logs {changed.console}, downloads {changed.downloads}, plan {changed.plan}")
    if changed.plan not in plans:
        say(f"there is no plan {changed.plan!r} any more, so nothing of {project} is purged; choose another with --plan")


@command.command("list")
@HOME_OPTION
@JSON_OPTION
def list_(home: str | None, as_json: bool) -> None:
    """List the projects that want something of their own."""
    rows = [
        {"project": name, "console": wants.console, "downloads": wants.downloads, "plan": wants.plan}
        for name, wants in _projects(open_parts(home, keyed=False)).every().items()
    ]
    if as_json:
        show_json(rows)
        return
    table(
        ["project", "console logs", "downloads", "plan"],
        [[row["project"], row["console"], row["downloads"], row["plan"]] for row in rows],
    )


def _projects(parts: Any) -> Any:
    from integrator.store.database import open_engine
    from integrator.store.projects import SqlProjects

    return SqlProjects(open_engine(parts.settings.database_url))
