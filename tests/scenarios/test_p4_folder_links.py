"""P4: links to console logs in a folder: for one object, once, dead after 300 seconds, and worth nothing when anything of them is changed.

The application is the one that Airflow's API server mounts; who is signed in is asked of a stand-in here, and of Airflow itself in tests/airflow.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import uvicorn
from click.testing import CliRunner
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from integrator.cli import cli
from integrator.errors import LinkRefusedError, NotSignedInError
from integrator.model.console import Content
from integrator.model.project import Downloads, Wants
from integrator.store.audit import SqlAudit
from integrator.store.console_deleting import delete_logs
from integrator.store.database import open_engine, upgrade
from integrator.store.links import LINK_S, FolderLinks
from integrator.store.members import SqlMembers
from integrator.store.projects import SqlProjects
from integrator.web.app import application
from integrator.web.asking import signed_in_user
from integrator.web.parts import WebParts, web_parts
from tests.services.console import Desk
from tests.services.moving import HASH_KEY
from tests.services.programs import free_port
from tests.services.system import System, record

KEY = b"the installation's key"
NAME = "acme/sync/run/items-1-00000.jsonl.gz"


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path / 'links.db'}" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
    upgrade(made)
    return made


def test_a_link_holds_once_and_for_300_seconds(url: str) -> None:
    clock = Clock()
    links = FolderLinks(open_engine(url), KEY, clock)
    first, second, third = (links.make(NAME) for _ in range(3))
    assert links.take(first) == NAME
    with pytest.raises(LinkRefusedError, match="used already"):
        links.take(first)
    clock.at += timedelta(seconds=LINK_S - 1)
    assert links.take(second) == NAME
    clock.at += timedelta(seconds=1)
    with pytest.raises(LinkRefusedError, match="is over"):
        links.take(third)
    with pytest.raises(LinkRefusedError, match="is over"):
        links.take(first)  # it was used, and what is kept of that goes in time


def test_what_is_kept_of_used_links_is_no_link_and_goes(url: str) -> None:
    clock, engine = Clock(), open_engine(url)
    links = FolderLinks(engine, KEY, clock)
    used = links.make(NAME)
    links.take(used)

    def rows() -> list[Any]:
        with engine.connect() as c:
            return list(c.exec_driver_sql("SELECT digest FROM integrator_spent_links"))

    assert len(rows()) == 1
    assert rows()[0][0] not in used
    clock.at += timedelta(seconds=LINK_S + 1)
    links.take(links.make(NAME))
    assert len(rows()) == 1


def test_of_many_at_once_one_gets_it(url: str) -> None:
    token = FolderLinks(open_engine(url), KEY).make(NAME)
    got: list[str] = []

    def take() -> None:
        try:
            got.append(FolderLinks(open_engine(url), KEY).take(token))
        except LinkRefusedError as refused:
            got.append(str(refused))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert got.count(NAME) == 1


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> FolderLinks:
    made = f"sqlite:///{tmp_path_factory.mktemp('links') / 'links.db'}"
    upgrade(made)
    return FolderLinks(open_engine(made), KEY)


@given(at=st.integers(0, 400), by=st.characters(codec="ascii"))
def test_no_changed_sign_holds(links: FolderLinks, at: int, by: str) -> None:
    token = links.make(NAME)
    at %= len(token)
    if token[at] == by:
        return
    with pytest.raises(LinkRefusedError):
        links.take(token[:at] + by + token[at + 1 :])


@pytest.mark.parametrize("token", ["", ".", "a", "a.b", "é.é", "W10.W10", "x" * 10_000])
def test_what_is_no_link_is_refused(links: FolderLinks, token: str) -> None:
    with pytest.raises(LinkRefusedError, match="no link of ours"):
        links.take(token)


def test_another_installation_s_link_is_refused(links: FolderLinks, tmp_path: Path) -> None:
    other = FolderLinks(open_engine(f"sqlite:///{tmp_path / 'x.db'}"), b"another key")
    with pytest.raises(LinkRefusedError, match="no link of ours"):
        links.take(other.make(NAME))


@pytest.mark.parametrize("end", ["=", "==", "\n", "%3D"])
def test_another_way_to_write_a_used_link_is_no_new_one(links: FolderLinks, end: str) -> None:
    token = links.make(NAME)
    links.take(token)
    with pytest.raises(LinkRefusedError):
        links.take(token + end)


class Site:
    """The application over one journal, and a run's log."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.clock = desk, Clock()
        self.links = FolderLinks(desk.engine, KEY, self.clock)
        self.audit = SqlAudit(desk.engine, KEY)
        kept = (desk.console, desk.objects, self.links, SqlMembers(desk.engine), SqlProjects(desk.engine), self.audit)
        made = WebParts(desk.parts.settings, desk.engine, *kept, sign_in=None, credentials=None)  # type: ignore[arg-type]
        self.app: FastAPI = application()
        self.app.dependency_overrides[web_parts] = lambda: made
        self.port = free_port()
        self.server = uvicorn.Server(uvicorn.Config(self.app, port=self.port, log_level="critical", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        [log] = desk.console.logs()
        self.log, self.name = log, log.key(0)

    def ask(self, path: str, method: str = "GET") -> requests.Response:
        for _ in range(100):
            try:
                return requests.request(method, f"http://127.0.0.1:{self.port}{path}", timeout=10)
            except requests.ConnectionError:
                time.sleep(0.05)
        raise AssertionError("the application does not answer")

    def by_link(self, name: str | None = None) -> requests.Response:
        return self.ask(f"/console/links/{self.links.make(name or self.name)}")

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)

    def sign_in(self, name: str | None, monkeypatch: pytest.MonkeyPatch, *pipes: str) -> None:
        def user() -> Any:
            if name is None:
                raise NotSignedInError("sign in")
            return SimpleNamespace(get_name=lambda: name)

        def may_see(_user: Any, project: str, pipe: str, *, records_for_standard: bool) -> bool:
            return records_for_standard and f"{project}.{pipe}" in pipes

        self.app.dependency_overrides[signed_in_user] = user
        monkeypatch.setattr("integrator.web.signed_in.may_see_logs", may_see)


@pytest.fixture
async def site(tmp_path: Path, system: System) -> AsyncIterator[Site]:
    system.records = [record(1)]
    desk = Desk(tmp_path, system)
    desk.enable(*Content)
    await desk.run()
    made = Site(desk)
    yield made
    made.stop()


def test_the_object_comes_as_a_download_that_nobody_keeps_and_it_is_noted(site: Site) -> None:
    answer = site.by_link()
    assert answer.status_code == 200
    assert json.loads(gzip.decompress(answer.content).splitlines()[0])["system"] == "acme__there"
    headers = answer.headers
    assert (headers["cache-control"], headers["x-content-type-options"], headers["content-type"]) == (
        "no-store",
        "nosniff",
        "application/gzip",
    )
    assert headers["content-disposition"] == 'attachment; filename="items-1-00000.jsonl.gz"'
    [line] = site.audit.lines()
    assert (line.line.action, line.line.actor, line.line.target, line.line.origin) == (
        "console.fetch",
        "link",
        "acme/sync",
        "127.0.0.1",
    )


def test_a_second_time_a_second_late_another_method_and_a_deleted_log(site: Site) -> None:
    token = site.links.make(site.name)
    assert site.ask(f"/console/links/{token}", "HEAD").status_code == 405
    assert site.ask(f"/console/links/{token}", "POST").status_code == 405
    assert site.ask(f"/console/links/{token}").status_code == 200
    assert site.ask(f"/console/links/{token}").status_code == 410
    late = site.links.make(site.name)
    site.clock.at += timedelta(seconds=LINK_S)
    assert site.ask(f"/console/links/{late}").status_code == 410
    token = site.links.make(site.name)
    delete_logs(site.desk.console, site.desk.objects, site.desk.console.logs(deleted=True))
    assert site.ask(f"/console/links/{token}").status_code == 404


@pytest.mark.parametrize(
    "name", ["acme/sync/other/items-1-00000.jsonl.gz", "acme/sync/{run}/items-1-00001.jsonl.gz", "acme/sync/{run}/../x"]
)
def test_a_link_to_what_is_no_log_gives_nothing(site: Site, name: str) -> None:
    answer = site.by_link(name.replace("{run}", site.log.run_id))
    assert answer.status_code in (404, 503)
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("user", "pipes", "status"),
    [
        (None, (), 401),
        ("bob", (), 404),
        ("bob", ("other.sync", "acme.syn", "acme.sync.rerun"), 404),
        ("ann", ("acme.sync",), 200),
    ],
)
def test_signed_in_people_get_the_logs_of_pipes_that_they_may_see(
    site: Site, monkeypatch: pytest.MonkeyPatch, user: str | None, pipes: tuple[str, ...], status: int
) -> None:
    site.sign_in(user, monkeypatch, *pipes)
    assert site.ask(f"/console/{site.name}").status_code == status
    assert [(one.line.actor, one.line.action) for one in site.audit.lines()] == [("ann", "console.fetch")] * (status == 200)


