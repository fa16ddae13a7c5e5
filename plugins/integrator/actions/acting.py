"""Somebody who acts, and the line that tells of it: written when it is done, and when it was refused or failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from integrator.errors import AccessError, ConfigError
from integrator.model.audit import PLATFORM, Came, Detail, Line


class Audit(Protocol):
    """Where lines are kept."""

    def add(self, line: Line) -> object:
        """Keep a line."""


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts, and from where.

    Attributes:
        actor: `cli:<os user>`, a signed-in user's name, or `upkeep`.
        origin: an address, or the machine of a command line.
    """

    actor: str
    origin: str
    audit: Audit

    @contextmanager
    def doing(self, action: str, project: str = PLATFORM, target: str = "", **detail: str | int | bool) -> Iterator[Detail]:
        """Note what is done within; what is put into the given mapping is noted too.

        Whatever is raised passes through. What cannot be noted is not reported as done: the database's error is raised.
        """
        told: Detail = dict(detail)
        try:
            yield told
        except BaseException as error:
            came = Came.REFUSED if isinstance(error, AccessError | ConfigError) else Came.FAILED
            told["error"] = type(error).__name__
            self.audit.add(Line(self.actor, action, project, target, self.origin, came, told))
            raise
        self.audit.add(Line(self.actor, action, project, target, self.origin, Came.DONE, told))

    def note(self, action: str, project: str = PLATFORM, target: str = "", **detail: str | int | bool) -> None:
        """Note what is done, or is about to be: what hands something out notes it before."""
        self.audit.add(Line(self.actor, action, project, target, self.origin, Came.DONE, dict(detail)))
