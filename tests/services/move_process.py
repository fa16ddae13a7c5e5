"""A process that runs one flow as an Airflow task would, and may be killed: `python -m tests.services.move_process SPEC.json`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from integrator.engine.move import Asked
from integrator.engine.running import run_to_end
from integrator.errors import IntegratorError
from integrator.model.credential import Credential
from integrator.model.run import RunKey, Selection, Trigger
from integrator.store.database import open_engine, upgrade
from integrator.store.journal import SqlJournal
from integrator.store.limits import SqlLimits
from integrator.store.tokens import tokens_of
from integrator.wiring import Parts
from tests.services import warm
from tests.services.demo import ROOT
from tests.services.moving import QUICK, plan

Process = subprocess.Popen[str] | warm.Forked


def journal_at(url: str) -> SqlJournal:
    """Return a journal, its tables made."""
    upgrade(url)
    return SqlJournal(open_engine(url), stale_after_s=60)


def main() -> None:
    """Run the flow of the spec file and print the outcome."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    systems = spec.get("systems") or {"there": spec["system"]}
    extra = {"plain_http": True, **spec.get("extra", {})}
    scheme = spec.get("scheme", "none")
    credentials = {name: Credential("acme", name, scheme, url, extra) for name, url in systems.items()}
    settings = replace(QUICK, **spec.get("settings", {}))
    journal = journal_at(spec["journal"])
    limits = SqlLimits(open_engine(spec.get("limits") or spec["journal"]))
    tokens = tokens_of(open_engine(spec["journal"]), spec.get("fernet", ""))
    parts = Parts(settings, journal, lambda _project, name: credentials.get(name), limits, tokens)
    dag_run = spec.get("dag_run")
    trigger = Trigger.RERUN if spec.get("rerun") else Trigger.SCHEDULE
    run = RunKey(str(uuid.uuid4()), trigger, "acme.sync" if dag_run else None, dag_run)
    asked = Asked(selection=Selection() if spec.get("rerun") else None, last_try=spec.get("last_try", True))
    try:
        report = run_to_end(parts.move(plan(spec["flow"]), run, asked))
    except IntegratorError as error:
        print(json.dumps({"error": type(error).__name__, "said": str(error)}))
        sys.exit(1)
    print(json.dumps({"status": report.status, "run_id": report.run_id, **asdict(report.counts)}))


def start(folder: Path, *, cold: bool = False, **spec: Any) -> Process:
    """Start such a process; `spec` has flow, system (URL), journal (URL), and optionally
    extra and scheme (of the credential), fernet (key), settings, limits (URL), dag_run, rerun, last_try.

    Args:
        cold: Python is started for it, with a seed of hashes of its own, as for two workers of a deployment.
    """
    file = folder / f"spec-{uuid.uuid4().hex}.json"
    file.write_text(json.dumps(spec))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT)])}
    module = "tests.services.move_process"
    if not cold:
        return warm.start(module, str(file), cwd=ROOT, env=env)
    command = [sys.executable, "-m", module, str(file)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def to_end(process: Process, timeout_s: float = 60) -> dict[str, Any]:
    """Return what the process printed, once it has ended by itself."""
    out, err = process.communicate(timeout=timeout_s)
    assert out, err[-3000:]
    return dict(json.loads(out.splitlines()[-1]))


def kill(process: Process) -> None:
    """Kill it, as a machine that loses power would."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


if __name__ == "__main__":
    main()
