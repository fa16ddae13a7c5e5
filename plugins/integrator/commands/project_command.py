"""`integrator project`: what a project wants of the platform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from integrator.commands.acting import acting_in
from integrator.commands.common import DAGS_OPTION, HOME_OPTION, JSON_OPTION, open_parts, safe, say, show_json, table
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
@click.option("--zone", help="IANA time zone of the schedules of its pipes that name none, such as Europe/Berlin.")
@click.option(
    "--egress",
    multiple=True,
    metavar="HOST",
    help="Only hosts that its credentials may reach: api.example.com, *.example.com, each also with :port; again for each, in place of those before; `none` for no list.",
)
@click.option(
    "--production/--no-production",
    default=None,
    help="Whether what is unsafe (plain_http) is refused, and a console log needs a reason.",
)
@click.option(
    "--records-for-standard/--no-records-for-standard", default=None, help="Whether its Standard users see what records hold."
)
@HOME_OPTION
@JSON_OPTION
def configure(project: str, home: str | None, as_json: bool, **options: Any) -> None:
    """Change what a project wants; without options, show it."""
    import msgspec

    from integrator.actions.who import Who

    parts = open_parts(home)
    configuring, who = _configuring(parts), Who(acting_in(parts), platform=True)
    given = _given(options)
    wants = configuring.change(who, project, given) if given else configuring.show(who, project)
    if as_json:
        show_json({"project": project, **msgspec.to_builtins(wants)})
    say(_told(project, wants))
    if wants.plan not in configuring.plans:
        say(f"there is no plan {wants.plan!r} any more, so nothing of {project} is purged; choose another with --plan")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return what was given on the command line, as the action reads it."""
    said = {name: value for name, value in options.items() if value not in (None, ())}
    given = {name: value for name, value in said.items() if not name.startswith("alert_")}
    if "egress" in given:
        given["egress"] = _or_none(given["egress"])
    alerts = {name.removeprefix("alert_"): _or_none(value) for name, value in said.items() if name.startswith("alert_")}
    return {**given, **({"alerts": alerts} if alerts else {})}


def _told(project: str, wants: Any) -> str:
    hosts = f"{len(wants.egress)} hosts" if wants.egress else "every host"
    more = [
        *(["production"] if wants.production else []),
        *([] if wants.records_for_standard else ["no records for Standard users"]),
    ]
    return f"{project}: console logs {wants.console}, downloads {wants.downloads}, plan {wants.plan}, zone {wants.zone}, egress to {', '.join([hosts, *more])}"


def _or_none(value: Any) -> Any:
    """Return what was given; the word `none` takes it away."""
    if isinstance(value, tuple):
        return [one for one in value if one != "none"]
    return None if value == "none" else value


@command.command("list")
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def list_(dags: Path, home: str | None, as_json: bool) -> None:
    """List every project that is known: by its owner, by what it wants, or by a folder of pipes."""
    import msgspec

    from integrator.model.project import USUAL

    parts = open_parts(home, keyed=False)
    owners, wants, folders = _members(parts).owners(), _projects(parts).every(), _folders(dags)
    rows = [
        {
            "project": name, "owner": owners.get(name), **msgspec.to_builtins(wants.get(name, USUAL)),
            "folder": None if folders is None else name in folders,
        }
        for name in sorted({*owners, *_members(parts).projects(), *wants, *(folders or ())})
    ]  # fmt: skip
    if as_json:
        show_json(rows)
    else:
        headers = ["project", "owner", "console logs", "downloads", "plan", "zone", "egress", "production", "folder"]
        words = {None: "", True: "yes", False: "no"}
        table(
            headers,
            [
                [r["project"], r["owner"] or "(none)", r["console"], r["downloads"], r["plan"], r["zone"],
                 f"{len(r['egress'])} hosts" if r["egress"] else "all", words[bool(r["production"])], words[r["folder"]]]
                for r in rows
            ],
        )  # fmt: skip
    for row in rows:
        if row["owner"] is None:
            what = "has a folder of pipes and no owner yet" if row["folder"] else "has no owner"
            say(
                safe(
                    f"{row['project']} {what}, so only platform administrators see it: integrator project create {row['project']} --owner NAME"
                )
            )


def _folders(dags: Path) -> set[str] | None:
    """Return the projects that have pipes in the folder of the projects; None where it is not here."""
    if not dags.is_dir():
        return None
    from integrator.access.roles import is_project
    from integrator.authoring.library import pipe_files, project_of

    return {name for file in pipe_files(dags) if is_project(name := project_of(file, dags))}


def _members(parts: Any) -> Any:
    from integrator.store.database import open_engine
    from integrator.store.members import SqlMembers

    return SqlMembers(open_engine(parts.settings.database_url))


def _configuring(parts: Any) -> Any:
    from integrator.actions.configuring import Configuring
    from integrator.model.project import plans_of

    return Configuring(_projects(parts), plans_of(parts.settings.plans))


def _projects(parts: Any) -> Any:
    from integrator.store.database import open_engine
    from integrator.store.projects import SqlProjects

    return SqlProjects(open_engine(parts.settings.database_url))


add_to(command)
