"""An entity ID may be personal itself: with keep_id: hashed only a keyed hash of it is kept, and the failed records are rerun all the same.

Source: PRODUCT.md P1, P7.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from integrator.engine.hashed_ids import PREFIX, Hasher, KeptId
from integrator.engine.move import Asked
from integrator.model.credential import Credential
from integrator.model.run import FlowReport, Selection, State
from integrator.store.database import open_engine, upgrade
from integrator.store.journal import SqlJournal
from integrator.wiring import Parts
from tests.services.moving import checked, flow, move, parts, plan
from tests.services.system import System, record

PEOPLE = [f"person{n}.canary@example.com" for n in range(6)]


class Desk:
    """A journal in a file, and a source of people whose IDs are their addresses."""

    def __init__(self, folder: Path, system: System) -> None:
        self.folder, self.system = folder, system
        url = f"sqlite:///{folder / 'journal.db'}"
        upgrade(url)
        self.engine = open_engine(url)
        there = Credential("acme", "there", "none", system.url, {"plain_http": True})
        self.parts: Parts = replace(parts(there), journal=SqlJournal(self.engine, stale_after_s=60))
        system.records = [record(n, id=one) for n, one in enumerate(PEOPLE)]

    def plan(self, **changes: Any) -> Any:
        source = {"keep_id": "hashed", "by_id": None, **changes.pop("source", {})}
        return plan(flow(source=source, **changes))

    async def run(self, asked: Asked | None = None, **changes: Any) -> FlowReport:
        return await move(self.parts, self.plan(**changes), asked)

    async def rerun(self, **selection: Any) -> FlowReport:
        return await self.run(Asked(selection=Selection(**selection)))

    def rows(self, *states: State) -> list[Any]:
        return self.parts.journal.failures("acme", "sync", states=states or (State.OPEN, State.WAITING, State.RETRYING))

    def refuse(self, *numbers: int) -> None:
        refused = {PEOPLE[n] for n in numbers}
        self.system.on_write = lambda one: "refuse" if one["ext"] in refused else "ok"

    def kept(self) -> bytes:
        return b"".join(file.read_bytes() for file in self.folder.rglob("*") if file.is_file())


@pytest.fixture
def desk(tmp_path: Path, system: System) -> Iterator[Desk]:
    made = Desk(tmp_path, system)
    yield made
    made.engine.dispose()


async def test_a_hash_is_kept_and_no_id_and_a_rerun_without_by_id_moves_exactly_the_failed_ones(desk: Desk) -> None:
    desk.refuse(1, 4)
    first = await desk.run()
    assert (first.counts.read, first.counts.created, first.counts.failed) == (6, 4, 2)
    assert {len(row.entity_id) for row in desk.rows()} == {len(PREFIX) + 32}
    assert b"canary" not in desk.kept()
    desk.refuse()
    again = await desk.rerun()
    assert (again.counts.read, again.counts.created, again.counts.failed) == (2, 2, 0)
    assert desk.rows() == []
    assert sorted(one["ext"] for one in desk.system.stored) == sorted(PEOPLE)
    assert b"canary" not in desk.kept()


async def test_one_is_chosen_by_its_own_id_or_by_the_hash_that_is_shown(desk: Desk) -> None:
    desk.refuse(1, 4, 5)
    await desk.run()
    shown = {row.entity_id for row in desk.rows()}
    desk.refuse()
    assert (await desk.rerun(entity_ids=(PEOPLE[4],))).counts.created == 1
    left = {row.entity_id for row in desk.rows()}
    assert len(shown - left) == 1
    assert (await desk.rerun(entity_ids=(min(left),))).counts.created == 1
    assert len(desk.rows()) == 1
    assert (await desk.rerun(entity_ids=("nobody@example.com",))).counts.read == 0


async def test_a_later_success_resolves_it_and_a_later_failure_counts(desk: Desk) -> None:
    desk.refuse(2)
    await desk.run()
    await desk.run(
        destination={
            "match": {"params": {"ext": "{ext}"}, "records": "data", "id": "number", "found": "leave", "missing": "create"}
        }
    )
    assert [row.attempts for row in desk.rows()] == [2]
    desk.refuse()
    await desk.run()
    assert desk.rows() == []


async def test_what_is_gone_from_the_list_is_gone_and_what_a_short_list_lacks_is_not(desk: Desk, system: System) -> None:
    desk.refuse(1, 2)
    await desk.run()
    desk.refuse()
    system.records = [one for one in system.records if one["id"] != PEOPLE[1]]
    held = system.records
    system.on_read = lambda asked: web.json_response({"items": held[:1] * (asked.query.get("page") == "1"), "total": len(held)})
    short = {"source": {"pages": {"by": "page_number", "per_page": 100, "total": "total"}}}
    report = await desk.run(Asked(selection=Selection()), **short)
    assert (report.counts.failed, report.counts.skipped) == (2, 0)
    assert {row.code for row in desk.rows()} == {"list_short"}
    system.on_read = lambda _request: None
    report = await desk.rerun()
    assert (report.counts.created, report.counts.skipped, report.counts.failed) == (1, 1, 0)
    assert len(desk.rows(State.GONE)) == 1


async def test_a_record_that_waits_comes_again_without_by_id(desk: Desk, system: System) -> None:
    waits = {"params": {"ext": "{ext}"}, "records": "data", "id": "number", "found": "update", "missing": "later"}
    first = await desk.run(destination={"match": waits})
    assert first.counts.waiting == 6
    assert b"canary" not in desk.kept()
    system.stored = [{"ext": one, "number": n} for n, one in enumerate(PEOPLE[:2])]
    again = await desk.run(destination={"match": waits})
    assert again.counts.updated == 2
    assert len(desk.rows()) == 4


async def test_where_a_run_was_cut_off_nothing_is_counted_twice(desk: Desk, system: System) -> None:
    desk.refuse(3)
    system.on_read = lambda request: web.Response(status=500) if request.query.get("page") == "2" else None
    pages = {"source": {"pages": {"by": "page_number", "per_page": 3}}}
    with pytest.raises(Exception, match="500"):
        await desk.run(**pages)
    system.on_read = lambda _request: None
    report = await desk.run(**pages)
    assert report.counts.failed == 1
    assert sorted(one["ext"] for one in system.stored) == sorted(one for n, one in enumerate(PEOPLE) if n != 3)


def test_two_flows_keep_different_hashes_of_one_id_and_nothing_is_hashed_twice() -> None:
    one, two = Hasher(b"flow one"), Hasher(b"flow two")
    assert one("a") != two("a")
    assert one(one("a")) == one("a")
    assert one("?p1r2") == "?p1r2"
    assert one.given(str(one("a"))) == one.given("a") == one("a")


@given(st.text(min_size=1, max_size=80))
def test_no_id_shows_in_its_hash(entity_id: str) -> None:
    kept = Hasher(b"key")(entity_id)
    if entity_id[0] != "?":
        assert isinstance(kept, KeptId)
        assert len(kept) == len(PREFIX) + 32
        assert entity_id not in kept or len(entity_id) < 4


@pytest.mark.parametrize("changes", [{"keep_id": "hashes"}])
def test_what_it_may_be_is_checked(changes: dict[str, Any]) -> None:
    made = checked(flow(source=changes))
    assert "keep_id" in str(made.faults[0])


def test_combined_records_keep_their_key() -> None:
    made = checked(flow(source={"keep_id": "hashed", "by_id": None}, combine={"by": ["id"], "rows": "rows"}))
    assert any("combined records are read again by their key" in str(one) for one in made.faults)
