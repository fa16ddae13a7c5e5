"""Who is told of each call while a pipe's console log is on."""

from __future__ import annotations

from typing import Protocol

from integrator.wire.message import Answer, Request


class Tap(Protocol):
    """Takes note of calls. Never waits, never raises."""

    on: bool
    """Whether it wants to be told."""

    def note(self, system: str, request: Request, answer: Answer | None, seconds: float, why: str | None = None) -> None:
        """Take note of a call.

        Args:
            system: the credential's name.
            request: as it was before the credential was put on it.
            answer: None when none came; `why` says so.
        """
