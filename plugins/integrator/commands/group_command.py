"""`integrator group`: groups of Airflow's sign-in."""

from __future__ import annotations

import sys
from typing import Any

import click

from integrator import settings
from integrator.commands.acting import acting_in
from integrator.commands.common import HOME_OPTION, JSON_OPTION, open_parts, safe, say, show_json, table
from integrator.errors import ConfigError

NAME = click.argument("name")
USER = click.argument("user")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Groups of Airflow's sign-in: whoever is in one has its roles in projects."""


@command.command("list")
@HOME_OPTION
@JSON_OPTION
def list_(home: str | None, as_json: bool) -> None:
    """List groups, who is in them, and in which projects they have a role."""
    groups, who = _opened(home)
    rows = [
        {"group": name, "users": users, "roles": {project: role.value for project, role in groups.roles.of_group(name).items()}}
        for name, users in groups.all(who).items()
    ]
    if as_json:
        show_json(rows)
    elif rows:
        table(
            ["group", "users", "roles"],
            [[r["group"], ", ".join(r["users"]), ", ".join(f"{p}: {role}" for p, role in r["roles"].items())] for r in rows],
        )
    else:
        say("no groups; make one: integrator group create NAME")


@command.command()
@NAME
@HOME_OPTION
@JSON_OPTION
def create(name: str, home: str | None, as_json: bool) -> None:
    """Make a group of nobody. Roles that were given to its name before hold from now on."""
    groups, who = _opened(home)
    roles = {project: role.value for project, role in groups.create(who, name).items()}
    if as_json:
        show_json({"group": name, "created": True, "roles": roles})
    say(safe(f"group {name} is there" + "".join(f"; it is {role} in project {project}" for project, role in roles.items())))


@command.command()
@NAME
@click.option("--yes", is_flag=True, help="Do not ask.")
@HOME_OPTION
@JSON_OPTION
def delete(name: str, yes: bool, home: str | None, as_json: bool) -> None:
    """Delete a group, and with it its roles in projects: a later group of that name has none of them."""
    groups, who = _opened(home)
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("nobody is here to be asked whether to delete a group; say so with --yes")
        click.confirm(
            f"delete group {safe(name)}, and its roles in {len(groups.roles.of_group(name))} projects?", abort=True, err=True
        )
    gone = groups.delete(who, name)
    if as_json:
        show_json({"group": name, "deleted": True, "projects": gone})
    say(
        safe(
            f"group {name} is deleted" + (f", with its roles in {', '.join(gone)}" if gone else "; it had no role in any project")
        )
    )


@command.command()
@NAME
@USER
@HOME_OPTION
@JSON_OPTION
def add(name: str, user: str, home: str | None, as_json: bool) -> None:
    """Put a user into a group: its roles are theirs from their next request on."""
    groups, who = _opened(home)
    new = groups.add(who, name, user)
    if as_json:
        show_json({"group": name, "user": user, "new": new})
    say(safe(f"{user} is in group {name}" + ("" if new else ", as before")))


@command.command()
@NAME
@USER
@HOME_OPTION
@JSON_OPTION
def remove(name: str, user: str, home: str | None, as_json: bool) -> None:
    """Take a user out of a group, and its roles from them, from their next request on."""
    groups, who = _opened(home)
    was = groups.remove(who, name, user)
    if as_json:
        show_json({"group": name, "user": user, "was_in": was})
    say(safe(f"{user} is not in group {name}" + (" any more" if was else ", and was not")))


def _opened(home: str | None) -> tuple[Any, Any]:
    """Return what may be asked for, and who asks: the command line, with platform rights."""
    from integrator.actions.groups import Groups
    from integrator.actions.who import Who
    from integrator.commands.airflow_sign_in import groups_of
    from integrator.store.database import open_engine
    from integrator.store.members import SqlMembers

    parts = open_parts(home)
    members = SqlMembers(open_engine(parts.settings.database_url))
    return Groups(groups_of(settings.environment(home)), members), Who(acting_in(parts), platform=True)
