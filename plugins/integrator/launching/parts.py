"""The platform's parts as processes: started apart from the terminal, watched, and ended together."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from integrator.errors import IntegratorError
from integrator.launching import sessions

LOG_MAX_BYTES = 10 * 2**20


class PartEndedError(IntegratorError):
    """A part of the platform ended by itself, so the rest is ended too."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the platform: its name (also its log file's) and its command."""

    name: str
    command: tuple[str, ...]


def airflow_parts(api_port: int) -> list[Part]:
    """Return Airflow's own parts. No triggerer: nothing of ours waits in one."""
    airflow = (sys.executable, "-m", "airflow")
    return [
        Part("api-server", (*airflow, "api-server", "--host", "127.0.0.1", "--port", str(api_port), "--workers", "1")),
        Part("scheduler", (*airflow, "scheduler", "--skip-serve-logs")),
        Part("dag-processor", (*airflow, "dag-processor")),
    ]


def watcher_part(dags: Path) -> Part:
    """Return the part that notices an edited pipe."""
    return Part("watcher", (sys.executable, "-m", "integrator.watcher", str(dags)))


def purge_part() -> Part:
    """Return the part that purges, once a day, what Airflow keeps of our pipes."""
    return Part("retention", (sys.executable, "-m", "integrator.daily_purge"))


def demo_parts(home: Path) -> list[Part]:
    """Return the demo shop and the demo ERP."""
    return [Part(f"demo-{name}", (sys.executable, "-m", "demo", name, "--home", str(home))) for name in ("shop", "erp")]


class Family:
    """The started parts. A keeper process ends them when this process is gone without a word."""

    def __init__(self, logs: Path, lock: int) -> None:
        """Start the keeper.

        Args:
            logs: folder for the parts' log files.
            lock: descriptor of the home's lock, which the keeper holds too.
        """
        self.logs = logs
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.keeper = subprocess.Popen(
            [sys.executable, "-m", "integrator.launching.keeper"], stdin=subprocess.PIPE, start_new_session=True, pass_fds=(lock,)
        )

    def start(self, part: Part, environ: Mapping[str, str]) -> None:
        """Start a part in a session of its own."""
        with self._log(part.name) as log:
            process = subprocess.Popen(
                part.command, env=dict(environ), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.processes[part.name] = process
        assert self.keeper.stdin  # noqa: S101 - it was asked for above
        self.keeper.stdin.write(f"{process.pid}\n".encode())
        self.keeper.stdin.flush()

    def check(self) -> None:
        """See that all parts run.

        Raises:
            PartEndedError: one has ended; the message holds the end of its log.
        """
        for name, process in {**self.processes, "keeper": self.keeper}.items():
            if (code := process.poll()) is not None:
                how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
                raise PartEndedError(f"the {name} ended {how}.{self._last_lines(name)}")

    def end(self) -> None:
        """End every part and whatever they started, and then the keeper."""
        sessions.end([process.pid for process in self.processes.values()])
        for process in self.processes.values():
            process.wait()
        if self.keeper.stdin:
            self.keeper.stdin.close()
        self.keeper.wait()

    def log_file(self, name: str) -> Path:
        """Return where a part's output goes."""
        return self.logs / f"{name}.log"

    def _log(self, name: str) -> BinaryIO:
        file = self.log_file(name)
        if file.is_file() and file.stat().st_size > LOG_MAX_BYTES:
            file.replace(file.with_suffix(".log.1"))
        return os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")

    def _last_lines(self, name: str, count: int = 12) -> str:
        file = self.log_file(name)
        if not file.is_file():
            return ""
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - 8_192))
            lines = log.read().decode("utf-8", "replace").splitlines()[-count:]
        return f" The end of {file}:\n" + "\n".join(f"  {line}" for line in lines)
