"""P1 on the longer way: what look-ups find, what parts hold, what calls after the write say, and files leave nothing behind either."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.scenarios.test_p1_no_copy_is_kept import CANARY, STUB, Place
from tests.scenarios.test_steps_deletes import flow as delete_flow
from tests.services import warm
from tests.services.demo import ROOT
from tests.services.moving import failures, move, parts, plan
from tests.services.office import Served

FLOW: dict[str, Any] = {
    "source": {"connector": "rest", "credential": "shop", "path": "/orders", "records": "data", "entity_id": "id",
               "pages": {"by": "offset", "per_page": 20, "total": "total"}, "by_id": {"path": "/orders/{entity_id}"},
               "since": {"field": "updated_at"}, "params": {"since": "{since}"}},
    "split": {"each": "lines", "key": "line"},
    "look_up": {
        "customer": {"credential": "erp", "path": "/customers", "params": {"email": "{parent.email}"}, "records": "data",
                     "missing": {"create": {"path": "/customers", "map": {"email": "parent.email", "name": "parent.name"}}}},
        "all": {"credential": "erp", "path": "/tables", "records": "data", "preload": True, "key": {"code": "code"}, "missing": None},
        "picture": {"credential": "shop", "url": "parent.picture", "file": True, "missing": None},
    },
    "map": {"ext": {"text": "{parent.id}-{line}"}, "customer": "look_up.customer.name", "note": "note", "told": "look_up.all.told"},
    "destination": {"connector": "rest", "credential": "erp", "path": "/lines", "match": {"params": {"ext": "{ext}"}, "records": "data", "same": "skip"},
                    "form": {"picture": "look_up.picture", "ext": "ext", "note": "note"}, "delete": {"when": "source.gone", "at_most": 5}},
    "then": [{"credential": "shop", "method": "PATCH", "path": "/orders/{parent.id}", "map": {"number": "answer.id", "note": "source.note"}}],
    "tolerate": 50,
}  # fmt: skip


class Two(Place):
    """The command line between two systems, and everything that it may leave behind."""

    def __init__(self, folder: Path, shop: Served, erp: Served) -> None:
        self.home, self.dags, self.work, self.said = folder / "home", folder / "dags", folder / "work", ""
        self.work.mkdir()
        self.sides = {"SHOP": shop, "ERP": erp}
        project = self.dags / "acme"
        project.mkdir(parents=True)
        (project / "load_pipes.py").write_text(STUB)
        flow = {**FLOW, "destination": {key: value for key, value in FLOW["destination"].items() if key != "form"}}
        (project / "lines.yaml").write_text(yaml.safe_dump({"flows": {"lines": flow}}))
        (project / "forms.yaml").write_text(yaml.safe_dump({"flows": {"lines": FLOW}}))
        (project / "shadow.yaml").write_text(yaml.safe_dump({"flows": {"lines": {**flow, "shadow": True}}}))

    def start(self, *arguments: str) -> warm.Forked:
        environ = {**os.environ, "INTEGRATOR_HOME": str(self.home), "TMPDIR": str(self.work), "PYTHONPATH": str(ROOT / "plugins")}
        environ |= {"AIRFLOW__INTEGRATOR__BACK_OFF_S": "0.01", "AIRFLOW__INTEGRATOR__ATTEMPTS": "2"}
        for name, side in self.sides.items():
            value = {"conn_type": "integrator_none", "host": side.url, "extra": {"plain_http": True}}
            environ[f"AIRFLOW_CONN_ACME__{name}"] = json.dumps(value)
        return warm.start("integrator.cli", *arguments, "--dags", str(self.dags), env=environ, cwd=self.work, merged=True)


@pytest.fixture
def two(tmp_path: Path, shop: Served, erp: Served) -> Two:
    shop.office.files["pictures"] = {f"{CANARY}.png": f"{CANARY} in a picture".encode()}
    for n in range(12):
        lines = [{"line": str(at), "note": f"{CANARY}{n}-{at}", "code": f"{CANARY}-code", "gone": n == 3} for at in range(3)]
        shop.office.put("orders", {"id": f"o{n}", "email": f"{CANARY}{n}@x.example", "name": f"{CANARY} name", "lines": lines,
                                   "picture": f"/files/pictures/{CANARY}.png"})  # fmt: skip
    erp.office.put("tables", {"code": f"{CANARY}-code", "told": f"{CANARY} told"})
    erp.office.put("lines", {"ext": "o3-1", "note": f"{CANARY} to be deleted"})
    return Two(tmp_path, shop, erp)


def echo(status: int) -> Any:
    """Return an answer that holds what a system knows, as systems do when they refuse."""
    body = {
        "error": {"code": f"{CANARY}-code", "message": CANARY},
        "errors": [{"code": f"{CANARY} y"}],
        "data": CANARY,
        "id": {CANARY: CANARY},
    }
    return web.json_response(body, status=status, headers={"Retry-After": "0.01", "X-Told": CANARY})


CALLS = [
    "GET customers",
    "POST customers",
    "GET tables",
    "GET files",
    "GET lines",
    "POST lines",
    "PATCH lines",
    "DELETE lines",
    "PATCH orders",
    "GET orders",
]


@pytest.mark.parametrize(
    ("call", "status"), [(call, status) for call in CALLS for status in ((200, 503) if "GET" in call else (422,))]
)
def test_nothing_but_ids_is_left_when_a_call_fails(two: Two, shop: Served, erp: Served, call: str, status: int) -> None:
    for side in (shop, erp):
        side.office.before = lambda _request, made: echo(status) if made == call else None
    for pipe in ("lines", "forms") if call == "POST lines" else ("lines",):
        two.run("run", f"acme/{pipe}")
    two.run("rerun", "acme/lines", "--all")
    two.run("run", "acme/shadow")
    assert two.holding(CANARY) == []


def test_nothing_is_left_of_a_run_that_goes_well_and_of_looking_at_it(two: Two) -> None:
    assert "12 read, 11 created, 1 deleted" in two.run("run", "acme/lines")
    two.run("runs")
    two.run("failures", "acme/lines")
    said, two.said = two.said, ""
    two.run("trace", "acme/lines", "o1")  # shown, and not kept
    two.run("compare", "acme/lines")
    two.run("preview", "acme/lines")
    two.said = said
    assert two.holding(CANARY) == []


async def test_no_code_is_kept_that_stands_in_the_record_on_the_other_side(shop: Served, erp: Served) -> None:
    """The destination echoes what it has: of a record that was found, of the record it changed, of one that was only listed."""
    for n in range(4):
        erp.office.put("items", {"id": f"s{n}", "sku": f"s{n}", "name": "new", "ended": n == 1})
        shop.office.put("items", {"id": f"i{n}", "key": f"s{n}", "name": "old", "owner": f"{CANARY}-{n}"})
    erp.office.remove("items", "s2")
    refused = {"PATCH /items/i0", "DELETE /items/i1", "DELETE /items/i2", "POST /items/i3/notes"}

    def before(request: web.Request, _call: str) -> Any:
        if f"{request.method} {request.path}" not in refused:
            return None
        code = request.path.split("/")[2].replace("i", f"{CANARY}-")
        return web.json_response({"error": {"code": code}}, status=422)

    shop.office.before = before
    made = parts(shop.credential(), erp.credential())
    note = {"credential": "shop", "path": "/items/{answer.id}/notes", "map": {"text": {"text": "x"}}}
    delete = {"when": "source.ended", "absent": True, "at_most": 5}
    report = await move(made, plan(delete_flow(delete, then=[note], tolerate=5)))
    assert report.counts.failed == 4
    assert {row.code for row in failures(made).values()} == {None}