def test_the_command_gives_what_the_project_wants(site: Site, tmp_path: Path) -> None:
    environ = {
        "AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path / 'journal.db'}",
        "AIRFLOW__INTEGRATOR__HASH_KEY": HASH_KEY,
    }

    def link(code: int = 0, **more: str) -> dict[str, Any]:
        words = ["console", "link", "acme/sync", "--run", site.log.run_id, "--home", str(tmp_path / "home"), "--json"]
        made = CliRunner().invoke(cli, words, env={**environ, **more})
        assert made.exit_code == code, made.output
        return json.loads(made.stdout) if code == 0 else {"error": str(made.exception)}

    assert "nothing says where Airflow's API server is" in link(1)["error"]
    made = link(AIRFLOW__API__BASE_URL="https://airflow.example.com/x/")
    assert (made["expires_s"], made["signed_in"]) == (300, False)
    assert made["links"][0].startswith("https://airflow.example.com/x/integrator/console/links/")
    SqlProjects(site.desk.engine).set("acme", Wants(downloads=Downloads.SIGNED_IN), "ann")
    made = link(AIRFLOW__API__PORT="8080")
    assert made["links"] == [f"http://127.0.0.1:8080/integrator/console/{site.name}"]
    assert (made["expires_s"], made["signed_in"]) == (None, True)


def test_the_plugin_serves_it_without_importing_it_in_every_process() -> None:
    import subprocess
    import sys

    code = "import sys; from integrator.plugin import IntegratorPlugin as P; assert P.fastapi_apps[0]['url_prefix'] == '/integrator'; sys.exit('integrator.web.app' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
