"""Announces open failures before retention takes them. Source: PRODUCT.md P6."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Engine, func, or_, select, true

from integrator.model.project import Plan
from integrator.model.retention import IDS_TOLD, Expiring
from integrator.model.run import State
from integrator.store.database import reading
from integrator.store.in_steps import Steps
from integrator.store.projects import SqlProjects
from integrator.store.tables import failures

OPEN = (State.OPEN, State.WAITING, State.RETRYING)
NOTICE = timedelta(hours=48)
"""How long an announced failure stays at least."""
SOON = NOTICE + timedelta(hours=24)
"""How long before its end a failure is announced by a purge that comes once a day."""
TOLERANCE = timedelta(hours=1)
"""By how much one day's purge may come earlier than the other's."""


class Expiry:
    """One project's open failures on their way out.

    Args:
        engine: of the journal.
        plan: how long they are kept.
    """

    def __init__(self, engine: Engine, project: str, plan: Plan, now: datetime) -> None:
        self._engine, self._project, self._plan, self._now = engine, project, plan, now
        self._open = (failures.c.project == project) & failures.c.state.in_(OPEN)
        self._soon = now - timedelta(days=plan.failure_days) + SOON
        self._valid = failures.c.announced_at >= failures.c.last_failed_at

    def expired(self, *, notice: bool) -> ColumnElement[bool]:
        """Return which open failures may go now: those past their days that were announced in time."""
        past = self._open & (failures.c.last_failed_at < self._now - timedelta(days=self._plan.failure_days))
        return past & self._valid & (failures.c.announced_at <= self._now - NOTICE + TOLERANCE) if notice else past

    def due(self) -> list[Expiring]:
        """Return what is to be announced now, flow by flow: nothing that was announced already and has not failed since."""
        return self._by_flow(or_(failures.c.announced_at.is_(None), ~self._valid))

    def soon(self) -> list[Expiring]:
        """Return what goes soon, flow by flow, whether it was announced or not."""
        return self._by_flow(true())

    def _by_flow(self, which: ColumnElement[bool]) -> list[Expiring]:
        f = failures.c
        where = self._open & (f.last_failed_at < self._soon) & which
        with reading(self._engine) as c:
            rows = c.execute(
                select(f.pipe, f.flow, func.count().label("many"), func.min(f.last_failed_at).label("first"), func.min(f.announced_at).label("told"))
                .where(where).group_by(f.pipe, f.flow).order_by(f.pipe, f.flow)
            ).all()  # fmt: skip
            found = []
            for row in rows:
                oldest = select(f.entity_id).where(where, f.pipe == row.pipe, f.flow == row.flow).order_by(f.last_failed_at, f.id)
                ids = tuple(c.scalars(oldest.limit(IDS_TOLD)))
                goes_at = max((row.told or self._now) + NOTICE, row.first + timedelta(days=self._plan.failure_days))
                found.append(Expiring(self._project, row.pipe, row.flow, row.many, ids, goes_at))
        return found

    def announce(self, tell: Callable[[Expiring], None]) -> list[Expiring]:
        """Announce what is due, and note that it was; what cannot be told is not noted, and told the next time."""
        steps, f = Steps(self._engine), failures.c
        mine = (f.project == self._project) & f.announced_at.is_not(None)
        # Failed again, or kept longer by a raised plan: it has another end now, which will be announced anew.
        steps.update(failures, "id", mine & or_(~self._valid, f.last_failed_at >= self._soon), {"announced_at": None})
        found = self.due()
        for one in found:
            tell(one)
        if found:
            new = self._open & (f.last_failed_at < self._soon) & f.announced_at.is_(None)
            steps.update(failures, "id", new, {"announced_at": self._now})
        return found

    def announced(self) -> int:
        """Return how many open failures have been announced and are still there."""
        return Steps(self._engine).count(failures, self._open & self._valid & (failures.c.last_failed_at < self._soon))


def expiring_soon(engine: Engine, plans: Mapping[str, Plan], now: datetime) -> list[Expiring]:
    """Return the open failures of every project that retention takes soon, flow by flow; changes nothing."""
    with reading(engine) as c:
        names = sorted(c.scalars(select(failures.c.project).where(failures.c.state.in_(OPEN)).distinct()))
    wants = SqlProjects(engine)
    known = ((name, plans.get(wants.wants(name).plan)) for name in names)
    return [one for name, plan in known if plan is not None for one in Expiry(engine, name, plan, now).soon()]
