"""`integrator project create|members|grant|revoke|transfer|delete`: who has which role in a project."""

from __future__ import annotations

import sys
from typing import Any

import click

from integrator.commands.acting import acting_in
from integrator.commands.common import HOME_OPTION, JSON_OPTION, open_parts, say, show_json, table
from integrator.errors import ConfigError
from integrator.model.access import Kind, Role

PROJECT = click.argument("project")
GROUP_OPTION = click.option("--group", is_flag=True, help="NAME is a group's, and not a user's.")
GIVEN = tuple(role.value for role in Role if role is not Role.OWNER)


def add_to(group: click.Group) -> None:
    """Put the commands into the group `integrator project`."""
    for one in (create, members, grant, revoke, transfer, delete):
        group.add_command(one)


@click.command()
@PROJECT
@click.option("--owner", required=True, help="User name of its owner, as Airflow knows it.")
@HOME_OPTION
@JSON_OPTION
def create(project: str, owner: str, home: str | None, as_json: bool) -> None:
    """Give a project its owner. Its folder of pipes may be there before or come later; until then only platform administrators see it."""
    projects, who = _opened(home)
    projects.create(who, project, owner)
    _told({"project": project, "owner": owner}, f"{project}: owned by {owner}", as_json=as_json)


@click.command()
@PROJECT
@HOME_OPTION
@JSON_OPTION
def members(project: str, home: str | None, as_json: bool) -> None:
    """List who has which role."""
    projects, _who = _opened(home)
    found = projects.members.of(project)
    rows = [
        {**{name: getattr(one, name) for name in one.__struct_fields__}, "invited": _invited(home, one.kind, one.name)}
        for one in found
    ]
    if as_json:
        show_json(rows)
    elif found:
        table(
            ["member", "role", "given by", "given", ""],
            [
                [
                    _name(r["kind"], r["name"]),
                    r["role"],
                    r["given_by"],
                    f"{r['given_at']:%Y-%m-%d %H:%M}",
                    "invited" if r["invited"] else "",
                ]
                for r in rows
            ],
        )
    else:
        say(f"project {project} has no members; give it an owner: integrator project create {project} --owner NAME")


@click.command()
@PROJECT
@click.argument("name")
@click.option("--role", type=click.Choice(GIVEN), default=Role.STANDARD.value, show_default=True, help="What they may do there.")
@GROUP_OPTION
@HOME_OPTION
@JSON_OPTION
def grant(project: str, name: str, role: str, group: bool, home: str | None, as_json: bool) -> None:
    """Give a user or a group a role, in place of whatever they had. It holds from their next request on."""
    projects, who = _opened(home)
    kind = Kind.GROUP if group else Kind.USER
    projects.grant(who, project, kind, name, Role(role))
    invited = _invited(home, kind, name)
    later = f", invited: Airflow's sign-in knows no such {kind} yet, and it holds once it does" if invited else ""
    _told(
        {"project": project, "kind": kind, "name": name, "role": role, "invited": invited},
        f"{project}: {_name(kind, name)} is {role}{later}",
        as_json=as_json,
    )


@click.command()
@PROJECT
@click.argument("name")
@GROUP_OPTION
@HOME_OPTION
@JSON_OPTION
def revoke(project: str, name: str, group: bool, home: str | None, as_json: bool) -> None:
    """Take a user's or a group's role, from their next request on."""
    projects, who = _opened(home)
    kind = Kind.GROUP if group else Kind.USER
    was = projects.revoke(who, project, kind, name)
    said = "has no role any more" if was else "had no role"
    _told(
        {"project": project, "kind": kind, "name": name, "was_member": was},
        f"{project}: {_name(kind, name)} {said}",
        as_json=as_json,
    )


@click.command()
@PROJECT
@click.argument("to")
@HOME_OPTION
@JSON_OPTION
def transfer(project: str, to: str, home: str | None, as_json: bool) -> None:
    """Make a user the owner; the former one becomes an administrator."""
    projects, who = _opened(home)
    before = projects.transfer(who, project, to)
    _told({"project": project, "owner": to, "before": before}, f"{project}: owned by {to}", as_json=as_json)


@click.command()
@PROJECT
@click.option("--yes", is_flag=True, help="Do not ask.")
@HOME_OPTION
@JSON_OPTION
def delete(project: str, yes: bool, home: str | None, as_json: bool) -> None:
    """Delete a project: all that is kept of it but who did what, what it wants, and every role. Its pipes are files, and its credentials Airflow's connections: those stay."""
    from integrator.commands.retaining import NO_WAY, place_of, words
    from integrator.store.console_objects import objects_of
    from integrator.store.kept_of_project import KeptOfProject

    projects, who = _opened(home)
    place = place_of(home)
    airflows = place.airflows()
    kept = KeptOfProject(place.engine, objects_of(place.settings), airflows, project)
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("nobody is here to be asked whether to delete a project; say so with --yes")
        if click.prompt(f"all that is kept of project {project} goes for good; type its name", err=True) != project:
            raise ConfigError("that is another name; nothing was deleted")
    gone = projects.delete(who, project, kept)
    _told(
        {"project": project, "deleted": gone, "airflow": airflows is not None},
        f"{project}: deleted {words(gone)}",
        as_json=as_json,
    )
    if airflows is None:
        say(NO_WAY)
    say(f"its pipes are files in its folder, and its credentials connections: integrator credential list {project}")


def _opened(home: str | None) -> tuple[Any, Any]:
    """Return what may be asked for, and who asks: the command line, with platform rights."""
    from integrator.actions.projects import Projects
    from integrator.actions.who import Who
    from integrator.store.database import open_engine
    from integrator.store.members import SqlMembers

    parts = open_parts(home)
    members_ = SqlMembers(open_engine(parts.settings.database_url))
    return Projects(members_), Who(acting_in(parts), platform=True)


def _invited(home: str | None, kind: Kind, name: str) -> bool:
    from integrator import settings
    from integrator.commands.airflow_sign_in import invited

    return invited(settings.environment(home), kind, name)


def _told(shown: dict[str, Any], said: str, *, as_json: bool) -> None:
    if as_json:
        show_json(shown)
    say(said)


def _name(kind: Kind, name: str) -> str:
    return name if kind is Kind.USER else f"group {name}"
