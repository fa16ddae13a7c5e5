"""`integrator project`: what a project wants of the platform."""

from __future__ import annotations

from typing import Any

import click

from integrator.commands.acting import acting_in
from integrator.commands.common import HOME_OPTION, JSON_OPTION, open_parts, say, show_json, table
from integrator.commands.project_members import add_to
from integrator.errors import ConfigError
from integrator.model.alerts import AlertOn, Alerts
from integrator.model.project import ConsolePolicy, Downloads, plans_of
from integrator.registry import near


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show and change what a project wants of the platform, and who has which role in it."""


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
@click.option("--alert-on", type=click.Choice([one.value for one in AlertOn]), help="Of which runs people are told.")
@click.option("--alert-email", multiple=True, metavar="ADDRESS", help="Who is told by e-mail; again for each, `none` for nobody.")
@click.option("--alert-slack", metavar="NAME", help="The project's credential that is a Slack webhook; `none` for none.")
@click.option("--alert-webhook", metavar="NAME", help="The project's credential that alerts are posted to; `none` for none.")
@HOME_OPTION
@JSON_OPTION
def configure(project: str, console: str | None, downloads: str | None, plan: str | None, alert_on: str | None, alert_email: tuple[str, ...],
              alert_slack: str | None, alert_webhook: str | None, home: str | None, as_json: bool) -> None:  # fmt: skip
    """Change what a project wants; without options, show it."""
    import re

    import msgspec

    from integrator.model.names import NAME

    if not re.fullmatch(NAME, project):
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
        alerts=_alerts(wants.alerts, alert_on, alert_email, alert_slack, alert_webhook),
    )
    if changed != wants:
        now, before = msgspec.to_builtins(changed), msgspec.to_builtins(wants)
        acting = acting_in(parts)
        with acting.doing("project.configure", project, project, **{n: str(v) for n, v in now.items() if v != before[n]}):
            projects.set(project, changed, acting.actor)
    if as_json:
        show_json({"project": project, **msgspec.to_builtins(changed)})
    say(f"{project}: console logs {changed.console}, downloads {changed.downloads}, plan {changed.plan}")
    if changed.plan not in plans:
        say(f"there is no plan {changed.plan!r} any more, so nothing of {project} is purged; choose another with --plan")


def _alerts(now: Alerts, on: str | None, email: tuple[str, ...], slack: str | None, webhook: str | None) -> Alerts:
    import msgspec
    from pydantic import TypeAdapter, ValidationError

    from integrator.model.upkeep import Alerted

    given = {"on": on, "email": [one for one in email if one != "none"] if email else None, "slack": slack, "webhook": webhook}
    try:
        TypeAdapter(Alerted).validate_python({name: None if value == "none" else value for name, value in given.items()})
    except ValidationError as fault:
        first = fault.errors()[0]
        raise ConfigError(f"--alert-{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}") from None
    said = {name: value for name, value in given.items() if value is not None}
    cleared = {name: None for name, value in said.items() if value in ("none", [])}
    return msgspec.convert({**msgspec.to_builtins(now), **said, **cleared}, Alerts)


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


add_to(command)
