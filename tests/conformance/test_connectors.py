"""Every registered connector: reads all, by ID, creates, matches, updates, fails by record, and reruns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from integrator.connectors.memory import STORES
from integrator.registry import CONNECTORS
from tests.services.moving import MATCH, failures, flow, move, parts, plan, rerun
from tests.services.system import System, record


class Rest:
    def __init__(self, system: System) -> None:
        self.system = system

    def flow(self, **more: Any) -> dict[str, Any]:
        return flow(**more)

    def parts(self) -> Any:
        return parts(self.system.credential())

    def fill(self, records: list[Any]) -> None:
        self.system.records = records

    @property
    def stored(self) -> list[dict[str, Any]]:
        return self.system.stored


class Memory(Rest):
    def __init__(self, system: System) -> None:
        del system
        STORES.clear()

    def flow(self, **more: Any) -> dict[str, Any]:
        made = flow(**more)
        for end in ("source", "destination"):
            made[end] |= {"connector": "memory", "credential": None}
            made[end] = {k: v for k, v in made[end].items() if v is not None and k != "by_id"}
        return made

    def parts(self) -> Any:
        return parts()

    def fill(self, records: list[Any]) -> None:
        STORES["/items"] = records

    @property
    def stored(self) -> list[dict[str, Any]]:
        return STORES.setdefault("/orders", [])


KINDS = {"rest": Rest, "memory": Memory}


def test_every_connector_is_tried() -> None:
    assert set(KINDS) == set(CONNECTORS)


@pytest.fixture(params=KINDS)
def end(request: pytest.FixtureRequest, system: System) -> Iterator[Rest]:
    yield KINDS[request.param](system)
    STORES.clear()


@pytest.mark.parametrize("total", [0, 1, 100, 101, 250])
async def test_moves_every_record_once(end: Rest, total: int) -> None:
    end.fill([record(n) for n in range(total)])
    report = await move(end.parts(), plan(end.flow()))
    assert (report.counts.read, report.counts.created) == (total, total)
    assert sorted(one["ext"] for one in end.stored) == sorted(f"r{n}" for n in range(total))


async def test_matches_and_updates(end: Rest) -> None:
    end.fill([record(n) for n in range(5)])
    compiled, made = plan(end.flow(destination={"match": {**MATCH, "found": "update"}})), end.parts()
    assert (await move(made, compiled)).counts.created == 5
    end.fill([record(n, name="new") for n in range(5)])
    assert (await move(made, compiled)).counts.updated == 5
    assert {one["name"] for one in end.stored} == {"new"}
    assert len(end.stored) == 5


async def test_a_bad_record_fails_alone_and_is_rerun(end: Rest) -> None:
    end.fill([record(0), record(1, amount="x"), record(2), "no record"])
    compiled, made = plan(end.flow(map={"ext": "id", "n": "amount * 2"}, tolerate=5)), end.parts()
    report = await move(made, compiled)
    assert (report.counts.created, report.counts.failed) == (2, 2)
    end.fill([record(0), record(1, amount=4)])
    assert (await rerun(made, compiled)).counts.created == 1
    assert set(failures(made)) == {"?p0r3"}
    assert {"ext": "r1", "n": 8} in end.stored
