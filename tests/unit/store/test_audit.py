"""The audit's lines are added and never changed; whatever is done to them afterwards shows. Source: PRODUCT.md P15."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError

from integrator.actions.acting import Acting
from integrator.errors import ConfigError, RunError, StopRunError
from integrator.model.audit import Came, Line
from integrator.store import grants
from integrator.store.audit import SqlAudit, heads_file
from integrator.store.database import open_engine, upgrade, writing
from tests.services.postgres import PostgresServer
from tests.unit.store.conftest import Clock

KEY = b"a key of the keyed hashes"
Make = Callable[..., SqlAudit]


@pytest.fixture
def make(migrated_url: str, clock: Clock, tmp_path: Path) -> Make:
    return lambda key=KEY, heads=tmp_path / "audit.log": SqlAudit(open_engine(migrated_url), key, heads, clock)


def run(url: str, sql: str) -> None:
    with writing(open_engine(url)) as c:
        c.execute(text(sql))


def fill(audit: SqlAudit, clock: Clock, lines: int = 6) -> None:
    for number in range(lines):
        clock.pass_s(60)
        audit.add(
            Line("cli:ann", "console.enable", ("acme", "demo")[number % 2], f"orders{number}", "desk", detail={"n": number})
        )


def test_lines_are_kept_in_a_chain_for_each_project(make: Make, clock: Clock) -> None:
    audit = make()
    fill(audit, clock)
    assert [(one.number, one.line.target) for one in audit.lines("acme")] == [(3, "orders4"), (2, "orders2"), (1, "orders0")]
    assert [one.line.project for one in audit.lines(most=2)] == ["demo", "acme"]
    assert [one.line.target for one in audit.lines(action="console", since=clock.at)] == ["orders5"]
    assert list(audit.lines(actor="cli:bob")) == list(audit.lines(action="credential")) == []
    assert audit.verify() == []
    assert audit.projects() == ["acme", "demo"]


def test_lines_are_read_on_from_a_place_each_once(make: Make, clock: Clock) -> None:
    audit = make()
    for _ in range(2):  # several lines of one instant, in two projects
        for number in range(3):
            for project in ("acme", "demo"):
                audit.add(Line("cli:ann", "console.enable", project, f"{clock.at:%H:%M} {number}"))
        clock.pass_s(60)
    for project, count in ((None, 12), ("acme", 6)):
        found, after = [], None
        while some := list(audit.lines(project, most=2, after=after)):
            found += [(one.at, one.line.project, one.number) for one in some]
            after = found[-1]
        assert len(found) == len(set(found)) == count
        assert [at for at, *_ in found] == sorted((at for at, *_ in found), reverse=True)


PUT_IN = """
INSERT INTO integrator_audit SELECT project, 4, at, actor, action, target, origin, came, detail, digest
FROM integrator_audit WHERE project = 'acme' AND number = 3"""
MADE_UP = """
UPDATE integrator_audit SET action = 'audit.purge', detail = '{"through": 2, "digest": "x", "lines": 2}'
WHERE project = 'acme' AND number = 3"""
CHANGES = {
    "changed": ("UPDATE integrator_audit SET actor = 'cli:eve' WHERE project = 'acme' AND number = 2", 2, "changed"),
    "changed in its detail": ("UPDATE integrator_audit SET detail = '{\"n\": 7}' WHERE project = 'acme' AND number = 1", 1, "changed"),
    "made unreadable": ("UPDATE integrator_audit SET detail = '{' WHERE project = 'acme' AND number = 3", 3, "changed"),
    "moved in time": ("UPDATE integrator_audit SET at = '2020-01-01 00:00:00' WHERE project = 'acme' AND number = 3", 3, "changed"),
    "taken out": ("DELETE FROM integrator_audit WHERE project = 'acme' AND number = 2", 2, "missing"),
    "first ones taken": ("DELETE FROM integrator_audit WHERE project = 'acme' AND number < 3", 3, "no purge tells"),
    "cut off": ("DELETE FROM integrator_audit WHERE project = 'acme' AND number = 3", 3, "cut off"),
    "all taken": ("DELETE FROM integrator_audit WHERE project = 'acme'", 1, "cut off"),
    "put in": (
        ("INSERT INTO integrator_audit SELECT project, 4, at, actor, action, target, origin, came, detail, digest "
        "FROM integrator_audit WHERE project = 'acme' AND number = 3"), 4, "put in",
    ),
    "a purge made up": (
        ("UPDATE integrator_audit SET action = 'audit.purge', detail = '{\"through\": 2, \"digest\": \"x\", \"lines\": 2}' "
        "WHERE project = 'acme' AND number = 3"), 3, "changed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_done_to_it_shows(make: Make, clock: Clock, migrated_url: str, change: str) -> None:
    audit = make()
    fill(audit, clock)
    sql, number, what = CHANGES[change]
    run(migrated_url, sql)
    told = make().verify()
    assert [(one.project, one.number) for one in told] == [("acme", number)]
    assert what in told[0].what


def test_without_the_log_outside_what_is_cut_off_at_the_end_does_not_show_and_with_it_a_whole_new_chain_does(
    make: Make, clock: Clock, migrated_url: str, tmp_path: Path
) -> None:
    audit = make()
    fill(audit, clock)
    run(migrated_url, "DELETE FROM integrator_audit WHERE number = 3")
    assert make(heads=None).verify() == []
    run(migrated_url, "DELETE FROM integrator_audit")
    fill(make(heads=None), clock)  # whoever has the key, too, can make a chain that fits in itself
    assert make(heads=None).verify() == []
    assert {one.what for one in make().verify()} == {"this line is another one than the log outside the database says"}


def test_another_key_fits_nothing(make: Make, clock: Clock) -> None:
    fill(make(), clock)
    assert len(make(key=b"another").verify()) == 6


def test_a_purge_takes_the_beginning_and_the_chain_still_shows_what_was_done_to_it(
    make: Make, clock: Clock, migrated_url: str
) -> None:
    audit = make()
    fill(audit, clock, 10)
    assert audit.purge("acme", clock.at - timedelta(minutes=5), "upkeep", dry=True) == 2
    assert audit.purge("acme", clock.at - timedelta(minutes=5), "upkeep") == 2
    assert audit.purge("acme", clock.at - timedelta(minutes=5), "upkeep") == 0
    assert [one.number for one in audit.lines("acme")] == [6, 5, 4, 3]
    assert next(audit.lines("acme")).line.detail["lines"] == 2
    assert audit.verify() == []
    clock.pass_s(86_400)
    assert audit.purge("acme", clock.at, "upkeep") == 4  # the line that told of the last purge goes too
    assert audit.verify() == []
    fill(audit, clock, 2)
    assert audit.verify() == []
    run(migrated_url, "DELETE FROM integrator_audit WHERE project = 'acme' AND number = 7")
    assert [one.what for one in audit.verify()] == ["lines before this one are missing, and no purge tells of it"]


def test_many_at_once_make_one_chain(make: Make, clock: Clock) -> None:
    threads = [threading.Thread(target=lambda: [make().add(Line("cli:ann", "a.b", "acme")) for _ in range(5)]) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    audit = make()
    assert [one.number for one in audit.lines("acme")] == list(range(30, 0, -1))
    assert audit.verify() == []


def test_what_is_noted_is_short_and_plain(make: Make, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with caplog.at_level(logging.INFO, "integrator.audit"):
        make().add(Line("cli:ann\n", "a.b", "acme", "x" * 1000, detail={"reason": "a\r\nb" + "y" * 1000}))
    (one,) = make().lines()
    assert one.line.actor == "cli:ann?"
    assert len(one.line.target) == 300
    assert str(one.line.detail["reason"]).startswith("a??by")
    logged = json.loads(caplog.messages[0])
    assert logged["actor"] == "cli:ann?"
    heads = (tmp_path / "audit.log").read_text()
    assert set(json.loads(heads)) == {"project", "number", "digest"}
    assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o600


def test_a_log_outside_that_cannot_be_written_is_told_and_keeps_nobody_from_noting(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "audit.log").mkdir()
    make().add(Line("cli:ann", "a.b", "acme"))
    assert "cannot be written" in caplog.text
    assert len(list(make(heads=None).lines())) == 1


def test_where_the_log_outside_lies(tmp_path: Path) -> None:
    assert heads_file("", str(tmp_path)) == tmp_path / "audit.log"
    assert heads_file(str(tmp_path / "other"), "/nowhere") == tmp_path / "other"
    assert heads_file("none", "/nowhere") is None
    with pytest.raises(ConfigError, match="audit_log: there is no folder"):
        heads_file("/nowhere/at/all", "")


@pytest.mark.parametrize(
    ("raised", "came"), [(ConfigError("x"), Came.REFUSED), (StopRunError("x"), Came.FAILED), (KeyboardInterrupt(), Came.FAILED)]
)
def test_what_fails_is_noted_too(make: Make, raised: BaseException, came: Came) -> None:
    audit = make()
    acting = Acting("cli:ann", "desk", audit)
    with acting.doing("console.delete", "acme", "acme/orders", run="r1") as told:
        told["logs"] = 3
    with pytest.raises(type(raised)), acting.doing("console.delete", "acme"):
        raise raised
    failed, done = audit.lines("acme")
    assert (done.line.came, done.line.detail) == (Came.DONE, {"run": "r1", "logs": 3})
    assert (failed.line.came, failed.line.detail) == (came, {"error": type(raised).__name__})


def test_what_cannot_be_noted_is_not_told_as_done(sqlite_url: str) -> None:
    upgrade(sqlite_url)
    acting = Acting("cli:ann", "desk", SqlAudit(open_engine(sqlite_url), KEY))
    run(sqlite_url, "DROP TABLE integrator_audit")
    with pytest.raises(RunError), acting.doing("console.enable", "acme"):
        pass


def test_on_postgresql_our_own_role_can_neither_change_nor_delete_a_line(postgres: PostgresServer, postgres_url: str) -> None:
    upgrade(postgres_url)
    database = postgres_url.rpartition("/")[2]
    postgres.run("CREATE ROLE auditor LOGIN PASSWORD 'auditor'", database)
    postgres.run("GRANT UPDATE, DELETE ON integrator_audit TO auditor", database)  # as an earlier release might have
    grants.give(postgres_url, "auditor")
    engine = create_engine(_as(postgres_url, "auditor"))
    SqlAudit(engine, KEY).add(Line("cli:ann", "a.b", "acme"))
    for sql in ("UPDATE integrator_audit SET actor = 'x'", "DELETE FROM integrator_audit", "TRUNCATE integrator_audit"):
        with pytest.raises(ProgrammingError, match="permission denied"), engine.begin() as c:
            c.execute(text(sql))
    engine.dispose()
    postgres.run("DROP OWNED BY auditor", database)
    postgres.run("DROP ROLE auditor", database)


def _as(url: str, role: str) -> str:
    from sqlalchemy import make_url

    return make_url(url).set(username=role, password=role).render_as_string(hide_password=False)
