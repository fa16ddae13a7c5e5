"""P1: records full of canaries fail at every stage; then no table, log, file or message of ours holds one."""

from __future__ import annotations

import json
import logging
import os
import random
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.services import warm
from tests.services.demo import ROOT
from tests.services.moving import MATCH, flow
from tests.services.system import System, record

CANARY = "CANARY"
STUB = "from integrator.dag_build import dags_of\nglobals().update(dags_of(__file__))\n"


def canaries(number: int) -> dict[str, Any]:
    """Return a record in which everything but its ID is a canary."""
    word = f"{CANARY}{number}x"
    return record(
        number,
        name=f"{word}-name",
        amount=number,
        email=f"{word}@example.com",
        code=f"{word}",
        error={"code": f"{word}-code"},
        deep={"list": [{"x": word}]},
    )


class Place:
    """A home, a dags folder and everything a run may leave behind."""

    def __init__(self, folder: Path, system: System) -> None:
        self.home, self.dags, self.work = folder / "home", folder / "dags", folder / "work"
        self.work.mkdir()
        self.system, self.said = system, ""

    def pipe(self, made: dict[str, Any]) -> None:
        (self.dags / "acme").mkdir(parents=True, exist_ok=True)
        (self.dags / "acme" / "load_pipes.py").write_text(STUB)
        (self.dags / "acme" / "sync.yaml").write_text(yaml.safe_dump({"flows": {"items": made}}))

    def start(self, *arguments: str) -> warm.Forked:
        connection = {"conn_type": "integrator_none", "host": self.system.url, "extra": {"plain_http": True}}
        environ = {
            **os.environ, "INTEGRATOR_HOME": str(self.home), "AIRFLOW_CONN_ACME__THERE": json.dumps(connection), "TMPDIR": str(self.work), "PYTHONPATH": str(ROOT / "plugins"),
            "AIRFLOW__INTEGRATOR__BACK_OFF_S": "0.01", "AIRFLOW__INTEGRATOR__ATTEMPTS": "2", "PYTHONASYNCIODEBUG": "0",
        }  # fmt: skip
        return warm.start("integrator.cli", *arguments, "--dags", str(self.dags), env=environ, cwd=self.work, merged=True)

    def run(self, *arguments: str) -> str:
        out, _ = self.start(*arguments).communicate(timeout=60)
        self.said += out
        return out

    def holding(self, word: str) -> list[str]:
        """Return where a word is found: what was printed, every file, every cell of every table."""
        found = ["output"] if word in self.said else []
        for folder in (self.home, self.work):
            found += [str(f) for f in folder.rglob("*") if f.is_file() and word.encode() in f.read_bytes()]
        with sqlite3.connect(self.home / "integrator.db") as database:
            for (table,) in database.execute("select name from sqlite_master where type = 'table'").fetchall():
                found += [f"table {table}" for row in database.execute(f"select * from {table}") if word in repr(row)]
        return found


@pytest.fixture
def place(tmp_path: Path, system: System) -> Place:
    return Place(tmp_path, system)


def bad_answers(system: System) -> dict[str, Any]:
    """Return stage -> (flow, how the system misbehaves)."""
    whole = {
        "batch": {
            "path": "/orders/bulk",
            "size": 10,
            "body": {"orders": "records"},
            "answer": {"records": "results", "success": 'code == "ok"', "code": "echo.code"},
        }
    }

    def half(one: dict[str, Any]) -> str:
        return "refuse" if int(one["ext"][1:]) % 3 == 0 else "ok"

    return {
        "refused, echoing the record": (flow(), lambda _one: "refuse"),
        "refused with 200": (flow(destination={"success": "answer.ok"}), lambda _one: "not_ok"),
        "an error page with the record in it": (flow(), lambda _one: "error"),
        "lost answers": (flow(), lambda _one: "drop_after"),
        "half a batch": (flow(destination=whole), half),
        "mapping": (flow(map={"ext": "id", "n": "integer(email)"}), lambda _one: "ok"),
        "mapping, a foreign error": (flow(map={"ext": "id", "n": "name < amount"}), lambda _one: "ok"),
        "path": (flow(destination={"create": {"method": "PUT", "path": "/orders/by/{source.deep.list[0].x}{source.nothing}"}}, map={"ext": "id", "email": "email"}), lambda _one: "ok"),
        "ambiguous match": (flow(destination={"match": {**MATCH, "params": {"ext": "x", "q": "{source.email}"}}}), lambda _one: "ok"),
        "away": (flow(destination={"path": "/orders"}), lambda _one: "busy"),
        "forbidden": (flow(), lambda _one: "forbidden"),
        "signed out": (flow(), lambda _one: "unauthorized"),
    }  # fmt: skip


