"""The notifier that every flow's task has: it tells whom the pipe or its project says of runs that did not go well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from airflow.configuration import conf
from airflow.sdk import BaseNotifier

from integrator.errors import IntegratorError
from integrator.model.alerts import AlertOn, Alerts, Told
from integrator.model.audit import Detail
from integrator.model.project import Wants

TIMEOUT_S = 15.0


class AlertNotifier(BaseNotifier):
    """Sends counts, entity IDs and error classes. Never raises: an alert that cannot be sent does not fail a task.

    :param alerts: what the pipe itself says.
    """

    # Nothing is rendered: what an entity ID holds must never be taken for a template.
    template_fields: Sequence[str] = ()

    def __init__(self, *, project: str, pipe: str, flow: str, alerts: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project, self.pipe, self.flow, self.alerts = project, pipe, flow, alerts or {}

    def notify(self, context: Any) -> None:
        """Look what became of the flow, and tell of it where that is wanted."""
        from integrator.hooks.integrator_hook import load_settings
        from integrator.store.database import open_engine
        from integrator.store.happened import happened

        instance = context["ti"]
        try:
            settings = load_settings()
            wanted = wanted_by(settings, self.project, self.alerts)
            if not wanted.places:
                return
            told = happened(
                open_engine(settings.database_url), self.project, self.pipe, self.flow, instance.dag_id, instance.run_id
            )
        except IntegratorError as fault:
            self.log.warning("no alert: %s", fault)
            return
        if not wanted.wants(told.status):
            return
        send(settings, wanted, _with_url(told, instance), self.log.warning)


def tell_expiring(settings: Any, one: Any, warn: Callable[..., None]) -> None:
    """Tell whom a project says of open failures that retention takes soon; that there is nobody to be told is no fault."""
    try:
        wants = _wants_of(settings, one.project)
    except IntegratorError as fault:
        warn("no alert: %s", fault)
        return
    wanted = wants.alerts
    if not wanted.places or wanted.on is AlertOn.NEVER:
        return
    more = one.count - len(one.entity_ids)
    told = Told(
        "expiring",
        one.project,
        one.pipe,
        one.flow,
        entity_ids=one.entity_ids,
        more=more,
        goes_at=one.goes_at.astimezone(ZoneInfo(wants.zone)).isoformat(timespec="minutes"),
    )
    send(settings, wanted, told, warn)


def wanted_by(settings: Any, project: str, own: dict[str, Any]) -> Alerts:
    """Return of what to tell whom: what the pipe says, over what its project says. Raises as `store.database.ours`."""
    import msgspec

    return msgspec.convert(own, Alerts).over(_wants_of(settings, project).alerts)


def _wants_of(settings: Any, project: str) -> Wants:
    from integrator.store.database import open_engine
    from integrator.store.projects import SqlProjects

    return SqlProjects(open_engine(settings.database_url)).wants(project)


def send(settings: Any, wanted: Alerts, told: Told, warn: Callable[..., None]) -> dict[str, bool]:
    """Send an alert by each way that is wanted; returns by which it went. What keeps one from going is warned of, by its class alone."""
    ways: dict[str, Callable[[], None]] = {
        "email": lambda: _email(wanted.email or (), told),
        "slack": lambda: _post(told.project, str(wanted.slack), told, slack=True),
        "webhook": lambda: _post(told.project, str(wanted.webhook), told, slack=False),
    }
    went: dict[str, bool] = {}
    for name in wanted.places:
        try:
            ways[name]()
            went[name] = True
        except IntegratorError as fault:
            went[name] = False
            warn("the alert by %s was not sent: %s", name, fault)
        except Exception as fault:  # noqa: BLE001 - whatever a mail server or a library raises; its text may hold an address
            went[name] = False
            warn("the alert by %s was not sent (%s); look at its connection", name, type(fault).__name__)
    _note(settings, told, went, warn)
    return went


def _note(settings: Any, told: Told, went: dict[str, bool], warn: Callable[..., None]) -> None:
    from integrator.actions.acting import Acting
    from integrator.settings import key_of
    from integrator.store.audit import SqlAudit, heads_file
    from integrator.store.database import open_engine

    try:
        audit = SqlAudit(open_engine(settings.database_url), key_of(settings), heads_file(settings.audit_log, settings.home))
        detail: Detail = {"flow": told.flow, "event": told.event, "status": told.status, "run": told.run_id or "", **went}
        Acting("upkeep", "", audit).note("alert.send", told.project, f"{told.project}/{told.pipe}", **detail)
    except IntegratorError as fault:
        warn("the alert is not noted in the audit: %s", fault)


def _email(addresses: Sequence[str], told: Told) -> None:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    from integrator.notifiers.wording import html, subject

    sender = conf.get("email", "from_email", fallback=None) or None
    made = SmtpNotifier(to=list(addresses), from_email=sender, subject=subject(told), html_content=html(told))
    made.notify({})  # not called as Airflow does, which would render its fields


def _post(project: str, name: str, told: Told, *, slack: bool) -> None:
    from integrator.errors import ConfigError, UnavailableError
    from integrator.hooks.integrator_hook import IntegratorHook
    from integrator.notifiers import wording

    with IntegratorHook(f"{project}__{name}").get_conn() as session:
        answer = session.post(session.base_url, json=wording.slack(told) if slack else told.as_dict(), timeout=TIMEOUT_S)
    if answer.status_code >= 500:
        raise UnavailableError(f"{project}/{name} answers {answer.status_code}")
    if answer.status_code >= 300:
        raise ConfigError(f"{project}/{name} refuses it ({answer.status_code}); is the address still good?")


def _with_url(told: Told, instance: Any) -> Told:
    import msgspec

    base = conf.get("api", "base_url", fallback="") or ""
    if not base:
        return told
    return msgspec.structs.replace(told, url=f"{base.rstrip('/')}/dags/{instance.dag_id}/runs/{instance.run_id}")
