"""Groups of Airflow's sign-in: made, filled, deleted by the platform's administrators. A group may have a role in a project, as a user may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from integrator.actions.projects import named
from integrator.actions.who import Who
from integrator.errors import NotThereError, RoleTooLowError
from integrator.model.access import Kind, Role


class SignIn(Protocol):
    """Where the sign-in's groups are kept."""

    def groups(self) -> dict[str, list[str]]:
        """Return the users of each group."""

    def create(self, name: str) -> None:
        """Make a group."""

    def delete(self, name: str) -> int:
        """Delete a group; returns how many were in it."""

    def add(self, name: str, user: str) -> bool:
        """Put a user into a group."""

    def remove(self, name: str, user: str) -> bool:
        """Take a user out of a group."""

    def knows(self, kind: Kind, name: str) -> bool:
        """Tell whether there is such a user or group."""


class Roles(Protocol):
    """Where the groups' roles in projects are kept."""

    def of_group(self, name: str) -> dict[str, Role]:
        """Return a group's role in each project."""

    def forget_group(self, name: str) -> list[str]:
        """Take a group's roles; returns the projects that it had one in."""


@dataclass(frozen=True, slots=True)
class Groups:
    """What may be asked for of groups.

    Args:
        sign_in: Airflow's.
        roles: in projects.
    """

    sign_in: SignIn
    roles: Roles

    def all(self, who: Who) -> dict[str, list[str]]:
        """Return the users of each group.

        Raises:
            RoleTooLowError: only the platform's administrators may, here and in what follows.
        """
        _need(who)
        return self.sign_in.groups()

    def create(self, who: Who, name: str) -> dict[str, Role]:
        """Make a group; returns the roles that it has from now on, since it was invited before it was there."""
        with who.acting.doing("group.create", target=name) as told:
            _need(who)
            self.sign_in.create(named(name))
            roles = self.roles.of_group(name)
            told["roles"] = len(roles)
        return roles

    def delete(self, who: Who, name: str) -> list[str]:
        """Delete a group and its roles, which another group of that name would have otherwise; returns the projects that it had one in."""
        with who.acting.doing("group.delete", target=name) as told:
            _need(who)
            if name not in self.sign_in.groups():
                raise NotThereError(
                    f"there is no group {name!r}; what was given to its name is an invitation, which is revoked in each project"
                )
            gone = self._forget(who, name)
            told["users"] = self.sign_in.delete(name)
            gone |= self._forget(who, name)  # given while it was deleted
            told["roles"] = len(gone)
        return sorted(gone)

    def _forget(self, who: Who, name: str) -> set[str]:
        gone = self.roles.forget_group(name)
        for project in gone:
            who.acting.note("project.revoke", project, f"{Kind.GROUP}:{name}", was_member=True, group_deleted=True)
        return set(gone)

    def add(self, who: Who, name: str, user: str) -> bool:
        """Put a user into a group; returns whether they were not in it. Its roles are theirs from their next request on."""
        with who.acting.doing("group.add", target=name, user=user) as told:
            _need(who)
            told["new"] = new = self.sign_in.add(name, user)
        return new

    def remove(self, who: Who, name: str, user: str) -> bool:
        """Take a user out of a group; returns whether they were in it."""
        with who.acting.doing("group.remove", target=name, user=user) as told:
            _need(who)
            told["was_in"] = was = self.sign_in.remove(name, user)
        return was


def _need(who: Who) -> None:
    if not who.platform:
        raise RoleTooLowError("groups are for the platform's administrators, since one may have roles in several projects")
