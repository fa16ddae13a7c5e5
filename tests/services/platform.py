"""The embedded platform as a real process: the launcher over a home and a copy of the DAGs folder of its own.

Use the session fixture `embedded_platform`; it is started once for all tests that ask for it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from integrator.launching.airflow_api import AirflowApi
from integrator.launching.made_once import ADMIN_PASSWORD, ADMIN_USER
from integrator.settings import read_env_file
from tests.services.demo import ROOT, free_port

START_S = 240.0


def checkout_copy(folder: Path) -> Path:
    """Return a checkout whose DAGs folder may be changed; plugins and include are the real ones."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("plugins", "include"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def launcher_environ() -> dict[str, str]:
    """Return this process's environment without what would steer an Airflow or an Integrator."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "INTEGRATOR_"))}


class Platform:
    """One launcher and its parts."""

    def __init__(self, folder: Path, *arguments: str, home: Path | None = None) -> None:
        """Prepare a launcher over `folder`; `arguments` go to it, as scripts/run would hand them on."""
        self.checkout = folder / "checkout"
        if not self.checkout.exists():
            checkout_copy(self.checkout)
        self.home = home or folder / "home"
        self.dags = self.checkout / "dags"
        self.arguments = arguments
        self.output = folder / "launcher.out"
        self.process: subprocess.Popen[bytes] | None = None
        self._api: AirflowApi | None = None

    def launch(self) -> Self:
        """Start the launcher and return at once."""
        command = [sys.executable, "-m", "integrator.launcher", "--home", str(self.home), "--checkout", str(self.checkout)]
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [*command, "--port", str(free_port()), *self.arguments],
                env=launcher_environ(),
                cwd=self.checkout,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        return self

    def start(self, limit_s: float = START_S) -> Self:
        """Start the launcher and wait until it says that everything is up, the demo's first run included."""
        self.launch()
        self.wait_for(lambda: "Ctrl-C ends everything" in self.said(), limit_s)
        return self

    def wait_for(self, done: Callable[[], bool], limit_s: float) -> None:
        """Wait until something is true; fail when the launcher ends before that."""
        until = time.monotonic() + limit_s
        while not done():
            if self.process is None or self.process.poll() is not None or time.monotonic() > until:
                said = self.said()
                self.stop()
                raise AssertionError(f"the platform did not come so far; it said:\n{said}")
            time.sleep(0.2)

    def said(self) -> str:
        """Return what the launcher has written so far."""
        return self.output.read_text("utf-8", "replace") if self.output.exists() else ""

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End the launcher by its pid; returns its exit code (negative: the signal that ended it)."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait(10)

    @property
    def env(self) -> dict[str, str]:
        """Environment in which `integrator` and `airflow` see this platform."""
        return {**launcher_environ(), **read_env_file(self.home), "INTEGRATOR_HOME": str(self.home)}

    @property
    def url(self) -> str:
        """Address of the API server."""
        return f"http://127.0.0.1:{read_env_file(self.home)['AIRFLOW__API__PORT']}"

    def api(self, method: str, path: str, json: Any = None) -> tuple[int, Any]:
        """Return status and JSON of a call of Airflow's API version 2, as its administrator; `path` follows `/api/v2`."""
        if self._api is None:
            kept = read_env_file(self.home)
            self._api = AirflowApi(self.url, kept[ADMIN_USER], kept[ADMIN_PASSWORD])
        return self._api.call(method, path, json)


@pytest.fixture(scope="session")
def embedded_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The whole platform with the demo, after the demo's first run."""
    platform = Platform(tmp_path_factory.mktemp("platform"))
    try:
        yield platform.start()
    finally:
        platform.stop()
