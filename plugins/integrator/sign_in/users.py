"""What follows for projects and sessions when the sign-in's users change. Fits `store.user_events.Following`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from integrator.errors import ConfigError
from integrator.model.access import Kind
from integrator.sign_in.parts import SignInParts

PLATFORM_ACTOR = "platform"


@dataclass(frozen=True, slots=True)
class UsersChange:
    """Keeps roles and sessions in step with users; each change of roles is noted.

    Args:
        parts: made when they are first needed, since our tables may be younger than Airflow's.
    """

    parts: Callable[[], SignInParts]

    def may_go(self, user: str) -> None:
        """Refuse to let a project's owner go.

        Raises:
            ConfigError: names the projects, and the cure.
        """
        owned = self.parts().members.owned_by(user)
        if owned:
            raise ConfigError(
                f"{user} owns {', '.join(owned)}; give each another owner first: integrator project transfer {owned[0]} NAME"
            )

    def gone(self, user_id: int, user: str) -> None:
        """Take a user's roles, which somebody of the same name would have later, and end their sessions."""
        parts = self.parts()
        acting = parts.acting(PLATFORM_ACTOR)
        for project in parts.members.roles(user):
            with acting.doing("project.revoke", project, f"{Kind.USER}:{user}", why="the user was deleted"):
                parts.members.revoke(project, Kind.USER, user)
        parts.sessions.end_all(user_id)

    def group_gone(self, group: str) -> None:
        """Take a group's roles, which another group of the same name would have later."""
        parts = self.parts()
        for project in parts.members.forget_group(group):
            parts.acting(PLATFORM_ACTOR).note(
                "project.revoke", project, f"{Kind.GROUP}:{group}", was_member=True, group_deleted=True
            )

    def renamed(self, kind: Kind, before: str, after: str) -> None:
        """Let roles follow a user or a group to another name; where it has roles already the higher one counts."""
        parts = self.parts()
        for project in parts.members.rename(kind, before, after):
            parts.acting(PLATFORM_ACTOR).note("project.rename_member", project, f"{kind}:{after}", before=before)

    def signed_out(self, user_id: int) -> None:
        """End every session of a user who has a new password, or was switched off."""
        self.parts().sessions.end_all(user_id)
