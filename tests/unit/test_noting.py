"""What is settled is noted once, also when the wait for the journal is cancelled while the journal writes."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from integrator.engine.marks import Marker
from integrator.engine.settling import Settling
from integrator.model.run import Counts, Kind, Notes, OpenedFlowRun


class SlowJournal:
    """Takes its time over the first note, and then takes it or refuses it."""

    def __init__(self, *, refuses: bool) -> None:
        self.refuses, self.created = refuses, 0
        self.begun, self.may_end = threading.Event(), threading.Event()

    def note(self, _flow_run_id: str, _owner: str, notes: Notes) -> None:
        first, _ = not self.begun.is_set(), self.begun.set()
        assert self.may_end.wait(10)
        if first and self.refuses:
            raise OSError("the disk is full")
        self.created += notes.counts.created


@pytest.mark.parametrize("cancels", [1, 2])
@pytest.mark.parametrize("refuses", [False, True])
async def test_a_note_that_is_being_written_when_it_is_cancelled_is_written_once(refuses: bool, cancels: int) -> None:
    journal = SlowJournal(refuses=refuses)
    opened = OpenedFlowRun("run", "flow run", False, Counts(), datetime.now(UTC))
    settling = Settling(journal, opened, "me", [], Marker(b"k" * 32), None)  # type: ignore[arg-type]
    settling.open_page(1, None)
    settling.expect(1, 3)
    for entity_id in "abc":
        settling.settle(1, entity_id, Kind.CREATED)
    noting = asyncio.create_task(settling.note())
    while not journal.begun.is_set():
        await asyncio.sleep(0.001)
    for _time in range(cancels):
        noting.cancel()
        await asyncio.sleep(0)
    journal.may_end.set()
    await asyncio.gather(noting, return_exceptions=True)
    await settling.finish()
    settling.close()
    assert (journal.created, settling.counts.created) == (3, 3)
