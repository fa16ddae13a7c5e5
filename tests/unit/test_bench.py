"""The bench runs, and its own numbers say that no record is lost, doubled or wrongly named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.workloads import WORKLOADS

ROOT = Path(__file__).parents[2]


def test_the_bench_runs_every_workload_and_loses_nothing() -> None:
    ran = subprocess.run([sys.executable, "-m", "bench", "--smoke"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = [line for line in ran.stdout.splitlines() if "| integrator |" in line]
    assert len(rows) == len(WORKLOADS)
    assert all("| exact |" in row and "| well" in row for row in rows)
