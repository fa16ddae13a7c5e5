"""P3: a console log is off unless switched on, holds what was chosen and no secret, never stands in a run's way, and never comes back once deleted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integrator.errors import ConfigError, IntegratorError, StopRunError
from integrator.model.console import Content, LogState
from integrator.model.project import ConsolePolicy, Wants
from integrator.model.run import FlowReport
from integrator.store import console_writer
from integrator.store.console import SqlConsole
from integrator.store.console_deleting import delete_logs, left_over
from integrator.store.console_files import FolderObjects, Objects
from integrator.store.projects import SqlProjects
from tests.services.console import SECRET, Desk
from tests.services.system import System, record

EVERYTHING = frozenset(Content)


@pytest.fixture
def desk(tmp_path: Path, system: System) -> Iterator[Desk]:
    system.records = [record(n, password="canary-in-record", note=f"said {SECRET}") for n in range(3)]
    made = Desk(tmp_path, system)
    yield made
    made.engine.dispose()


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch) -> Callable[[Objects], None]:
    """Let logs be written to another store."""

    def use(objects: Objects) -> None:
        monkeypatch.setattr("integrator.wiring.objects_of", lambda _settings: objects)

    return use


async def test_it_is_off_unless_somebody_switched_it_on(desk: Desk, tmp_path: Path) -> None:
    await desk.run()
    assert desk.console.logs() == []
    assert not (tmp_path / "console").exists()
    desk.enable(Content.CALL)
    assert desk.console.disable("acme", "sync")
    assert not desk.console.disable("acme", "sync")
    await desk.run()
    assert desk.console.logs() == []


@pytest.mark.parametrize("content", list(Content))
async def test_each_content_is_switched_by_itself(desk: Desk, content: Content) -> None:
    desk.enable(content)
    await desk.run()
    lines = desk.lines()
    assert lines
    allowed = {
        Content.CALL: {"method", "url", "ms"}, Content.HEADERS: {"request_headers", "response_headers"}, Content.PARAMS: {"params"},
        Content.REQUEST_BODY: {"request_body"}, Content.RESPONSE_BODY: {"response_body"},
    }[content]  # fmt: skip
    for line in lines:
        assert set(line) - {"at", "system", "status"} <= allowed
    assert any(set(line) & allowed for line in lines)


async def test_everything_is_logged_but_no_secret(desk: Desk, system: System, tmp_path: Path) -> None:
    system.tell = lambda: {"Set-Cookie": "session=canary-cookie", "X-Echo": f"Bearer {SECRET}", "X-Auth-Token": "canary-token"}
    desk.enable(*EVERYTHING)
    report = await desk.run(source={"params": {"api_key": "canary-param", "status": "open"}})
    assert report.counts.created == 3
    text = desk.text()
    assert "canary" not in text
    assert "***" in text
    lines = desk.lines()
    assert [line["status"] for line in lines] == [200, 200, 201, 201, 201]
    assert lines[0]["params"]["status"] == ["open"]
    assert "name 1" in lines[0]["response_body"]
    assert json.loads(lines[2]["request_body"])["ext"].startswith("r")
    [log] = desk.console.logs()
    assert (log.state, log.lines, log.dropped, log.fault) == (LogState.CLOSED, 5, 0, None)
    assert log.run_id == report.run_id
    [file] = [one for one in (tmp_path / "console").rglob("*") if one.is_file()]
    assert file.relative_to(tmp_path / "console").as_posix() == f"acme/sync/{report.run_id}/items-1-00000.jsonl.gz"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777, (tmp_path / "console").stat().st_mode & 0o777) == (
        0o600,
        0o700,
        0o700,
    )


async def test_lost_answers_and_refusals_stand_there_too(desk: Desk, system: System) -> None:
    system.on_write = lambda one: {"r0": "drop_after", "r1": "refuse"}.get(one["ext"], "ok")
    desk.enable(*EVERYTHING)
    await desk.run(tolerate=5)
    lines = desk.lines()
    assert [line["failed"] for line in lines if "failed" in line] == ["lost"]
    assert 422 in [line["status"] for line in lines]
    assert "canary" not in desk.text()


async def test_a_policy_forbids_it_or_asks_why(desk: Desk) -> None:
    projects = SqlProjects(desk.engine)
    projects.set("acme", Wants(console=ConsolePolicy.REASON), "a test")
    with pytest.raises(ConfigError, match="asks for a reason"):
        desk.enable(Content.CALL)
    assert desk.enable(Content.CALL, reason="order 17 is missing").reason == "order 17 is missing"
    projects.set("acme", Wants(console=ConsolePolicy.FORBID), "a test")
    assert desk.console.switch("acme", "sync") is None  # what was on is off
    with pytest.raises(ConfigError, match="forbids console logs"):
        desk.enable(Content.CALL, reason="x")
    await desk.run()
    assert desk.console.logs() == []
    assert projects.every() == {"acme": Wants(console=ConsolePolicy.FORBID)}
    for wrong in ({"hours": 0}, {"hours": 10_000}, {"max_mb": 0}):
        projects.set("acme", Wants(), "a test")
        with pytest.raises(ConfigError, match="on for up to"):
            desk.enable(Content.CALL, **wrong)  # type: ignore[arg-type]


async def test_it_switches_itself_off(desk: Desk) -> None:
    desk.enable(Content.CALL, hours=1)
    later = SqlConsole(desk.engine, lambda: datetime.now(UTC) + timedelta(hours=1, seconds=1))
    assert later.switch("acme", "sync") is None
    assert later.switches() == []


async def during(desk: Desk, system: System, act: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> FlowReport:
    """Run 60 records, and do something in the middle."""
    monkeypatch.setattr(console_writer, "FLUSH_S", 0.05)
    system.records = [record(n) for n in range(60)]
    system.latency_s = 0.05
    running = asyncio.create_task(desk.run(destination={"in_flight": 4}))
    while len(system.stored) < 20 or not any(log.objects for log in desk.console.logs(deleted=True)):
        await asyncio.sleep(0.01)
    await asyncio.to_thread(act)
    return await running


async def test_switching_off_takes_effect_at_once(desk: Desk, system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.enable(Content.CALL, Content.REQUEST_BODY)
    report = await during(desk, system, lambda: desk.console.disable("acme", "sync"), monkeypatch)
    assert report.counts.created == 60
    [log] = desk.console.logs()
    assert 0 < log.lines < 62
    assert (log.fault, log.lines + log.dropped <= 62) == ("switched_off", True)


async def test_a_run_uses_the_switch_as_it_was_when_it_began(desk: Desk, system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.enable(Content.CALL)
    await during(desk, system, lambda: desk.enable(*EVERYTHING), monkeypatch)
    assert len(desk.lines()) == 62
    assert not any("request_body" in line for line in desk.lines())


async def test_what_is_deleted_while_the_run_goes_on_never_comes_back(
    desk: Desk, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.enable(*EVERYTHING)
    told = {}
    report = await during(
        desk, system, lambda: told.update(delete_logs(desk.console, desk.objects, desk.console.logs())), monkeypatch
    )
    assert report.counts.created == 60
    assert told["logs"] == 1
    assert told["objects"] >= 1
    assert [one for one in (tmp_path / "console").rglob("*") if one.is_file()] == []
    assert left_over(desk.console, desk.objects, None, None) == []
    assert desk.console.logs() == []
    [log] = desk.console.logs(deleted=True)
    assert delete_logs(desk.console, desk.objects, [log]) == {"logs": 0, "objects": 0}  # may be done again
    assert not desk.console.note(log, objects=1, size=1, lines=1)


class Slow(FolderObjects):
    """Takes a second for everything."""

    def put(self, key: str, data: bytes) -> None:
        time.sleep(1)
        super().put(key, data)


class Late(FolderObjects):
    """Is deleted from just before a part arrives."""

    def __init__(self, folder: Path, desk: Callable[[], Desk]) -> None:
        super().__init__(folder)
        self.desk = desk

    def put(self, key: str, data: bytes) -> None:
        delete_logs(self.desk().console, self, self.desk().console.logs())
        super().put(key, data)


async def test_a_part_that_was_on_its_way_when_its_log_was_deleted_goes_again(
    desk: Desk, tmp_path: Path, through: Callable[[Objects], None]
) -> None:
    objects = Late(tmp_path / "console", lambda: desk)
    through(objects)
    desk.enable(*EVERYTHING)
    assert (await desk.run()).counts.created == 3
    assert [one for one in (tmp_path / "console").rglob("*") if one.is_file()] == []


async def test_a_slow_store_does_not_slow_a_run(
    desk: Desk, system: System, tmp_path: Path, through: Callable[[Objects], None]
) -> None:
    system.records = [record(n) for n in range(40)]
    system.latency_s = 0.05
    through(Slow(tmp_path / "slow"))
    began = time.monotonic()
    await desk.run(destination={"in_flight": 2})
    without_s = time.monotonic() - began
    system.stored.clear()
    desk.enable(Content.CALL)
    began = time.monotonic()
    assert (await desk.run(destination={"in_flight": 2})).counts.created == 40
    assert time.monotonic() - began < without_s + 1.6  # the end waits for a second at most


class Broken(FolderObjects):
    def put(self, key: str, data: bytes) -> None:
        raise StopRunError("the disk is full")


async def test_a_store_that_fails_costs_the_log_and_not_the_records(
    desk: Desk, tmp_path: Path, through: Callable[[Objects], None]
) -> None:
    through(Broken(tmp_path / "x"))
    desk.enable(*EVERYTHING)
    assert (await desk.run()).counts.created == 3
    [log] = desk.console.logs()
    assert (log.objects, log.lines, log.dropped, log.fault) == (0, 0, 5, "store_fails")


async def test_a_log_is_bounded(desk: Desk, system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    import random

    system.records = [
        record(n, blob=" ".join(f"{random.Random(n * 10_000 + i).random():.5f}" for i in range(10_000))) for n in range(40)
    ]
    monkeypatch.setattr(console_writer, "PART_BYTES", 1 << 18)
    monkeypatch.setattr(console_writer, "END_MIN_S", 30.0)
    desk.enable(*EVERYTHING, max_mb=1)
    report = await desk.run(
        source={"pages": {"by": "page_number", "per_page": 5}},
        map={"ext": "id", "name": "name", "amount": "amount", "blob": "blob"},
    )
    assert report.counts.created == 40
    [log] = desk.console.logs()
    assert log.fault == "size_cap"
    assert 0 < log.bytes <= 1 << 20
    assert log.dropped > 0


def test_names_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "console")
    for key in ("../x", "a/../../x", "/etc/x"):
        with pytest.raises(IntegratorError):
            objects.put(key, b"x")
    assert not (tmp_path / "x").exists()
    assert list(objects.names("")) == []
    assert objects.delete("") == 0
    with pytest.raises(KeyError):
        objects.get("a/b")


def test_a_half_written_file_is_deleted_too(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "console")
    objects.put("acme/sync/run/items-1-00000.jsonl.gz", b"x")
    half = tmp_path / "console" / "acme" / "sync" / "run" / ".items-1-00001.jsonl.gz.new"
    half.write_bytes(b"half")
    assert objects.delete("acme/sync/run/items-1-") == 2
    assert list((tmp_path / "console").rglob("*")) == []


def test_two_attempts_of_one_flow_have_logs_of_their_own(desk: Desk) -> None:
    one, two = (desk.console.begin("acme", "sync", "run", "items") for _ in range(2))
    assert (one.attempt, two.attempt) == (1, 2)
    assert one.prefix != two.prefix
