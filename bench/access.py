"""What access by project costs: a member's list of DAGs beside Flask-AppBuilder's own, with 2,000 pipes, 50 projects and 200 users.

Both API servers run at once over databases of the same content, and are asked in turn, so that a busy machine is busy for both. With
Flask-AppBuilder's own manager the member has the permission to read each DAG of theirs, which is how it keeps DAGs apart.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import MetaData, insert, select
from tests.services.airflow_schema import AirflowDatabase
from tests.services.demo import ROOT, free_port
from tests.services.postgres import start_postgres

from integrator.model.access import Kind, Role
from integrator.store.database import open_engine
from integrator.store.members import SqlMembers

PROJECTS, PIPES, USERS, OF_A_USER = 50, 40, 200, 4
ROUNDS = 150
AIM = 1.2
OURS = "integrator.sign_in.IntegratorAuthManager"
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
MEMBER, PASSWORD = "u000", "a-long-password-of-nobody-in-particular"
PATHS = ("/api/v2/dags?limit=50", "/ui/dags?dag_runs_limit=14&limit=50", "/ui/dashboard/dag_stats")
BASE = [("can_read", one) for one in ("Website", "DAG Runs", "Task Instances", "My Profile", "HITL Detail", "DAG Versions")]


@dataclass
class Server:
    """An API server with one auth manager over one database."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    out: Path
    session: requests.Session

    def wait(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + 240
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if self.session.get(f"{self.url}/api/v2/version", timeout=5).ok:
                    return
            except requests.RequestException:
                time.sleep(0.2)
        raise RuntimeError(self.out.read_text("utf-8")[-3000:])

    def sign_in(self) -> None:
        """Get the member's token."""
        answer = self.session.post(f"{self.url}/auth/token", json={"username": MEMBER, "password": PASSWORD}, timeout=60)
        answer.raise_for_status()
        self.session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def ask(self, path: str) -> tuple[float, Any]:
        """Return how many seconds an answer took, and the answer."""
        began = time.perf_counter()
        answer = self.session.get(f"{self.url}{path}", timeout=60)
        took = time.perf_counter() - began
        if not answer.ok:
            raise RuntimeError(f"{self.name} answered {answer.status_code}: {self.out.read_text('utf-8')[-3000:]}")
        return took, answer.json()


def measure_access(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Ask both servers in turn; returns what was measured on each database."""
    found = []
    for kind in ("sqlite", "postgresql"):
        folder = Path(tempfile.mkdtemp(prefix="bench-access-"))
        folder.chmod(0o755)
        try:
            with (
                _databases(kind, folder) as urls,
                _server("fab", urls[0], folder) as fab,
                _server("ours", urls[1], folder) as ours,
            ):
                found += [{"database": kind, **_compared(fab, ours, path, rounds)} for path in PATHS]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(*found[-len(PATHS) :], sep="\n", file=sys.stderr, flush=True)
    return found


def access_table(found: list[dict[str, Any]]) -> str:
    """Return the figures as a table."""
    lines = ["| database | asked | Flask-AppBuilder ms | ours ms | ratio | aim |", "|---|---|--:|--:|--:|---|"]
    for one in found:
        aim = "reached" if one["ratio"] <= AIM else "MISSED"
        lines.append(
            f"| {one['database']} | `{one['path']}` | {one['fab_ms']:.1f} | {one['ours_ms']:.1f} | {one['ratio']:.2f} | {aim}: {AIM:g} |"
        )
    return "\n".join(lines)


def _compared(fab: Server, ours: Server, path: str, rounds: int) -> dict[str, Any]:
    seen = [one.ask(path)[1] for one in (fab, ours)]
    totals = [one.get("total_entries") for one in seen]
    if totals[0] != totals[1] or totals[0] not in (None, OF_A_USER * PIPES):
        raise RuntimeError(f"{path}: the two do not show the same DAGs: {totals}")
    took: dict[str, list[float]] = {"fab": [], "ours": []}
    for place in range(rounds):
        for one in (fab, ours) if place % 2 else (ours, fab):
            took[one.name].append(one.ask(path)[0])
    fab_ms, ours_ms = (statistics.median(took[name]) * 1000 for name in ("fab", "ours"))
    return {"path": path, "fab_ms": fab_ms, "ours_ms": ours_ms, "ratio": ours_ms / fab_ms}


@contextmanager
def _databases(kind: str, folder: Path) -> Iterator[list[str]]:
    if kind == "sqlite":
        urls = [f"sqlite:///{folder / name}.db" for name in ("fab", "ours")]
        for url in urls:
            _fill(url, folder)
        yield urls
        return
    server, process = start_postgres(folder)
    try:
        urls = [server.new_database() for _ in range(2)]
        for url in urls:
            _fill(url, folder)
        yield urls
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _environ(url: str, folder: Path, manager: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "INTEGRATOR_"))}
    key = "k" * 64
    return {
        **kept, "AIRFLOW_HOME": str(folder / "af"), "INTEGRATOR_HOME": str(folder), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.replace("+psycopg:", "+psycopg2:"),
        "AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": url, "AIRFLOW__INTEGRATOR__HASH_KEY": "A" * 43 + "=", "AIRFLOW__CORE__FERNET_KEY": "x" * 43 + "=",
        "AIRFLOW__CORE__AUTH_MANAGER": manager, "AIRFLOW__API_AUTH__JWT_SECRET": key, "AIRFLOW__API__SECRET_KEY": key, "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__FAB__CACHE_TTL": "5", "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "none"), "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")]),
    }  # fmt: skip


@contextmanager
def _server(name: str, url: str, folder: Path) -> Iterator[Server]:
    port, out = free_port(), folder / f"{name}.out"
    with out.open("wb") as log:
        command = [sys.executable, "-W", "ignore", "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port)]
        environ = _environ(url, folder, OURS if name == "ours" else FAB)
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)
    made = Server(name, f"http://127.0.0.1:{port}", process, out, requests.Session())
    try:
        made.wait()
        made.sign_in()
        yield made
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _fill(url: str, folder: Path) -> None:
    """Make Airflow's tables and ours, and put users, projects, pipes, roles and permissions into them."""
    from werkzeug.security import generate_password_hash

    command = [sys.executable, "-W", "ignore", "-m", "airflow", "db", "migrate"]
    subprocess.run(command, env=_environ(url, folder, FAB), check=True, capture_output=True)
    engine, reflected = open_engine(url), MetaData()
    reflected.reflect(engine)
    airflow = AirflowDatabase(url, engine, dict(reflected.tables))
    names = [f"p{place:02}" for place in range(PROJECTS)]
    airflow.add("dag_bundle", name="dags-folder")
    for project in names:
        for pipe in range(PIPES):
            _pipe(airflow, project, f"{project}.pipe_{pipe:02}")
    hashed = generate_password_hash(PASSWORD, method="pbkdf2:sha256:600000")
    t = airflow.tables
    with engine.begin() as c:
        users = [{"username": f"u{place:03}", "first_name": "U", "last_name": "U", "email": f"u{place}@example.com", "password": hashed,
                  "active": True} for place in range(USERS)]  # fmt: skip
        c.execute(insert(t["ab_user"]), _numbered(users))
        c.execute(insert(t["ab_group"]), _numbered([{"name": project} for project in names]))
        in_groups = [
            {"user_id": user + 1, "group_id": (user + step * 7) % PROJECTS + 1}
            for user in range(USERS)
            for step in range(OF_A_USER)
        ]
        c.execute(insert(t["ab_user_group"]), _numbered(in_groups))
        _permissions(c, t, names, in_groups)
    members = SqlMembers(engine)
    for place, project in enumerate(names):
        members.create(project, f"owner-{place}", "bench")
        members.grant(project, Kind.GROUP, project, Role.STANDARD, "bench")
    engine.dispose()


def _pipe(airflow: AirflowDatabase, project: str, dag_id: str) -> None:
    airflow.add(
        "dag", dag_id=dag_id, bundle_name="dags-folder", fileloc=f"/dags/{project}/load_pipes.py", relative_fileloc=f"{project}/load_pipes.py",
        owners=project, description="Nothing in particular", timetable_type="NullTimetable", timetable_summary=None, timetable_description="",
        partition_mapper_info=[], max_active_tasks=16, max_active_runs=1, last_parsed_time=airflow.ago(0),
    )  # fmt: skip
    for tag in ("integrator", project):
        airflow.add("dag_tag", name=tag, dag_id=dag_id)


def _numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": place + 1, **row} for place, row in enumerate(rows)]


def _permissions(c: Any, t: dict[str, Any], projects: list[str], in_groups: list[dict[str, int]]) -> None:
    """Let Flask-AppBuilder show each user the DAGs of their projects, by a permission for each DAG in a role for each project."""
    start = 100_000  # Airflow adds its own from 1 when the server starts
    numbers = itertools.count(start)

    def number(table: str, name: str) -> int:
        found = c.scalar(select(t[table].c.id).where(t[table].c.name == name))
        if found is None:
            found = next(numbers)
            c.execute(insert(t[table]).values(id=found, name=name))
        return int(found)

    wanted = [(role, action, what) for role in projects for action, what in BASE]
    wanted += [(role, "can_read", f"DAG:{role}.pipe_{pipe:02}") for role in projects for pipe in range(PIPES)]
    pairs: dict[tuple[str, str], int] = {}
    for role, action, what in wanted:
        if (action, what) not in pairs:
            pairs[action, what] = start + len(pairs)
            row = {"permission_id": number("ab_permission", action), "view_menu_id": number("ab_view_menu", what)}
            c.execute(insert(t["ab_permission_view"]).values(id=pairs[action, what], **row))
        c.execute(insert(t["ab_permission_view_role"]).values(
            id=next(numbers), permission_view_id=pairs[action, what], role_id=number("ab_role", role)))  # fmt: skip
    for place, one in enumerate(in_groups):
        role = number("ab_role", projects[one["group_id"] - 1])
        c.execute(insert(t["ab_user_role"]).values(id=start + place, user_id=one["user_id"], role_id=role))
