"""What it costs to purge a million failures: how long it takes and how much memory, and how long another writer waits meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from tests.services.postgres import start_postgres

from integrator.store.database import open_engine, upgrade, writing
from integrator.store.tables import failures

AIM_WAIT_S = 1.0
FEW = 1000
HASH_KEY = "A" * 43 + "="


def measure_purge(count: int) -> list[dict[str, Any]]:
    """Purge so many failures on each database; returns what was measured."""
    found = []
    for kind in ("sqlite", "postgresql"):
        with _database(kind) as (url, folder):
            upgrade(url)
            little = _purged(url, folder, FEW)["peak_mb"]
            found.append({"database": kind, "failures": count, **_purged(url, folder, count), "peak_mb_of_few": little})
            print(found[-1], file=sys.stderr, flush=True)
    return found


def purge_table(found: list[dict[str, Any]]) -> str:
    """Return the figures as a table."""
    lines = [
        "| database | failures | purged in s | rows/s | longest wait of another writer s | its median ms | peak MB (of 1,000 failures) | aim |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for one in found:
        aim = "reached" if one["longest_wait_s"] < AIM_WAIT_S else "MISSED"
        lines.append(
            f"| {one['database']} | {one['failures']:,} | {one['seconds']:.0f} | {one['failures'] / one['seconds']:,.0f} | {one['longest_wait_s']:.2f} "
            f"| {one['median_wait_ms']:.1f} | {one['peak_mb']:.0f} ({one['peak_mb_of_few']:.0f}) | {aim}: below {AIM_WAIT_S:g} s |"
        )
    return "\n".join(lines)


def _purged(url: str, folder: Path, count: int) -> dict[str, Any]:
    _fill(url, count)
    stop = folder / "stop"
    stop.unlink(missing_ok=True)
    environ = {
        **os.environ,
        "AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": url,
        "INTEGRATOR_HOME": str(folder),
        "AIRFLOW__INTEGRATOR__HASH_KEY": HASH_KEY,
    }
    writer = subprocess.Popen([sys.executable, "-m", "bench.purge", url, str(stop)], stdout=subprocess.PIPE, text=True)
    time.sleep(1.0)
    began = time.monotonic()
    with (folder / "told.json").open("wb") as out:
        purge = subprocess.Popen(
            [sys.executable, "-m", "integrator.cli", "purge", "--only", "ours", "--json"], env=environ, stdout=out
        )
        peak_mb = 0.0
        while purge.poll() is None:
            peak_mb = max(peak_mb, _peak_mb(purge.pid))
            time.sleep(0.05)
    seconds = time.monotonic() - began
    stop.touch()
    waits = sorted(json.loads(writer.communicate()[0]))
    told = json.loads((folder / "told.json").read_text())["ours"]
    deleted = sum(sum(one["deleted"].values()) for one in told)
    if purge.returncode or deleted != count:
        raise RuntimeError(f"the purge ended with {purge.returncode} and deleted {deleted} of {count}")
    return {
        "seconds": seconds, "longest_wait_s": waits[-1], "median_wait_ms": waits[len(waits) // 2] * 1000, "writes": len(waits),
        "peak_mb": peak_mb,
    }  # fmt: skip


def _peak_mb(pid: int) -> float:
    """Return a process's own peak; what `wait4` tells may be that of the process it was forked from."""
    try:
        said = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in said.splitlines() if line.startswith("VmHWM")), 0.0)


def _row(project: str, at: datetime, state: str, entity_id: str) -> dict[str, Any]:
    return {
        "project": project, "pipe": "sync", "flow": "items", "entity_id": entity_id, "stage": "load", "error": "RecordRefusedError", "attempts": 1,
        "first_failed_at": at, "last_failed_at": at, "first_run_id": "r", "run_id": "r", "flow_run_id": "r", "state": state,
        "announced_at": datetime.now(UTC) - timedelta(days=3),
    }  # fmt: skip


def _fill(url: str, count: int) -> None:
    engine, at = open_engine(url), datetime.now(UTC) - timedelta(days=90)
    for start in range(0, count, 20_000):
        rows = [_row("acme", at, ("open", "resolved")[n % 2], f"{n:08}") for n in range(start, min(start + 20_000, count))]
        with writing(engine) as c:
            c.execute(insert(failures), rows)
    engine.dispose()


@contextmanager
def _database(kind: str) -> Iterator[tuple[str, Path]]:
    folder = Path(tempfile.mkdtemp(prefix="bench-purge-"))
    folder.chmod(0o755)
    try:
        if kind == "sqlite":
            yield f"sqlite:///{folder / 'journal.db'}", folder
            return
        server, process = start_postgres(folder)
        try:
            yield server.new_database(), folder
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_meanwhile(url: str, stop: Path) -> None:
    """Note a failure again and again, as a flow run does, and print how long each took."""
    engine, waits = open_engine(url), []
    while not stop.exists():
        began = time.monotonic()
        with writing(engine) as c:
            c.execute(insert(failures), [_row("other", datetime.now(UTC), "open", f"{os.getpid()}-{len(waits)}")])
        waits.append(time.monotonic() - began)
        time.sleep(0.02)
    print(json.dumps(waits))


if __name__ == "__main__":
    _write_meanwhile(sys.argv[1], Path(sys.argv[2]))
