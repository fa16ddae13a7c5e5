"""A line of the audit: who did what to which thing, from where, when, and what came of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

PLATFORM = ""
"""The project of lines that belong to none."""
Detail = dict[str, str | int | bool]
"""Counts and names. Never a value of a record, never a secret."""
TEXT_MAX = 300
"""Characters of the longest text in a line; what a person typed may be longer, and is cut."""


class Came(StrEnum):
    """What came of an action."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class Line(msgspec.Struct, frozen=True):
    """One line, as it is to be written.

    Attributes:
        actor: who: `cli:<os user>`, a signed-in user's name, or `upkeep`.
        action: what, as `<noun>.<verb>`.
        project: whose; empty for the platform's own.
        target: the thing, such as `acme/orders` or `acme__shop`.
        origin: from where: an address, or the machine of a command line.
    """

    actor: str
    action: str
    project: str = PLATFORM
    target: str = ""
    origin: str = ""
    came: Came = Came.DONE
    detail: Detail = {}


class Written(msgspec.Struct, frozen=True):
    """A line that was written.

    Attributes:
        number: counts up by one within a project.
        digest: keyed hash over this line and the digest of the one before.
    """

    number: int
    at: datetime
    digest: str
    line: Line
