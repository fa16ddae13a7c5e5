"""What a project wants of the platform."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from integrator.errors import ConfigError
from integrator.model.alerts import Alerts
from integrator.model.names import NAME


class ConsolePolicy(StrEnum):
    """Whether a project's pipes may have console logs."""

    ALLOW = "allow"
    REASON = "reason"
    """Only with a reason, which is kept with the switch."""
    FORBID = "forbid"


class Downloads(StrEnum):
    """How a console log is downloaded."""

    LINKS = "links"
    """By links that hold for 300 seconds, for whoever has them."""
    SIGNED_IN = "signed_in"
    """By people who are signed in to the platform and may see the pipe's logs."""


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
DEFAULT_ZONE = "UTC"
DAYS_MAX = 3650
AUDIT_DAYS_MIN = 30
"""Who did what can be told for at least so long, whatever a plan says."""


def plans_of(own: str) -> dict[str, Plan]:
    """Return every plan by name: the ready-made ones, and those of the setting `plans`.

    Args:
        own: such as `gold: run_days=10 failure_days=20 console_days=5 audit_days=60; silver: ...`.

    Raises:
        ConfigError: it is not written so, or days are out of bounds.
    """
    made = dict(PLANS)
    for text in filter(None, (one.strip() for one in own.split(";"))):
        name, colon, days = (part.strip() for part in text.partition(":"))
        if not colon or not re.fullmatch(NAME, name):
            raise _wrong(text, "it begins with its name and a colon, in small letters")
        if name in made:
            raise _wrong(name, "there is a plan of that name already")
        made[name] = _plan(name, days)
    return made


def _plan(name: str, text: str) -> Plan:
    given: dict[str, int] = {}
    for word in text.replace(",", " ").split():
        what, sign, number = word.partition("=")
        if what not in Plan.__struct_fields__ or not sign or not number.isascii() or not number.isdigit() or what in given:
            raise _wrong(
                name, f"{word!r} is not one of {', '.join(f'{one}=<days>' for one in Plan.__struct_fields__)}, each once"
            )
        least = AUDIT_DAYS_MIN if what == "audit_days" else 1
        if not least <= int(number) <= DAYS_MAX:
            raise _wrong(name, f"{what} is from {least} to {DAYS_MAX}")
        given[what] = int(number)
    if missing := [one for one in Plan.__struct_fields__ if one not in given]:
        raise _wrong(name, f"it lacks {', '.join(missing)}")
    return Plan(**given)


def _wrong(plan: str, why: str) -> ConfigError:
    return ConfigError(f"setting [integrator] plans, plan {plan!r}: {why}")


class Wants(msgspec.Struct, frozen=True):
    """What a project wants.

    Attributes:
        console: whether its pipes may have console logs.
        downloads: how they are downloaded.
        plan: name of the plan by which things are kept.
        alerts: of what its people are told, and how.
        zone: IANA time zone of the schedules of its pipes that name none.
        egress: hosts that its credentials may reach, as `model.hosts.Host` writes them; empty for no such list.
        production: whether what is unsafe is refused there, and a console log needs a reason.
        records_for_standard: whether its Standard users see what records hold.
    """

    console: ConsolePolicy = ConsolePolicy.ALLOW
    downloads: Downloads = Downloads.LINKS
    plan: str = DEFAULT_PLAN
    alerts: Alerts = Alerts()
    zone: str = DEFAULT_ZONE
    egress: tuple[str, ...] = ()
    production: bool = False
    records_for_standard: bool = True

    @property
    def asks_reason(self) -> bool:
        """Whether a console log needs a reason."""
        return self.console is ConsolePolicy.REASON or (self.production and self.console is ConsolePolicy.ALLOW)


USUAL = Wants()
"""What a project wants that says nothing."""
