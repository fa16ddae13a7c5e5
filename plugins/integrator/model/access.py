"""Who may do what in a project. Source: PRODUCT.md section 3."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class Role(StrEnum):
    """A member's role."""

    OWNER = "owner"
    ADMINISTRATOR = "administrator"
    STANDARD = "standard"


class Kind(StrEnum):
    """What a member is."""

    USER = "user"
    GROUP = "group"


class Action(StrEnum):
    """What somebody asks for."""

    SEE = "see"
    """The project, its pipes, runs, failed IDs, plots."""
    RUN = "run"
    """Run, pause, rerun, ignore, delete logs, use the console log switch within policy."""
    SEE_RECORDS = "see_records"
    """Record content: previews and console logs. For Standard by the project's policy."""
    USE_CREDENTIALS = "use_credentials"
    """Create and edit credentials, at a base URL that the project knows."""
    NEW_BASE_URL = "new_base_url"
    CONFIGURE = "configure"
    """Time zone, console policy, alerts, plan, egress list, consumers; read the audit."""
    GIVE_ACCESS = "give_access"
    """Give or revoke access of users and groups, change roles; never the owner's."""
    OWN = "own"
    """Delete the project, transfer its ownership."""


class Member(msgspec.Struct, frozen=True):
    """A user or group with a role in a project."""

    project: str
    kind: Kind
    name: str
    role: Role
    given_by: str
    given_at: datetime


RANK = (Role.STANDARD, Role.ADMINISTRATOR, Role.OWNER)
"""From the least to the most."""
