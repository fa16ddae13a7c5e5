"""An edited, new or removed pipe has its stub touched, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from integrator import watcher


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    """Two projects, one with a sub-folder without a stub, and the list of faults; all of them old."""
    for name in ("one/a.yaml", "one/load_pipes.py", "two/b.yml", "two/load_pipes.py", "two/deep/c.yaml", "faults.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (1_000, 1_000))
    return tmp_path


def _stubs_after(dags: Path, change: object) -> set[str]:
    before = watcher.look(dags)
    change()  # type: ignore[operator]
    changed = {path for path, _ in before.items() ^ watcher.look(dags).items()}
    return {str(stub.relative_to(dags)) for stub in watcher.stubs_of(changed, dags)}


def test_an_edit_a_new_file_and_a_removed_file_are_noticed(dags: Path) -> None:
    assert _stubs_after(dags, lambda: (dags / "one/a.yaml").write_text("changed")) == {"one/load_pipes.py", "faults.py"}
    assert _stubs_after(dags, lambda: (dags / "two/new.yaml").touch()) == {"two/load_pipes.py", "faults.py"}
    assert _stubs_after(dags, (dags / "two/b.yml").unlink) == {"two/load_pipes.py", "faults.py"}
    assert _stubs_after(dags, (dags / "two/deep/c.yaml").unlink) == {"two/load_pipes.py", "faults.py"}
    assert _stubs_after(dags, lambda: (dags / "one/notes.txt").touch()) == set()


def test_a_touched_stub_is_a_little_ahead_of_now(dags: Path) -> None:
    assert watcher.touch([dags / "one/load_pipes.py", dags / "gone.py"]) == []
    assert 1 < (dags / "one/load_pipes.py").stat().st_mtime - time.time() <= watcher.AHEAD_S


def test_a_folder_that_cannot_be_written_is_said_once(dags: Path) -> None:
    # Root may touch anything, so the refusal comes from a stand-in for the system call.
    code = (
        "import os, sys; from pathlib import Path; from integrator import watcher\n"
        "def refuse(*_): raise PermissionError\n"
        "watcher.os.utime = refuse\n"
        "watcher.watch(Path(sys.argv[1]), 0.05)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(dags)], stdout=subprocess.PIPE, text=True) as process:
        time.sleep(0.6)
        for number in range(3):
            (dags / "one/a.yaml").write_text("x" * (number + 20))
            time.sleep(0.2)
        process.terminate()
        said = process.communicate()[0]
    assert said.count("cannot be touched") == 1


def _old(dags: Path) -> None:
    for stub in dags.rglob("*.py"):
        os.utime(stub, (1_000, 1_000))


def _touched(dags: Path) -> set[str]:
    return {str(stub.relative_to(dags)) for stub in dags.rglob("*.py") if stub.stat().st_mtime > 1_000}


BERLIN = {"one": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("before", "now", "stubs"),
    [
        ({}, BERLIN, {"one/load_pipes.py", "one/deep/load_pipes.py"}),
        (BERLIN, {}, {"one/load_pipes.py", "one/deep/load_pipes.py"}),
        (BERLIN, {"one": "UTC", "two": "UTC"}, {"one/load_pipes.py", "one/deep/load_pipes.py", "two/load_pipes.py"}),
        (BERLIN, BERLIN, set()),
        (BERLIN, {**BERLIN, "gone": "UTC"}, set()),
        (BERLIN, None, set()),
        (None, None, set()),
        (None, BERLIN, {"one/load_pipes.py", "one/deep/load_pipes.py", "two/load_pipes.py"}),
    ],
)
def test_another_zone_touches_the_project_s_stubs_and_all_once_zones_can_be_read_again(
    dags: Path, before: watcher.Zones, now: watcher.Zones, stubs: set[str]
) -> None:
    (dags / "one/deep").mkdir()
    (dags / "one/deep/load_pipes.py").touch()
    assert {str(stub.relative_to(dags)) for stub in watcher.rescheduled(before, now, dags)} == stubs


def test_a_zone_that_is_changed_reaches_the_stubs_although_nobody_touches_a_file(dags: Path, tmp_path: Path) -> None:
    from integrator.model.project import Wants
    from integrator.store.database import open_engine, upgrade
    from integrator.store.projects import SqlProjects

    url = f"sqlite:///{tmp_path / 'journal.db'}"
    code = (
        "import sys; from pathlib import Path; from integrator import watcher\n"
        "watcher.watch(Path(sys.argv[1]), 0.05, watcher.zones_reader(), 0.1)"
    )
    environ = {**os.environ, "AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": url, "INTEGRATOR_HOME": str(tmp_path / "home")}
    with subprocess.Popen([sys.executable, "-c", code, str(dags)], env=environ) as process:
        try:
            time.sleep(1.5)
            assert process.poll() is None
            assert _touched(dags) == set()  # there are no tables yet
            upgrade(url)
            _until(lambda: _touched(dags) == {"one/load_pipes.py", "two/load_pipes.py"})
            _old(dags)
            SqlProjects(open_engine(url)).set("two", Wants(zone="Asia/Tokyo"), "a test")
            _until(lambda: _touched(dags) == {"two/load_pipes.py"})
        finally:
            process.terminate()


def _until(done: Callable[[], bool], most_s: float = 15) -> None:
    until = time.monotonic() + most_s
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_stub_is_touched_once_more_since_a_slow_parse_may_end_after_its_new_time(dags: Path) -> None:
    code = "import sys; from pathlib import Path; from integrator import watcher; watcher.watch(Path(sys.argv[1]), 0.05, again_s=0.5)"
    with subprocess.Popen([sys.executable, "-c", code, str(dags)]) as process:
        try:
            _old(dags)
            time.sleep(1.0)
            assert _touched(dags) == set()
            (dags / "one/new.yaml").write_text("flows: {}")
            stub = dags / "one/load_pipes.py"
            _until(lambda: stub.stat().st_mtime > 1_000)
            first = stub.stat().st_mtime
            _until(lambda: stub.stat().st_mtime > first)
            second = stub.stat().st_mtime
            time.sleep(1.2)
            assert stub.stat().st_mtime == second, "once more, and then it is left alone"
        finally:
            process.terminate()
