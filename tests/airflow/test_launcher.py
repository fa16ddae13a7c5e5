"""The launcher ends what it began, whatever happens, and starts again from there."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.services.platform import Platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform without the demo; each test starts it over the same home and ends it."""
    platform = Platform(tmp_path_factory.mktemp("launcher"), "--no-demo")
    yield platform
    platform.stop()


def _children(platform: Platform) -> list[psutil.Process]:
    assert platform.process is not None
    return psutil.Process(platform.process.pid).children(recursive=True)


def _gone(processes: list[psutil.Process], limit_s: float) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=limit_s)
    return not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def test_a_busy_port_is_said_a_second_launcher_refused_and_sigterm_ends_every_part(platform: Platform, tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        platform.arguments = ("--no-demo", "--port", str(port))
        platform.start()
        platform.arguments = ("--no-demo",)
    assert f"Port {port} is busy; using " in platform.said()
    second = Platform(tmp_path, home=platform.home).launch()
    assert second.process is not None
    assert second.process.wait(30) == 2
    assert "already runs" in second.said()
    children = _children(platform)
    assert len(children) >= 5
    assert platform.stop(signal.SIGTERM) == 143
    assert _gone(children, 0)
    password = re.search(r"password  (\S+) ", platform.said())
    assert password
    assert password[1] in (platform.home / "env").read_text()


def test_the_files_of_the_home_are_for_this_user_only(platform: Platform) -> None:
    assert stat.S_IMODE(platform.home.stat().st_mode) == 0o700
    assert [file.name for file in platform.home.iterdir() if file.is_file() and stat.S_IMODE(file.stat().st_mode) & 0o077] == []


def test_a_killed_launcher_leaves_nothing_behind_and_the_next_start_is_quick(platform: Platform) -> None:
    platform.start()
    children = _children(platform)
    assert platform.stop(signal.SIGKILL) == -signal.SIGKILL
    platform.start(120)  # 27 s on a machine with nothing else to do; the tests have other things to do beside it
    assert _gone(children, 0)
    assert "password  the line" in platform.said()


def test_the_end_of_one_part_ends_all_and_is_told(platform: Platform) -> None:
    children = _children(platform)
    scheduler = next(one for one in children if "scheduler" in " ".join(one.cmdline()))
    os.kill(scheduler.pid, signal.SIGKILL)
    assert platform.process is not None
    assert platform.process.wait(30) == 1
    assert _gone(children, 0)
    assert "the scheduler ended by signal 9" in platform.said()
    assert "scheduler.log" in platform.said()
