"""What the platform does by itself for a flow, as people write it: automatic reruns and expectations."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from integrator.model.alerts import AlertOn
from integrator.model.values import Duration, Name, Strict


def _back_off(value: timedelta) -> timedelta:
    if not timedelta(minutes=1) <= value <= timedelta(days=1):
        raise ValueError("a back-off is between 1m and 1d")
    return value


def _silence(value: timedelta) -> timedelta:
    if value < timedelta(minutes=1):
        raise ValueError("a success can be expected every minute at most; write 1m or more")
    return value


class Rerun(Strict):
    """Whether failures that may get better are rerun without being asked."""

    automatic: bool = False
    attempts: int = Field(5, ge=2, le=50, description="most times a record is tried, the first one included")
    back_off: Annotated[Duration, AfterValidator(_back_off)] = Field(
        timedelta(minutes=10), description="wait after the first failure; doubles with each attempt, up to a day"
    )


def _address(value: str) -> str:
    name, sign, host = value.rpartition("@")
    if not (name and sign and "." in host) or any(one.isspace() or one in ",;<>" for one in value):
        raise ValueError(f"{value!r} is no e-mail address")
    return value


class Alerted(Strict):
    """Who hears of this pipe's runs, in place of what its project says."""

    on: AlertOn | None = Field(None, description="any, partial, failed or never; left out: as the project says, else failed")
    email: list[Annotated[str, AfterValidator(_address)]] | None = Field(None, description="addresses; [] for none")
    slack: Name | None = Field(None, description="name of a credential that is a Slack webhook")
    webhook: Name | None = Field(None, description="name of a credential that alerts are posted to as JSON")


class Between(Strict):
    """How many records a run is expected to read."""

    at_least: int = Field(0, ge=0)
    at_most: int | None = Field(None, ge=0)


class Expect(Strict):
    """What somebody wants to hear of when it does not happen."""

    success_every: Annotated[Duration, AfterValidator(_silence)] | None = Field(
        None, description="longest time without a run that moved what it read"
    )
    records: Annotated[int, Field(ge=0)] | Between | None = Field(
        None, description="fewest records that the last run reads, or {at_least, at_most}"
    )
