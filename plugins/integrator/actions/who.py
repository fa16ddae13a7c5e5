"""Somebody who asks for something, with the roles that they have at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from integrator.access.roles import may
from integrator.actions.acting import Acting
from integrator.errors import NotAMemberError, RoleTooLowError
from integrator.model.access import Action, Role

NEEDS = {
    Action.OWN: "its owner", Action.CONFIGURE: "its owner or an administrator", Action.GIVE_ACCESS: "its owner or an administrator",
    Action.NEW_BASE_URL: "its owner or an administrator",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks.

    Attributes:
        platform: whether they stand above projects: the platform's administrators, and the command line.
        roles: project -> role, read for this request.
    """

    acting: Acting
    platform: bool = False
    roles: Mapping[str, Role] = field(default_factory=dict)

    def need_platform(self) -> None:
        """Pass if they administer the platform.

        Raises:
            RoleTooLowError: they do not.
        """
        if not self.platform:
            raise RoleTooLowError("this is for the platform's administrators (role Admin of Airflow's sign-in)")

    def need(self, project: str, action: Action, *, records_for_standard: bool = True) -> None:
        """Pass if they may do it.

        Raises:
            NotAMemberError: they have no role there, so that nothing of it may show.
            RoleTooLowError: their role is too low.
        """
        if self.platform:
            return
        role = self.roles.get(project)
        if role is None:
            raise NotAMemberError(f"there is no project {project}")
        if not may(role, action, records_for_standard=records_for_standard):
            raise RoleTooLowError(f"in project {project} this is for {NEEDS.get(action, 'others')}, and not for role {role}")
