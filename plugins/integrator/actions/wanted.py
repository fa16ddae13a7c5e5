"""Changes to what a project wants, as people and programs give them: looked at once, below every door."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from textwrap import wrap
from typing import Annotated, Any
from zoneinfo import available_timezones

import msgspec
from pydantic import AfterValidator, StrictBool, ValidationError

from integrator.errors import FieldsError
from integrator.model.alerts import Alerts
from integrator.model.audit import TEXT_MAX
from integrator.model.hosts import hosts_of
from integrator.model.project import ConsolePolicy, Downloads, Wants
from integrator.model.upkeep import Alerted
from integrator.model.values import Strict
from integrator.registry import near

_NO_PLACE = frozenset({"localtime", "Factory", "posixrules"})
"""What a machine may have among its time zones, and what is another one on the next."""


def _zone(name: str) -> str:
    if name in available_timezones() - _NO_PLACE:  # a name in other letters would do on some machines, and on others not
        return name
    raise ValueError(f"{name[:60]!r} is no IANA time zone, such as Europe/Berlin or UTC")


def _egress(texts: list[str]) -> list[str]:
    return [str(one) for one in hosts_of(texts)]


class Wanted(Strict):
    """What may be given; whatever is left out stays, and null is as usual."""

    console: ConsolePolicy | None = None
    downloads: Downloads | None = None
    plan: str | None = None
    alerts: Alerted | None = None
    zone: Annotated[str, AfterValidator(_zone)] | None = None
    egress: Annotated[list[str], AfterValidator(_egress)] | None = None
    production: StrictBool | None = None
    records_for_standard: StrictBool | None = None


def changed(wants: Wants, given: Mapping[str, object], plans: Collection[str]) -> Wants:
    """Return what a project wants once it is changed.

    Args:
        given: field -> value, as a merge patch has them: a field that is left out stays, null makes it as usual. Source: RFC 7396.
        plans: names of the plans there are.

    Raises:
        FieldsError: something given cannot be used; every fault is told.
    """
    try:
        made = Wanted.model_validate(dict(given))
    except ValidationError as fault:
        raise FieldsError(
            {".".join(map(str, one["loc"]))[:120]: _why(one) for one in fault.errors(include_input=False)}
        ) from None
    if made.plan is not None and made.plan not in plans:
        raise FieldsError({"plan": f"there is no plan {made.plan[:60]!r}; {near(made.plan[:60], plans)}"})
    usual = msgspec.structs.asdict(Wants())
    values = {name: getattr(made, name) for name in made.model_fields_set}
    values = {name: usual[name] if value is None else value for name, value in values.items()}
    values["egress"] = tuple(values.get("egress", wants.egress))
    if isinstance(said := values.get("alerts"), Alerted):
        values["alerts"] = _alerts(wants.alerts, said)
    return msgspec.structs.replace(wants, **values)


def _alerts(now: Alerts, said: Alerted) -> Alerts:
    values: dict[str, Any] = {name: getattr(said, name) or None for name in said.model_fields_set}
    if values.get("email"):
        values["email"] = tuple(values["email"])
    return msgspec.structs.replace(now, **values)


def _why(fault: Any) -> str:
    if fault["type"] == "extra_forbidden":
        known = Alerted.model_fields if len(fault["loc"]) > 1 else Wanted.model_fields
        return f"a project has no such setting; {near(str(fault['loc'][-1])[:60], known)}"
    return str(fault["msg"].removeprefix("Value error, ")[:1].lower() + fault["msg"].removeprefix("Value error, ")[1:])


def differences(before: Wants, after: Wants) -> dict[str, str | int | bool]:
    """Return what was changed, field by field: what it is now; of the hosts that may be reached, which came and which went."""
    was, now = msgspec.to_builtins(before), msgspec.to_builtins(after)
    told: dict[str, str | int | bool] = {}
    for name in (one for one in now if now[one] != was[one]):
        told[name] = now[name] if isinstance(now[name], bool) else str(now[name])
    if "egress" in told:
        del told["egress"]
        came, went = (
            [one for one in a if one not in b] for a, b in ((now["egress"], was["egress"]), (was["egress"], now["egress"]))
        )
        for word, hosts in (("added", came), ("removed", went)):
            # In pieces that no audit cuts: what is put behind many others must be told too.
            pieces = wrap(" ".join(hosts), TEXT_MAX, break_on_hyphens=False)
            told |= {f"egress_{word}{f'_{n}' if n > 1 else ''}": piece for n, piece in enumerate(pieces, 1)}
        told["egress_hosts"] = len(now["egress"])
    return told
