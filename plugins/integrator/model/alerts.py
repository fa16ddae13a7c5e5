"""Alerts: of what somebody wants to hear, where, and what is told: counts, entity IDs and error classes, nothing else."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

IDS_TOLD = 20
"""Most entity IDs in one alert."""


class AlertOn(StrEnum):
    """What is told of a flow's runs."""

    ANY = "any"
    """Whatever did not go well: partial and failed runs."""
    PARTIAL = "partial"
    """Runs in which some records failed, as many as the flow tolerates."""
    FAILED = "failed"
    """Runs that failed."""
    NEVER = "never"


class Alerts(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of what to tell whom. What is None is not said; a pipe's own sayings count before its project's.

    Attributes:
        email: addresses.
        slack: name of the project's credential that is a Slack webhook.
        webhook: name of the project's credential that alerts are posted to as JSON.
    """

    on: AlertOn | None = None
    email: tuple[str, ...] | None = None
    slack: str | None = None
    webhook: str | None = None

    def over(self, other: Alerts) -> Alerts:
        """Return these, with what they do not say taken from others."""
        mine, theirs = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
        return Alerts(**{name: theirs[name] if value is None else value for name, value in mine.items()})

    @property
    def places(self) -> tuple[str, ...]:
        """Names of the ways by which somebody is told."""
        return tuple(name for name in ("email", "slack", "webhook") if getattr(self, name))

    def wants(self, status: str) -> bool:
        """Tell whether a flow run that ended so is to be told of."""
        return bool(self.places) and status in {
            AlertOn.ANY: ("partial", "failed"), AlertOn.PARTIAL: ("partial",), AlertOn.NEVER: (),
        }.get(self.on or AlertOn.FAILED, ("failed",))  # fmt: skip


class Told(msgspec.Struct, frozen=True):
    """What an alert tells.

    Attributes:
        event: `run` for a flow run that ended, `expiring` for open failures that retention takes soon.
        status: of the flow run: partial or failed.
        run_id: ours; None where the run never came to be.
        counts: of the flow run, those that are not 0.
        errors: error class -> how many records failed with it.
        entity_ids: of failed records, up to IDS_TOLD.
        more: how many failed beside those.
        goes_at: ISO instant at which the first expiring failure may go.
        url: where Airflow shows the run; empty where nothing says where Airflow is.
    """

    event: str
    project: str
    pipe: str
    flow: str
    status: str = ""
    run_id: str | None = None
    counts: dict[str, int] = {}
    errors: dict[str, int] = {}
    entity_ids: tuple[str, ...] = ()
    more: int = 0
    goes_at: str = ""
    url: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is posted to a webhook."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if value}
