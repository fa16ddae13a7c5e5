"""Alerts carry counts, IDs and classes only, by e-mail, Slack and webhook; of what a project or its pipe wants to hear. Source: PRODUCT.md P1, P8.

Real servers take them: a mail server and a system that posts are made to. The notifier is the one that Airflow calls at a task's end.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller

from integrator.engine.move import Asked
from integrator.errors import IntegratorError
from integrator.model.alerts import AlertOn, Alerts
from integrator.model.project import Wants
from integrator.model.run import RunKey, Trigger
from integrator.notifiers.alert import AlertNotifier
from integrator.store.audit import SqlAudit
from integrator.store.database import open_engine, upgrade
from integrator.store.journal import SqlJournal
from integrator.store.projects import SqlProjects
from integrator.wiring import for_tests
from tests.services.moving import HASH_KEY, QUICK, flow, move, plan
from tests.services.programs import free_port
from tests.services.system import System, record
from tests.services.threaded import Threaded

CANARY = "canary-of-a-record"
SLACK_KEY = "T000/B000/secret-of-the-webhook"
HOSTILE = ["<!channel>", "{{ ti }}", "a<b>&c", "x\r\nBcc: eve@evil.example", "=1+1"]


class Posts(Threaded):
    """Takes what is posted, at any path."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{rest:.*}", self._take)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        self.bodies.append(await request.json())
        self.headers.append(dict(request.headers))
        return web.Response(text="ok", status=self.status)


@dataclass
class Letters:
    """A mail server's mail."""

    got: list[tuple[list[str], Message]] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - its name for it
        self.got.append((list(envelope.rcpt_tos), message_from_bytes(envelope.content, policy=default)))
        return "250 OK"


@dataclass
class Desk:
    """An installation: a journal, a project, and everything that alerts go to."""

    folder: Path
    system: System
    posts: Posts
    letters: Letters

    def __post_init__(self) -> None:
        self.url = f"sqlite:///{self.folder / 'journal.db'}"
        upgrade(self.url)
        self.engine = open_engine(self.url)

    def wants(self, **alerts: Any) -> None:
        SqlProjects(self.engine).set("acme", Wants(alerts=Alerts(**alerts)), "a test")

    async def run(self, **changes: Any) -> None:
        from integrator.model.credential import Credential

        there = Credential("acme", "there", "none", self.system.url, {"plain_http": True})
        made = for_tests(QUICK, {there.conn_id: there})
        object.__setattr__(made, "journal", SqlJournal(self.engine, stale_after_s=60))
        with suppress(IntegratorError):  # told as a failed run
            await move(made, plan(flow(**changes)), Asked(), RunKey("run-1", Trigger.SCHEDULE, "acme.sync", "scheduled__1"))

    def tell(self, run_id: str = "scheduled__1", **alerts: Any) -> None:
        tells = AlertNotifier(project="acme", pipe="sync", flow="items", alerts=alerts)
        tells({"ti": SimpleNamespace(dag_id="acme.sync", run_id=run_id, task_id="items"), "exception": ValueError(CANARY)})

    def audit(self) -> list[dict[str, Any]]:
        return [one.line.detail for one in SqlAudit(self.engine, b"").lines(action="alert")]