STAGES = sorted(bad_answers(System()))


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_but_ids_is_left_of_records_that_fail(place: Place, system: System, stage: str) -> None:
    made, behave = bad_answers(system)[stage]
    made = {**made, "map": {"email": "email", "code": "code", "deep": "deep", "error": "error", **made["map"]}}
    system.records, system.on_write = [canaries(n) for n in range(30)], behave
    system.stored = [{"ext": "x"}, {"ext": "x"}] if stage == "ambiguous match" else []
    place.pipe(made)
    place.run("run", "acme/sync")
    place.run("run", "acme/sync", "--json")
    place.run("rerun", "acme/sync", "--all")
    assert place.holding(CANARY) == []
    assert "r1" in json.dumps(_ids(place)) or stage in ("away", "signed out")


def _ids(place: Place) -> list[str]:
    with sqlite3.connect(place.home / "integrator.db") as database:
        return [row[0] for row in database.execute("select entity_id from integrator_failures")]


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(text=f"<html>{CANARY}</html>", content_type="text/html"),
        lambda: web.json_response({"data": {CANARY: CANARY}}),
        lambda: web.Response(body=b'{"items": [{"id": "r1", "name": "' + CANARY.encode() + b'\\ud800"}, {"id": "r2", "x": ' + CANARY.encode()),
        lambda: web.Response(status=500, text=CANARY),
        lambda: web.Response(status=302, headers={"Location": f"http://127.0.0.9/{CANARY}"}),
        lambda: web.json_response({"items": [{"id": "r1", "name": CANARY}], "next": f"https://{CANARY}.example/"}),
        lambda: web.json_response({"items": [{"id": f"{CANARY}" * 100}, [CANARY], CANARY, {"id": {CANARY: 1}}, {"id": "r1", "name": CANARY}]}),
    ],
    ids=["html", "shape", "broken json", "500", "redirect", "next", "ids"],
)  # fmt: skip
def test_nothing_is_left_of_answers_that_make_no_sense(place: Place, system: System, answer: Any) -> None:
    system.on_read = lambda _request: answer()
    place.pipe(flow(source={"pages": {"by": "next_url", "next": "next"}}, tolerate=100))
    place.run("run", "acme/sync")
    assert place.holding(CANARY) == []


def test_nothing_is_left_of_a_killed_run(place: Place, system: System) -> None:
    system.records, system.latency_s = [canaries(n) for n in range(500)], 0.02
    place.pipe(
        flow(
            source={
                "pages": {"by": "cursor", "next": "meta.next", "size_param": "per_page", "per_page": 50},
                "params": {"by": "cursor"},
            },
            map={"ext": "id", "email": "email"},
        )
    )
    for seed in range(2):
        process = place.start("run", "acme/sync")
        while len(system.stored) < 60 * (seed + 1):
            time.sleep(0.01)
        time.sleep(random.Random(seed).random() * 0.2)
        process.kill()
        place.said += process.communicate()[0]
    assert place.holding(CANARY) == []


def test_this_search_finds_a_canary(place: Place, system: System) -> None:
    """The check can fail: an entity ID is kept, and is found in the database, its log or the output."""
    system.records, system.on_write = [{**record(1), "id": f"{CANARY}-id"}], (lambda _one: "refuse")
    place.pipe(flow())
    place.run("run", "acme/sync")
    assert place.holding(CANARY)


def test_no_repr_shows_what_flows_through() -> None:
    from integrator.engine.move import Asked
    from integrator.model.credential import Credential
    from integrator.model.record import Found, Item, Page
    from integrator.model.run import Selection
    from integrator.settings import Settings
    from integrator.wire.message import Answer, Request

    things = [
        Item(CANARY, {CANARY: 1}, {CANARY: 1}, CANARY.encode(), 1), Page([CANARY], gone=[CANARY]), Found(CANARY, {CANARY: 1}), Request("GET", CANARY, {CANARY: CANARY}, CANARY.encode()),
        Answer(200, {CANARY: CANARY}, CANARY.encode()), Credential("p", "n", "basic", "https://h", {"password": CANARY}), Settings(hash_key=CANARY, sql_alchemy_conn=CANARY),
        Asked(entity_ids=(CANARY,), selection=Selection(entity_ids=(CANARY,))),
    ]  # fmt: skip
    for thing in things:
        assert CANARY not in repr(thing), type(thing)
        assert CANARY not in f"{thing}", type(thing)


def test_our_loggers_say_nothing_of_requests_at_any_level(system: System, caplog: pytest.LogCaptureFixture) -> None:
    import asyncio

    from tests.services.moving import move, parts, plan

    system.records, system.on_write = [canaries(1)], (lambda _one: "refuse")
    with caplog.at_level(logging.DEBUG):
        asyncio.run(move(parts(system.credential()), plan(flow(map={"ext": "id", "email": "email"}))))
    assert CANARY not in caplog.text
