"""Purges what Airflow keeps of our pipes once a day: `python -m integrator.daily_purge`.

A process of its own beside Airflow's, and the only one that is handed the maintenance connection: tasks cannot reach
Airflow's database, and must not. It sleeps, and lets `integrator purge` do the work in a child that ends again.
Source: docs/decisions/043.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

FIRST_S = 600.0
"""When it purges first: a start has enough to do, and a machine that is off at night is purged all the same."""
EVERY_S = 86_400.0
AGAIN_S = 3600.0
"""When a purge that failed is tried again."""
COMMAND = (sys.executable, "-m", "integrator.cli", "purge", "--only", "airflow")


def purge(command: Sequence[str] = COMMAND) -> int:
    """Run one purge, which writes to our output; returns its exit code."""
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC: purging", flush=True)
    code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    if code:
        print(f"the purge ended with exit code {code}; it is tried again in {AGAIN_S / 3600:g} h", flush=True)
    return code


def keep(run: Callable[[], int] = purge, sleep: Callable[[float], None] = time.sleep, times: int = -1) -> None:
    """Purge once a day, for ever, or so many times."""
    sleep(FIRST_S)
    while times != 0:
        sleep(AGAIN_S if run() else EVERY_S)
        times -= 1


if __name__ == "__main__":
    keep()
