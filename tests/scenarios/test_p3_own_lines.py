"""P3: a pipe and its deployed functions may write lines of their own to its console log, under the same rules as everything in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integrator.mapping.functions import FUNCTIONS
from integrator.mapping.logged import log
from integrator.mapping.transforms import load_transforms
from integrator.model.console import Content
from tests.services.console import SECRET, Desk
from tests.services.moving import checked, failures, flow, move, plan
from tests.services.system import System, record

LOG = {"what": {"text": "{name} costs {amount}"}, "password": "password", "note": "note"}


@pytest.fixture
def desk(tmp_path: Path, system: System) -> Iterator[Desk]:
    system.records = [record(n, password="canary-in-record", note=f"said {SECRET}") for n in range(3)]
    made = Desk(tmp_path, system)
    yield made
    made.engine.dispose()


async def lines_of(desk: Desk, **changes: Any) -> list[dict[str, Any]]:
    report = await desk.run(**changes)
    assert report.counts.failed == 0
    return [one for one in desk.lines() if "log" in one]


async def test_a_record_s_line_stands_in_the_log_with_secrets_hidden(desk: Desk) -> None:
    desk.enable(Content.REQUEST_BODY)
    found = await lines_of(desk, log=LOG)
    assert [(one["log"], one["entity_id"]) for one in found] == [("log", "r0"), ("log", "r1"), ("log", "r2")]
    assert "costs" in found[0]["values"]
    text = str(found)
    assert "canary-in-record" not in text
    assert SECRET not in text


@pytest.mark.parametrize("contents", [(), (Content.CALL, Content.HEADERS, Content.PARAMS, Content.RESPONSE_BODY)])
async def test_without_the_log_or_without_bodies_in_it_there_is_none(desk: Desk, contents: tuple[Content, ...]) -> None:
    if contents:
        desk.enable(*contents)
    assert await lines_of(desk, log=LOG) == []


async def test_a_line_that_cannot_be_made_costs_the_line_and_not_the_record(desk: Desk, system: System) -> None:
    system.records = [record(1, amount="no number")]
    desk.enable(Content.REQUEST_BODY)
    [line] = await lines_of(desk, map={"ext": "id"}, log={"twice": "number(amount) * 2"})
    assert "cannot_be_made" in line["values"]
    assert "no number" not in line["values"]


async def test_parts_and_look_ups_can_be_logged(desk: Desk, system: System) -> None:
    system.records = [record(1, lines=[{"no": "1", "sku": "a"}, {"no": "2", "sku": "b"}])]
    desk.enable(Content.REQUEST_BODY)
    found = await lines_of(
        desk,
        split={"each": "lines", "key": "no"},
        map={"ext": {"text": "{parent.id}-{no}"}, "sku": "sku"},
        log={"sku": "sku", "of": "parent.id"},
    )
    assert [one["entity_id"] for one in found] == ["r1", "r1"]
    assert sorted(one["values"] for one in found) == ['{"sku":"a","of":"r1"}', '{"sku":"b","of":"r1"}']


async def test_a_member_that_only_the_log_reads_is_read_and_does_not_go_on(desk: Desk, system: System) -> None:
    """Without the log the mapping hands a body on that nobody took apart; with it, the member is there all the same."""
    system.records = [record(1, deep={"a": {"b": "seen"}})]
    desk.enable(Content.REQUEST_BODY)
    [line] = await lines_of(desk, map={"ext": "id", "name": "name"}, log={"b": "deep.a.b"})
    assert line["values"] == '{"b":"seen"}'
    assert "deep" not in str(system.stored)


async def test_a_deployed_function_logs(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "transforms").mkdir()
    (tmp_path / "transforms" / "house.py").write_text(
        "from integrator.mapping.logged import log\n\n\n"
        "def house_name(name):\n    log('a name', name=name, token='canary-token', odd=object)\n    return name.upper()\n"
    )
    monkeypatch.setattr("integrator.mapping.transforms.FUNCTIONS", FUNCTIONS)
    assert load_transforms(tmp_path / "transforms") == []
    try:
        changes = {"map": {"ext": "id", "name": "house_name(name)"}}
        assert await lines_of(desk, **changes) == []
        desk.enable(Content.REQUEST_BODY)
        found = await lines_of(desk, **changes)
    finally:
        FUNCTIONS.pop("house_name")
    assert [one["log"] for one in found] == ["a name"] * 3
    assert "canary-token" not in str(found)
    log("outside of any run it goes nowhere")


def test_a_faulty_line_is_a_fault_of_the_pipe() -> None:
    made = checked(flow(log={"x": "nme +"}))
    assert [str(one.path) for one in made.faults] == ["flows.items.log.x"]


async def test_what_is_logged_of_a_failed_record_is_in_the_log_only(desk: Desk, system: System) -> None:
    system.on_write = lambda _record: "refuse"
    desk.enable(Content.REQUEST_BODY)
    made = plan(flow(log={"name": "name"}))
    await move(desk.parts, made)
    assert len([one for one in desk.lines() if one.get("log") == "log"]) == 3
    assert "name" not in str(failures(desk.parts))
