"""`integrator project`: what a project wants of the platform."""

from __future__ import annotations

from typing import Any

import click

from integrator.commands.acting import acting_in
from integrator.commands.common import HOME_OPTION, JSON_OPTION, open_parts, say, show_json, table
from integrator.commands.project_members import add_to
from integrator.model.alerts import AlertOn
from integrator.model.project import ConsolePolicy, Downloads


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
    import msgspec

    from integrator.actions.who import Who

    parts = open_parts(home)
    configuring, who = _configuring(parts), Who(acting_in(parts), platform=True)
    alerts = {"on": alert_on, "email": alert_email or None, "slack": alert_slack, "webhook": alert_webhook}
    given: dict[str, Any] = {"console": console, "downloads": downloads, "plan": plan}
    given = {name: value for name, value in given.items() if value is not None}
    if said := {name: _or_none(value) for name, value in alerts.items() if value is not None}:
        given["alerts"] = said
    wants = configuring.change(who, project, given) if given else configuring.show(who, project)
    if as_json:
        show_json({"project": project, **msgspec.to_builtins(wants)})
    say(f"{project}: console logs {wants.console}, downloads {wants.downloads}, plan {wants.plan}")
    if wants.plan not in configuring.plans:
        say(f"there is no plan {wants.plan!r} any more, so nothing of {project} is purged; choose another with --plan")


def _or_none(value: Any) -> Any:
    """Return what was given; the word `none` takes it away."""
    if isinstance(value, tuple):
        return [one for one in value if one != "none"]
    return None if value == "none" else value


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


def _configuring(parts: Any) -> Any:
    from integrator.actions.configuring import Configuring
    from integrator.model.project import plans_of

    return Configuring(_projects(parts), plans_of(parts.settings.plans))


def _projects(parts: Any) -> Any:
    from integrator.store.database import open_engine
    from integrator.store.projects import SqlProjects

    return SqlProjects(open_engine(parts.settings.database_url))


add_to(command)
