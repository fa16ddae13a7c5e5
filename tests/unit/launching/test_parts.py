"""Parts end together: all that they started too, and also when the launcher is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from integrator.launching import sessions
from integrator.launching.parts import Family, Part, PartEndedError

# A part as Airflow is one: its child has a process group of its own and does not end when asked.
STUBBORN = """
import os, signal, sys, time
from pathlib import Path
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(60)
"""


def _part(name: str, code: str, *arguments: str) -> Part:
    return Part(name, (sys.executable, "-c", code, *arguments))


def _wait(done: object, limit_s: float = 10.0) -> None:
    until = time.monotonic() + limit_s
    while not done():  # type: ignore[operator]
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.05)


def _pid_in(file: Path) -> int:
    _wait(lambda: file.exists() and file.read_text())
    return int(file.read_text())


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def quick_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give parts half a second to end, not eight."""
    monkeypatch.setattr(sessions.end, "__defaults__", (0.5,))


@pytest.mark.usefixtures("quick_end")
def test_ending_reaches_what_a_part_started_in_another_group(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    family = Family(tmp_path, lock)
    family.start(_part("stubborn", STUBBORN, str(tmp_path / "pid")), os.environ)
    child = _pid_in(tmp_path / "pid")
    family.check()
    family.end()
    assert not _runs(child)
    assert family.keeper.poll() == 0
    os.close(lock)


@pytest.mark.usefixtures("quick_end")
def test_a_part_that_ends_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    family = Family(tmp_path, lock)
    family.start(_part("fragile", "import sys; print('why it fell'); sys.exit(7)"), os.environ)
    family.processes["fragile"].wait()
    with pytest.raises(PartEndedError, match=r"the fragile ended with exit code 7(?s:.)*why it fell"):
        family.check()
    family.end()
    os.close(lock)


def test_the_keeper_ends_the_parts_of_a_launcher_that_was_killed(tmp_path: Path) -> None:
    launcher = (
        "import os, sys, time; from pathlib import Path; from integrator.launching.parts import Family, Part\n"
        "home = Path(sys.argv[1]); lock = os.open(home / 'lock', os.O_CREAT | os.O_RDWR)\n"
        "part = Part('sleepy', (sys.executable, '-c', sys.argv[2], str(home / 'pid')))\n"
        "Family(home, lock).start(part, os.environ); time.sleep(60)"
    )
    polite = STUBBORN.replace("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "pass")
    with subprocess.Popen([sys.executable, "-c", launcher, str(tmp_path), polite]) as process:
        child = _pid_in(tmp_path / "pid")
        process.send_signal(signal.SIGKILL)
        process.wait()
    _wait(lambda: not _runs(child))