@pytest.fixture
def desk(tmp_path: Path, system: System, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    posts, letters = Posts(), Letters()
    posts.serve()
    mail = Controller(letters, hostname="127.0.0.1", port=free_port())
    mail.start()
    made = Desk(tmp_path, system, posts, letters)

    def connection(name: str, kind: str, **extra: Any) -> None:
        value = {"conn_type": f"integrator_{kind}", "host": f"{posts.url}/services", "extra": {"plain_http": True, **extra}}
        monkeypatch.setenv(f"AIRFLOW_CONN_ACME__{name}", json.dumps(value))

    connection("SLACK", "api_key", api_key_secret=SLACK_KEY, place="path")
    connection("HOOK", "bearer", token="the-hook-s-own-token")
    smtp = {
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": mail.port,
        "extra": {"disable_ssl": True, "disable_tls": True, "from_email": "integrator@example.com"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(smtp))
    monkeypatch.setenv("AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN", made.url)
    monkeypatch.setenv("AIRFLOW__INTEGRATOR__HASH_KEY", HASH_KEY)
    monkeypatch.setenv("INTEGRATOR_HOME", str(tmp_path))
    system.records = [record(n, note=CANARY) for n in range(10)]
    yield made
    made.engine.dispose()
    mail.stop()
    posts.stop()


def refuse(desk: Desk, *numbers: int) -> None:
    desk.system.on_write = lambda one: "refuse" if one["ext"] in {f"r{n}" for n in numbers} else "ok"


async def test_a_failed_run_is_told_by_each_way_with_counts_ids_and_classes(desk: Desk) -> None:
    desk.wants(email=("ops@example.com", "ann@example.com"), slack="slack", webhook="hook")
    refuse(desk, 1, 2)
    await desk.run()
    desk.tell()
    [(to, letter)] = desk.letters.got
    assert (sorted(to), letter["From"]) == (["ann@example.com", "ops@example.com"], "integrator@example.com")
    assert letter["Subject"] == "acme/sync: items failed, 2 of 10 records"
    body = str(letter.get_body(("html",)).get_content())  # type: ignore[attr-defined]
    assert "IDs: r1, r2" in body
    assert "RecordRefusedError: 2" in body
    by_path = dict(zip(desk.posts.paths, desk.posts.bodies, strict=True))
    assert set(by_path) == {f"/services/{SLACK_KEY}", "/services"}
    assert "items failed, 2 of 10 records" in by_path[f"/services/{SLACK_KEY}"]["text"]
    hook = by_path["/services"]
    assert (hook["event"], hook["status"], hook["errors"], hook["entity_ids"]) == (
        "run",
        "failed",
        {"RecordRefusedError": 2},
        ["r1", "r2"],
    )
    assert hook["counts"] == {"read": 10, "created": 8, "failed": 2}
    assert desk.posts.headers[desk.posts.paths.index("/services")]["Authorization"] == "Bearer the-hook-s-own-token"
    assert CANARY not in f"{desk.letters.got[0][1]}{desk.posts.bodies}"
    assert desk.audit() == [
        {"flow": "items", "event": "run", "status": "failed", "run": "run-1", "email": True, "slack": True, "webhook": True}
    ]


@pytest.mark.parametrize(
    ("on", "tolerate", "refused", "told"),
    [
        (None, 0, (1,), True), (None, 5, (1,), False), (None, 0, (), False),
        (AlertOn.PARTIAL, 5, (1,), True), (AlertOn.PARTIAL, 0, (1,), False),
        (AlertOn.ANY, 5, (1,), True), (AlertOn.ANY, 0, (1,), True), (AlertOn.ANY, 0, (), False), (AlertOn.NEVER, 0, (1,), False),
    ],
)  # fmt: skip
async def test_what_is_told_is_what_the_project_wants(
    desk: Desk, on: AlertOn | None, tolerate: int, refused: tuple[int, ...], told: bool
) -> None:
    desk.wants(on=on, webhook="hook")
    refuse(desk, *refused)
    await desk.run(tolerate=tolerate)
    desk.tell()
    assert len(desk.posts.bodies) == told


async def test_a_pipe_says_otherwise_than_its_project(desk: Desk) -> None:
    desk.wants(on=AlertOn.NEVER, webhook="hook", email=("ops@example.com",))
    refuse(desk, 1)
    await desk.run()
    desk.tell(on="failed", email=[])
    assert (len(desk.posts.bodies), len(desk.letters.got)) == (1, 0)
    desk.tell(on="never")
    assert len(desk.posts.bodies) == 1


async def test_a_run_that_never_came_to_be_or_was_killed_is_told_as_failed(desk: Desk) -> None:
    desk.wants(webhook="hook")
    desk.tell("another__run")
    assert desk.posts.bodies == [{"event": "run", "project": "acme", "pipe": "sync", "flow": "items", "status": "failed"}]


async def test_nobody_is_told_where_nobody_wants_to_be(desk: Desk) -> None:
    refuse(desk, 1)
    await desk.run()
    desk.tell()
    assert desk.audit() == []


async def test_hostile_ids_are_text_wherever_they_are_shown(desk: Desk) -> None:
    desk.system.records = [record(n, id=text) for n, text in enumerate([*HOSTILE, "y" * 256])]
    desk.system.on_write = lambda _one: "refuse"
    desk.wants(email=("ops@example.com",), slack="slack")
    await desk.run()
    desk.tell()
    [(to, letter)] = desk.letters.got
    assert to == ["ops@example.com"]
    assert letter["Bcc"] is None
    html = str(letter.get_body(("html",)).get_content())  # type: ignore[attr-defined]
    assert "a&lt;b&gt;&amp;c" in html
    assert "{{ ti }}" in html
    [post] = desk.posts.bodies
    assert "<!channel>" not in post["text"]
    assert "&lt;!channel&gt;" in post["text"]
    assert "y" * 121 not in post["text"]


async def test_many_failures_are_counted_and_a_few_are_named(desk: Desk) -> None:
    desk.system.records = [record(n) for n in range(60)]
    desk.system.on_write = lambda _one: "refuse"
    desk.wants(webhook="hook")
    await desk.run()
    desk.tell()
    [post] = desk.posts.bodies
    assert (len(post["entity_ids"]), post["more"], post["errors"]) == (20, 40, {"RecordRefusedError": 60})


async def test_what_cannot_be_sent_is_warned_of_keeps_the_others_and_shows_no_secret(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.wants(email=("ops@example.com",), slack="slack", webhook="hook")
    desk.posts.status = 404
    refuse(desk, 1)
    await desk.run()
    monkeypatch.delenv("AIRFLOW_CONN_ACME__HOOK")
    with caplog.at_level(logging.DEBUG):
        desk.tell()
    assert len(desk.letters.got) == 1
    [told] = desk.audit()
    assert (told["email"], told["slack"], told["webhook"]) == (True, False, False)
    said = caplog.text + capsys.readouterr().out
    assert "acme/slack refuses it (404)" in said
    assert "the alert by webhook was not sent" in said
    assert "secret-of-the-webhook" not in said


async def test_a_journal_that_is_away_costs_the_alert_only(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN", "sqlite:////dev/null/all.db")
    desk.tell(webhook="hook")
    assert desk.posts.bodies == []


def test_every_flow_s_task_has_it(tmp_path: Path) -> None:
    import yaml

    from integrator.authoring.library import find_pipe
    from integrator.dag_build.building import dags_of_pipe

    (tmp_path / "acme").mkdir()
    pipe = {"alerts": {"on": "any", "slack": "slack"}, "flows": {"items": flow()}}
    (tmp_path / "acme" / "sync.yaml").write_text(yaml.safe_dump(pipe))
    for dag in dags_of_pipe(find_pipe(tmp_path, "acme", "sync"), tmp_path, lambda _project: "UTC"):
        for task in dag.tasks:
            for callbacks in (task.on_success_callback, task.on_failure_callback):
                [tells] = callbacks if isinstance(callbacks, list) else [callbacks]
                assert (tells.project, tells.pipe, tells.flow, tells.alerts) == (
                    "acme",
                    "sync",
                    "items",
                    {"on": "any", "slack": "slack"},
                )
