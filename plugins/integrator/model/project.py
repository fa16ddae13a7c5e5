"""What a project wants of the platform."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class ConsolePolicy(StrEnum):
    """Whether a project's pipes may have console logs."""

    ALLOW = "allow"
    REASON = "reason"
    """Only with a reason, which is kept with the switch."""
    FORBID = "forbid"


class Plan(msgspec.Struct, frozen=True):
    """Days for which things are kept."""

    run_days: int
    failure_days: int
    console_days: int
    audit_days: int


PLANS = {
    "trial": Plan(7, 7, 1, 30),
    "standard": Plan(30, 30, 7, 90),
    "business": Plan(90, 90, 30, 365),
    "enterprise": Plan(365, 365, 90, 730),
}
DEFAULT_PLAN = "standard"


class Wants(msgspec.Struct, frozen=True):
    """What a project wants.

    Attributes:
        console: whether its pipes may have console logs.
        plan: name of the plan by which things are kept.
    """

    console: ConsolePolicy = ConsolePolicy.ALLOW
    plan: str = DEFAULT_PLAN
