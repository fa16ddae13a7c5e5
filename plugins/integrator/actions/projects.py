"""Projects: made, given to people, transferred, deleted. Each action checks the role first, and is noted with what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from integrator.access.roles import is_project
from integrator.actions.who import Who
from integrator.errors import ConfigError, ConflictError
from integrator.model.access import Action, Kind, Member, Role
from integrator.model.audit import PLATFORM

LENGTH_MAX = 100
"""Characters of a project's name: a DAG's ID, which begins with it, has 250."""


class Members(Protocol):
    """Where roles are kept."""

    def of(self, project: str) -> list[Member]:
        """Return a project's members."""

    def create(self, project: str, owner: str, by: str) -> None:
        """Give a project its owner."""

    def grant(self, project: str, kind: Kind, name: str, role: Role, by: str) -> None:
        """Give a role."""

    def revoke(self, project: str, kind: Kind, name: str) -> bool:
        """Take a role."""

    def transfer(self, project: str, to: str, by: str) -> str | None:
        """Make another user the owner."""

    def forget(self, project: str) -> int:
        """Take every role."""


class Kept(Protocol):
    """All that is kept of one project, beside its roles and who did what."""

    def going(self) -> int:
        """Return how many flow runs go on."""

    def erase(self, by: str) -> dict[str, int]:
        """Delete it for good; returns how much of what."""

    def forget(self) -> None:
        """Forget the project itself."""


@dataclass(frozen=True, slots=True)
class Projects:
    """What may be asked for of projects.

    Args:
        members: keeps roles.
    """

    members: Members

    def create(self, who: Who, project: str, owner: str) -> None:
        """Give a project its owner; its pipes may be there already.

        Raises:
            ConfigError: it has one, or the name is none that a project may have.
            AccessError: only the platform's administrators may.
        """
        # What is refused makes no chain of its own: whoever is signed in could fill the audit with projects that are none.
        fits = is_project(project) and len(project) <= LENGTH_MAX
        of = project if who.platform and fits else PLATFORM
        with who.acting.doing("project.create", of, project, owner=owner):
            who.need_platform()
            if not fits:
                raise ConfigError(
                    f"{project[:LENGTH_MAX]!r} is not a project's name (small letters, digits and single underscores, "
                    f"{LENGTH_MAX} characters at most)"
                )
            self.members.create(project, named(owner), who.acting.actor)

    def grant(self, who: Who, project: str, kind: Kind, name: str, role: Role) -> None:
        """Give a user or a group a role, in place of whatever they had."""
        with who.acting.doing("project.grant", project, f"{kind}:{name}", role=role.value):
            who.need(project, Action.GIVE_ACCESS)
            self.members.grant(project, kind, named(name), role, who.acting.actor)

    def revoke(self, who: Who, project: str, kind: Kind, name: str) -> bool:
        """Take a user's or a group's role; returns whether there was one."""
        with who.acting.doing("project.revoke", project, f"{kind}:{name}") as told:
            who.need(project, Action.GIVE_ACCESS)
            told["was_member"] = was = self.members.revoke(project, kind, named(name))
        return was

    def transfer(self, who: Who, project: str, to: str) -> str | None:
        """Make a user the owner; the former one becomes an administrator. Returns who that was."""
        with who.acting.doing("project.transfer", project, f"user:{to}") as told:
            who.need(project, Action.OWN)
            before = self.members.transfer(project, named(to), who.acting.actor)
            told["before"] = before or ""
        return before

    def delete(self, who: Who, project: str, kept: Kept) -> dict[str, int]:
        """Delete a project: all that is kept of it but who did what, and every role; returns how much of what went.

        Its pipes are files, and its credentials Airflow's connections: those stay. May be asked for again after it broke off.

        Raises:
            ConflictError: flow runs of it go on.
        """
        with who.acting.doing("project.delete", project, project) as told:
            who.need(project, Action.OWN)
            if going := kept.going():
                raise ConflictError(
                    f"{going} flow runs of project {project} still go on; pause its pipes, and wait for them or end them"
                )
            told.update(gone := kept.erase(who.acting.actor))
            told["members"] = self.members.forget(project)  # last: until then its owner can ask again
            kept.forget()
        return gone


def named(name: str) -> str:
    """Return a user's or group's name.

    Raises:
        ConfigError: it cannot be one.
    """
    if not name or len(name) > 250 or name != name.strip() or not name.isprintable():
        raise ConfigError(f"{name[:250]!r} is no name of a user or group")
    return name
