"""Notices an edited pipe and touches its stub, so that Airflow reads that folder again within seconds.

Airflow looks only at the times of the stubs: unchanged pipes cost nothing. `python -m integrator.watcher dags`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

STUB = "load_pipes.py"
FAULTS = "faults.py"
EVERY_S = 1.0
AHEAD_S = 2.0
"""How far ahead a stub's new time lies: Airflow compares it with the end of a parse, so a touch during one would be lost."""

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


def watch(dags: Path, every_s: float = EVERY_S) -> None:
    """Look again and again, for ever."""
    before = look(dags)
    said = False
    while True:
        time.sleep(every_s)
        now = look(dags)
        if now == before:
            continue
        changed = {path for path, _ in before.items() ^ now.items()}
        before = now
        if (refused := touch(stubs_of(changed, dags))) and not said:
            said = True
            print(f"{refused[0]} cannot be touched, so edited pipes are seen only at Airflow's own pace", flush=True)


if __name__ == "__main__":
    watch(Path(sys.argv[1]).resolve())
