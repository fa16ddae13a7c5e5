"""Short ways to do with a journal what the engine does."""

from __future__ import annotations

from integrator.model.run import Counts, Kind, Selection, State, Status
from integrator.store.database import open_engine, upgrade
from integrator.store.journal import SqlJournal
from tests.unit.store.conftest import KEY, Desk

ALL = Selection()


def rows(desk: Desk, *states: State):
    return {row.entity_id: row for row in desk.journal.failures("acme", "orders", states=states or list(State))}


def end(desk: Desk, opened, status=Status.SUCCESS, **more):
    """End a flow run as its owner."""
    desk.journal.close_flow_run(opened.flow_run_id, desk.owners[opened.flow_run_id], status, **more)


def counted(**outcomes: int) -> Counts:
    """Return the numbers of so many records of each outcome."""
    counts = Counts()
    for name, records in outcomes.items():
        counts.count(Kind(name), records)
    return counts


def claim(desk: Desk, opened, selection=ALL, limit=100, *, repeatable=True):
    owner = desk.owners[opened.flow_run_id]
    return desk.journal.claim(KEY, opened.flow_run_id, owner, selection, limit, repeatable=repeatable)


def failed(desk: Desk, *entity_ids: str, **more):
    """A run in which these records failed, and that has ended."""
    opened = desk.open()
    desk.fail(opened, *entity_ids, **more)
    end(desk, opened, Status.PARTIAL)
    desk.clock.pass_s(1)
    return opened


def journal_at(url: str) -> SqlJournal:
    upgrade(url)
    return SqlJournal(open_engine(url), stale_after_s=60)
