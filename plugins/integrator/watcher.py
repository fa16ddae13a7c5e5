"""Notices an edited pipe, or that a project has another time zone, and touches its stubs, so that Airflow reads that folder again within seconds.

Airflow looks only at the times of the stubs: unchanged pipes cost nothing. `python -m integrator.watcher dags`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

STUB = "load_pipes.py"
FAULTS = "faults.py"
EVERY_S = 1.0
AHEAD_S = 2.0
"""How far ahead a stub's new time lies: Airflow compares it with the end of a parse, so a touch during one would be lost."""
AGAIN_S = 10.0
"""A parse that takes longer than that, on a busy machine, ends after the new time all the same: so each stub is touched once more."""
ASK_S = 3.0
"""How often the database is asked for the projects' time zones."""

Zones = dict[str, str] | None
"""Project -> time zone; None while the database does not answer."""
Seen = dict[str, tuple[int, int]]


def look(dags: Path) -> Seen:
    """Return path -> (change in ns, size in bytes) of every pipe file."""
    seen: Seen = {}
    folders = [str(dags)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.name.endswith((".yaml", ".yml")):
                        stat = entry.stat()
                        seen[entry.path] = (stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:  # it went away while we looked
            continue
    return seen


def stubs_of(changed: Iterable[str], dags: Path) -> set[Path]:
    """Return the stubs that must be read again: each folder's own, else its nearest parent's, and the list of all faults."""
    found = {stub for path in changed if (stub := _stub(Path(path).parent, dags))}
    faults = dags / FAULTS
    return found | {faults} if found and faults.is_file() else found


def _stub(folder: Path, dags: Path) -> Path | None:
    for place in (folder, *folder.parents):
        if (place / STUB).is_file():
            return place / STUB
        if place == dags:
            break
    return None


def touch(stubs: Iterable[Path]) -> list[Path]:
    """Give stubs a time a little ahead; returns those that could not be touched."""
    moment = time.time() + AHEAD_S
    refused = []
    for stub in stubs:
        try:
            os.utime(stub, (moment, moment))
        except FileNotFoundError:
            continue
        except OSError:
            refused.append(stub)
    return refused


def stubs_below(dags: Path, projects: Iterable[str] | None) -> set[Path]:
    """Return every stub of these projects; of all of them for None."""
    folders = dags.iterdir() if projects is None else (dags / name for name in projects)
    return {stub for folder in folders if folder.is_dir() for stub in folder.rglob(STUB)}


def rescheduled(before: Zones, now: Zones, dags: Path) -> set[Path]:
    """Return the stubs to be read again since times have changed: of projects with another zone, and all once zones can be read again.

    While they could not, pipes may have been built without a schedule.
    """
    if now is None or now == before:
        return set()
    return stubs_below(dags, None if before is None else {name for name, _zone in before.items() ^ now.items()})


def zones_reader() -> Callable[[], Zones]:
    """Return what reads the projects' time zones, where `[integrator] sql_alchemy_conn` says in which database; else nothing changes."""
    from integrator import settings

    of = settings.load(settings.environment())
    if not of.sql_alchemy_conn:
        return dict

    from msgspec import MsgspecError

    from integrator.errors import IntegratorError
    from integrator.store.database import open_engine
    from integrator.store.projects import SqlProjects

    projects = SqlProjects(open_engine(of.database_url))

    def read() -> Zones:
        try:
            return projects.zones()
        except (IntegratorError, MsgspecError):
            return None  # whoever builds DAGs says so

    return read


def watch(dags: Path, every_s: float = EVERY_S, read_zones: Callable[[], Zones] = dict, ask_s: float = ASK_S,
          again_s: float = AGAIN_S) -> None:  # fmt: skip
    """Look again and again, for ever."""
    before, zones = look(dags), read_zones()
    asked, said = time.monotonic(), False
    again: dict[Path, float] = {}  # stub -> when it is touched once more
    while True:
        time.sleep(every_s)
        now, stubs = look(dags), set[Path]()
        if time.monotonic() - asked >= ask_s:
            asked, was, zones = time.monotonic(), zones, read_zones()
            stubs = rescheduled(was, zones, dags)
        if now != before:
            stubs |= stubs_of({path for path, _ in before.items() ^ now.items()}, dags)
            before = now
        moment = time.monotonic()
        due = {stub for stub, at in again.items() if at <= moment}
        again = {stub: at for stub, at in again.items() if at > moment} | dict.fromkeys(stubs, moment + again_s)
        if (refused := touch(stubs | due)) and not said:
            said = True
            print(f"{refused[0]} cannot be touched, so edited pipes are seen only at Airflow's own pace", flush=True)


if __name__ == "__main__":
    watch(Path(sys.argv[1]).resolve(), read_zones=zones_reader())
