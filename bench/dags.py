"""What pipes cost Airflow: parsing 1 to 5,000 of them, a worker's parse of one, watching those that nobody changes, an edit until it is live."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report import table
from bench.running import ROOT, plain_environ
from bench.workloads import WORKLOADS

FOLDER = 50  # pipes
WATCHED_S = 10.0
STUB = "from integrator.dag_build import dags_of\n\nglobals().update(dags_of(__file__))  # airflow dag\n"


def make(dags: Path, pipes: int) -> None:
    """Write so many pipes into folders of fifty, each folder with its stub."""
    text = next(w for w in WORKLOADS if w.name == "W4").pipe()
    for number in range(pipes):
        folder = dags / f"project_{number // FOLDER}"
        if not folder.is_dir():
            folder.mkdir(parents=True)
            (folder / "load_pipes.py").write_text(STUB)
        (folder / f"pipe_{number}.yaml").write_text(f"schedule: '*/15 * * * *'\n{text}")


def measure_dags(sizes: tuple[int, ...] = (1, 100, 1000, 5000)) -> list[dict[str, float]]:
    """Return one row of numbers for each number of pipes."""
    from bench.live import edit_to_live_s

    rows = []
    for pipes in sizes:
        with tempfile.TemporaryDirectory(prefix="bench-") as home:
            dags = Path(home).resolve() / "dags"
            make(dags, pipes)
            environ = plain_environ() | {
                "AIRFLOW_HOME": home,
                "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            }
            row: dict[str, float] = {"pipes": pipes}
            row |= _told(["all", str(dags)], environ)
            row |= _told(
                ["one", str(dags)], environ | {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": f"project_0.pipe_{min(pipes, FOLDER) - 1}"}
            )
            row["watch"] = _watched(dags, environ)
        row["live"] = edit_to_live_s(pipes)
        rows.append(row)
        print(f"{pipes} pipes: {row}", file=sys.stderr, flush=True)
    return rows


def _told(arguments: list[str], environ: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.dags", *arguments]
    made = subprocess.run(command, env=environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT, capture_output=True, text=True, check=True)
    numbers: dict[str, float] = json.loads(made.stdout.splitlines()[-1])
    return numbers


def _watched(dags: Path, environ: dict[str, str]) -> float:
    """Return the CPU seconds a minute that the watcher needs while nothing changes."""
    with subprocess.Popen([sys.executable, "-m", "integrator.watcher", str(dags)], env=environ) as watcher:
        try:
            time.sleep(2)
            before = _cpu_s(watcher.pid)
            time.sleep(WATCHED_S)
            return round((_cpu_s(watcher.pid) - before) * 60 / WATCHED_S, 2)
        finally:
            watcher.terminate()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def parse(what: str, dags: Path) -> dict[str, float]:
    """Parse all stubs, or one as a worker does, and return what it cost; Airflow's own imports are not in it."""
    from integrator.dag_build import dags_of
    from integrator.dag_build.folder import build  # noqa: F401 - its imports are not what is measured
    from integrator.registry import find

    find("connector", "rest"), find("pager", "page_number")
    stubs = sorted(dags.glob("*/load_pipes.py"))
    began = time.process_time(), time.perf_counter()
    made = [len(dags_of(str(stub))) for stub in (stubs if what == "all" else stubs[:1])]
    cpu_s, wall_s = time.process_time() - began[0], time.perf_counter() - began[1]
    return (
        {"parse": round(cpu_s, 3), "made": sum(made)} if what == "all" else {"worker": round(wall_s, 4), "worker_made": sum(made)}
    )


def dags_table(rows: list[dict[str, float]]) -> str:
    """Return the numbers as a table."""
    headers = (
        "pipes",
        "DAGs",
        "parse of all, CPU s",
        "CPU ms a pipe",
        "a worker's parse of one, s",
        "unchanged: watcher, CPU s a minute",
        "edit to live, s",
    )
    return table(
        headers,
        [
            (r["pipes"], r["made"], r["parse"], round(r["parse"] / r["pipes"] * 1e3, 2), r["worker"], r["watch"], r["live"])
            for r in rows
        ],
    )


if __name__ == "__main__":
    print(json.dumps(parse(sys.argv[1], Path(sys.argv[2]))))
