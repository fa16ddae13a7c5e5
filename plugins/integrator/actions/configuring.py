"""What a project wants, shown and changed: by its owner and its administrators, and each change is noted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from integrator.access.roles import is_project
from integrator.actions.wanted import changed, differences
from integrator.actions.who import Who
from integrator.errors import ConfigError
from integrator.model.access import Action
from integrator.model.project import Plan, Wants


class Projects(Protocol):
    """Where it is kept what projects want."""

    def wants(self, project: str) -> Wants:
        """Return what a project wants."""

    def change(self, project: str, change: Callable[[Wants], Wants], actor: str) -> tuple[Wants, Wants]:
        """Change what a project wants, nobody else in between; returns what it was and what it is."""


@dataclass(frozen=True, slots=True)
class Configuring:
    """What may be asked for of a project's configuration.

    Args:
        projects: keeps it.
        plans: every plan there is, by name.
    """

    projects: Projects
    plans: Mapping[str, Plan]

    def show(self, who: Who, project: str) -> Wants:
        """Return what a project wants; its members may see it.

        Raises:
            NotAMemberError: they are not one.
            ConfigError: no project may have this name.
        """
        who.need(project, Action.SEE)
        _refuse_name(project)
        return self.projects.wants(project)

    def change(self, who: Who, project: str, given: Mapping[str, object]) -> Wants:
        """Change what a project wants; returns what that is now.

        Args:
            given: field -> value, as `actions.wanted.changed` reads them.

        Raises:
            AccessError: it is not theirs to change.
            FieldsError: a value cannot be used; nothing was changed.
            ConfigError: no project may have this name.
        """
        with who.acting.doing("project.configure", project, project) as told:
            who.need(project, Action.CONFIGURE)
            _refuse_name(project)
            before, after = self.projects.change(project, lambda now: changed(now, given, self.plans), who.acting.actor)
            told.update(differences(before, after))
        return after


def _refuse_name(project: str) -> None:
    if not is_project(project):
        raise ConfigError(f"{project!r} is not a project's name (small letters, digits and single underscores)")
