"""The embedded platform as a real process: the launcher over a home and a copy of the DAGs folder of its own.

Ask for the session fixture `embedded_platform` by its name only (tests/conftest.py registers it): a module that
imports a session fixture gets another one of its own, and with it another platform.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
import requests

from integrator.launching.airflow_api import AirflowApi
from integrator.launching.made_once import ADMIN_PASSWORD, ADMIN_USER
from integrator.settings import ENV_FILE, MAINTENANCE_VARIABLE, read_env_file
from tests.services import warm
from tests.services.demo import ROOT, DemoErp, free_port

START_S = 240.0
WAIT_MAX_S = 4
"""Longest wait that a worker of the shared platform sits through; the demo's systems ask for a second at most."""


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

    def api(self, method: str, path: str, json: Any = None, root: str = "/api/v2") -> tuple[int, Any]:
        """Return status and JSON of a call of Airflow's API, as its administrator; `path` follows the root."""
        if self._api is None:
            kept = read_env_file(self.home)
            self._api = AirflowApi(self.url, kept[ADMIN_USER], kept[ADMIN_PASSWORD])
        return self._api.call(method, path, json, root)

    def token(self) -> str:
        """Return a token of the administrator's, as a browser would have it."""
        kept = read_env_file(self.home)
        sign_in = {"username": kept[ADMIN_USER], "password": kept[ADMIN_PASSWORD]}
        return str(requests.post(f"{self.url}/auth/token", json=sign_in, timeout=30).json()["access_token"])

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Trigger a DAG as Airflow's form does; returns status and answer."""
        return self.api("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": datetime.now(UTC).isoformat(), "conf": conf or {}})

    def run_dag(self, dag_id: str, conf: dict[str, Any] | None = None, limit_s: float = 90.0) -> dict[str, Any]:
        """Trigger a DAG and wait for the end of its run; returns the run."""
        status, run = self.trigger(dag_id, conf)
        assert status == 200, run
        path = f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}"
        self.wait_for(lambda: self.api("GET", path)[1]["state"] in ("success", "failed"), limit_s)
        return dict(self.api("GET", path)[1])

    def task_log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> str:
        """Return a task's log as Airflow shows it."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}?full_content=true"
        return json.dumps(self.api("GET", path)[1], ensure_ascii=False)

    def integrator(self, *arguments: str, may_fail: bool = False) -> str:
        """Run the command line over this platform's home; returns what it writes to stdout."""
        done = warm.start("integrator.cli", *arguments, env=self.env, cwd=self.checkout)
        out, err = done.communicate(120)
        assert may_fail or done.returncode == 0, err
        return out

    @property
    def erp(self) -> DemoErp:
        """The demo ERP that the launcher started."""
        connection = json.loads(self.env["AIRFLOW_CONN_DEMO__ERP"])
        return DemoErp().at(connection["host"], f"Bearer {connection['extra']['token']}")


@pytest.fixture(scope="session")
def embedded_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The whole platform with the demo, after the demo's first run; its env file says how long a wait may be."""
    platform = Platform(tmp_path_factory.mktemp("platform"))
    # Given as a person may give it: in the home's env file, which every part reads; of the first line the purge alone may know.
    platform.home.mkdir(mode=0o700)
    given = {MAINTENANCE_VARIABLE: f"sqlite:///{platform.home / 'airflow.db'}", "AIRFLOW__INTEGRATOR__WAIT_MAX_S": WAIT_MAX_S}
    (platform.home / ENV_FILE).write_text("".join(f"{name}={value}\n" for name, value in given.items()), "utf-8")
    (platform.home / ENV_FILE).chmod(0o600)
    try:
        yield platform.start()
    finally:
        platform.stop()
