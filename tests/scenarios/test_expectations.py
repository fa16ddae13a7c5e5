"""Silence is an alert too: what a pipe expects of its flows, and has not happened, is told in words."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integrator.engine.expectations import unmet
from integrator.model.run import FlowKey, Pulse
from integrator.model.upkeep import Between, Expect
from tests.scenarios.test_cli import Cli
from tests.scenarios.test_upkeep import pass_minutes
from tests.services.moving import flow
from tests.services.system import System, record

KEY = FlowKey("acme", "sync", "items")
NOW = datetime(2026, 5, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("expect", "pulse", "deployed", "said"),
    [
        (Expect(success_every=DAY), Pulse(NOW - 9 * DAY, NOW - DAY, 5, NOW), NOW, None),
        (
            Expect(success_every=DAY),
            Pulse(NOW - 9 * DAY, NOW - DAY - HOUR, 5, NOW),
            NOW,
            "no run has ended well for 1d 1h; one is expected every 1d",
        ),
        (Expect(success_every=DAY), Pulse(NOW - 2 * DAY, None, 5, NOW), NOW, "no run has ever ended well, since 2d"),
        (Expect(success_every=DAY), Pulse(), NOW - HOUR, None),
        (Expect(success_every=DAY), Pulse(), NOW - 2 * DAY, "it has never run, since 2d"),
        (Expect(records=10), Pulse(last_read=9), NOW, "read 9 records, and at least 10"),
        (Expect(records=10), Pulse(last_read=10), NOW, None),
        (Expect(records=10), Pulse(), NOW, None),
        (Expect(records=Between(at_least=1, at_most=5)), Pulse(last_read=6), NOW, "read 6 records, and at most 5"),
        (Expect(), Pulse(), NOW - 99 * DAY, None),
    ],
)
def test_what_is_not_met_is_said(expect: Expect, pulse: Pulse, deployed: datetime, said: str | None) -> None:
    told = [one.said for one in unmet(KEY, expect, pulse, deployed, NOW)]
    assert told == [] if said is None else said in told[0]


@pytest.fixture
def cli(tmp_path: Path, system: System) -> Cli:
    made = Cli(tmp_path, system)
    system.records = [record(n) for n in range(3)]
    made.pipe(flow(expect={"success_every": "1h", "records": 2}))
    made.pipe(flow(), "other")
    return made


def told(cli: Cli, code: int) -> list[Any]:
    return [(one["pipe"], one["flow"], one["expectation"]) for one in cli("expect", "--json", code=code)]


def test_a_flow_that_falls_silent_or_reads_too_little_is_named(cli: Cli, system: System) -> None:
    assert told(cli, 0) == []  # its file is new
    long_ago = time.time() - 7200
    os.utime(cli.dags / "acme" / "sync.yaml", (long_ago, long_ago))
    assert told(cli, 1) == [("sync", "items", "success_every")]
    cli("run", "acme/sync", "--json")
    assert told(cli, 0) == []
    system.records = system.records[:1]
    cli("run", "acme/sync", "--json")
    assert told(cli, 1) == [("sync", "items", "records")]
    pass_minutes(cli.home / "integrator.db", 61)
    assert told(cli, 1) == [("sync", "items", "success_every"), ("sync", "items", "records")]
    assert "acme/sync, items: no run has ended well for 1h 1m; one is expected every 1h" in cli("expect", "acme/sync", code=1)
    assert "acme/sync, items" in cli("expect", "acme", code=1)
    cli("expect", "acme/other")
    cli("expect", "acme/snyc", code=2)  # what is not there would meet everything
    assert "did you mean 'sync'" in cli.err
    cli("expect", "acne", code=2)
    cli.pipe(flow(expect={"success_every": "1h"}), "sync", paused=True)
    assert told(cli, 0) == []


def test_a_faulty_pipe_is_told_and_the_others_are_looked_at(cli: Cli) -> None:
    cli.pipe({**flow(expect={"records": 1}), "map": {"x": "nonsense("}}, "broken")
    long_ago = time.time() - 7200
    os.utime(cli.dags / "acme" / "sync.yaml", (long_ago, long_ago))
    assert told(cli, 2) == [("sync", "items", "success_every")]
    assert "acme/broken has faults" in cli.err
    (cli.dags / "acme" / "broken.yaml").unlink()
    (cli.dags / "acme" / "broken.yaml").symlink_to("nowhere.yaml")
    assert told(cli, 2) == [("sync", "items", "success_every")]
