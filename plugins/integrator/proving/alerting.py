"""The stage at which people are told of failures: the alert that a failed flow would send, to the marked system."""

from __future__ import annotations

import os

from integrator import settings as settings_of
from integrator.errors import StopRunError
from integrator.model.alerts import Alerts
from integrator.store.database import open_engine
from integrator.store.happened import happened

CREDENTIAL = "alerts"


def send_alert(project: str, pipe: str) -> int:
    """Tell of a pipe's last run as Slack and a webhook are told; returns an exit code.

    Raises:
        StopRunError: there is nothing to tell of, so that the stage would prove nothing.
    """
    from integrator.notifiers.alert import send

    settings = settings_of.load(os.environ)
    told = happened(open_engine(settings.database_url), project, pipe, "items")
    if not told.entity_ids:
        raise StopRunError("no record has failed, so that the alert would tell of none")
    warned: list[str] = []
    went = send(settings, Alerts(slack=CREDENTIAL, webhook=CREDENTIAL), told, lambda text, *more: warned.append(text % more))
    for one in warned:
        print(one)  # noqa: T201 - into what is searched
    return 0 if all(went.values()) else 1
