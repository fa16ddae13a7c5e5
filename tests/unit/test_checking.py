"""Every fault of a pipe at once, each with file, line, YAML path and cure; and what can only be seen across files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from integrator.authoring.checking import CheckedPipe, check
from integrator.authoring.library import check_all, find_pipe
from integrator.authoring.reading import read_text
from integrator.errors import ConfigError, PipeFaultsError
from tests.services.demo import ROOT
from tests.services.moving import checked, flow

TEN_FAULTS = """\
schedul: "@daily"
timezone: Mars/Phobos
flows:
  orders:
    after: [order]
    source: {connector: rst, credential: Shop, path: orders, entity_id: id, pages: {by: page_numbr}, since: {field: u, overlap: 5 minutes}}
    look_up: {a: {pth: /x}}
    where: status = "x"
    map:
      a: loer(x)
      b: __class__
      lines: {each: items, map: {p: decimal(price, 2)}}
      a: again
    destination: {connector: rest, credential: erp, path: /orders, match: {found: updat}, tolerte: 1}
    tolerate: some
"""


def faults_of(text: str) -> dict[str, Any]:
    made = check(CheckedPipe("acme", "sync", Path("sync.yaml"), "acme/sync.yaml"), read_text(text.encode(), "acme/sync.yaml"))
    return {fault.path: fault for fault in made.faults}


def test_ten_faults_are_told_at_once() -> None:
    faults = faults_of(TEN_FAULTS)
    expected = {
        "schedul": (1, "unknown key"), "timezone": (2, "no time zone"), "flows.orders.after[0]": (5, "no flow 'order'"), "flows.orders.source.connector": (6, "no connector 'rst'"),
        "flows.orders.source.credential": (6, "a name has"), "flows.orders.source.since.overlap": (6, "time span"), "flows.orders.look_up.a.pth": (7, "unknown key"),
        "flows.orders.where": (8, "not an expression"), "flows.orders.map.a": (13, "stands twice"), "flows.orders.map.b": (11, "not a member"), "flows.orders.map.lines.map.p": (12, "quotes"),
        "flows.orders.destination.match.found": (14, "should be"), "flows.orders.destination.tolerte": (14, "unknown key"), "flows.orders.tolerate": (15, "share of them"),
    }  # fmt: skip
    for path, (line, said) in expected.items():
        assert path in faults, f"{path} is not among {sorted(faults)}"
        assert faults[path].line == line, path
        assert said in faults[path].message, faults[path].message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": {"path": "items"}}, "begins with /"), ({"source": {"pages": {"by": "cursor"}}}, "need 'next'"), ({"source": {"params": {"s": "{since}"}}}, "no since:"),
        ({"source": {"since": {"field": "u"}}}, "no param or header asks"), ({"source": {"credential": None}}, "needs credential"), ({"source": {"by_id": {"path": "/x/{nr}"}}}, "no 'nr'"),
        ({"source": {"by_id": {"path": "/x", "up_to": 5}}}, "entity_ids"), ({"destination": {"match": {"found": "update"}}}, "needs params"),
        ({"destination": {"batch": {"size": 5}, "match": {"params": {"a": "{b}"}}}}, "beside batch"), ({"destination": {"success": "statuss in (200)", "body": {"a": "loer(x)"}}}, "lower"),
        ({"destination": {"path": "/x/{"}}, "not closed"), ({"source": {"records": "a..b"}}, "not an expression"), ({"source": {"since": {"field": "u", "zone": "Nowhere"}, "params": {"s": "{since}"}}}, "time zone"),
        ({"source": {"params": {"$filter": "a eq {since}"}, "since": {"field": "u"}}}, "odata(since)"), ({"destination": {"headers": {"a b": "c"}}}, "header's name"),
    ],
)  # fmt: skip
def test_faults_that_only_compiling_shows(change: dict[str, Any], said: str) -> None:
    made = checked(flow(**change))
    assert any(said in fault.message for fault in made.faults), [str(f) for f in made.faults]
    assert all(fault.line > 1 for fault in made.faults)


@pytest.mark.parametrize(
    "schedule", ["*/15 * * * *", "@daily", ["0 6 * * *", "30 18 * * 1-5"], {"every": "15m"}, {"every": "1d"}, None, "0 0 L * *"]
)
def test_good_schedules(schedule: Any) -> None:
    assert checked(flow(), schedule=schedule).faults == []


@pytest.mark.parametrize(
    "schedule",
    [
        "* * * *",
        "99 * * * *",
        "@fortnightly",
        {"every": "1s"},
        {"every": "soon"},
        {"after": ["sync"]},
        [],
        "every day",
        {"evry": "1m"},
        "*/0 * * * *",
    ],
)
def test_bad_schedules(schedule: Any) -> None:
    assert checked(flow(), schedule=schedule).faults


def test_a_circle_of_flows_is_a_fault() -> None:
    pipe = {"flows": {"a": {**flow(), "after": ["b"]}, "b": {**flow(), "after": ["a"]}}}
    assert any("circle" in f.message for f in faults_of(yaml.safe_dump(pipe)).values())


def write(dags: Path, place: str, text: str) -> None:
    (dags / place).parent.mkdir(parents=True, exist_ok=True)
    (dags / place).write_text(text)


def test_across_files(tmp_path: Path) -> None:
    good = yaml.safe_dump({"flows": {"items": flow()}})
    write(tmp_path, "acme/orders.yaml", good)
    write(tmp_path, "acme/sub/orders.yaml", good)
    write(tmp_path, "acme/later.yaml", yaml.safe_dump({"schedule": {"after": ["order"]}, "flows": {"items": flow()}}))
    write(tmp_path, "Acme2/x.yaml", good)
    write(tmp_path, "acme/Bad-Name.yaml", good)
    write(tmp_path, "other/orders.yaml", good)
    said = [str(fault) for one in check_all(tmp_path) for fault in one.faults]
    assert sum("is taken in this project" in one for one in said) == 2
    assert any("no pipe 'order'" in one and "orders" in one for one in said)
    assert any("no project name" in one for one in said)
    assert any("no pipe name" in one for one in said)
    assert not any(one.startswith("other/") for one in said)
    with pytest.raises(PipeFaultsError, match="is taken"):
        find_pipe(tmp_path, "acme", "orders")
    with pytest.raises(ConfigError, match="did you mean 'orders'"):
        find_pipe(tmp_path, "other", "order")
    with pytest.raises(ConfigError, match="no project 'othr'"):
        find_pipe(tmp_path, "othr", "orders")


def test_the_demo_pipe_is_good() -> None:
    assert [str(f) for one in check_all(ROOT / "dags") for f in one.faults] == []


def test_automatic_reruns_need_a_way_to_read_a_record_again() -> None:
    rows = {"by": "order_no", "refetch": {"path": "/rows/{order_no}", "records": "items"}}
    for source, combine, faulty in (({"by_id": None}, None, True), ({}, None, False), ({"by_id": None}, rows, False)):
        more = {"combine": combine, "map": {"ext": "key"}} if combine else {}
        made = checked(flow(source=source, rerun={"automatic": True}, **more))
        assert any(fault.path == "flows.items.rerun" for fault in made.faults) is faulty, made.faults
