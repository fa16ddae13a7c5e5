"""Calls after the write: in order, with the answer; a rerun does only what is missing, and a crash loses none of them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from integrator.model.run import Status
from tests.services import move_process
from tests.services.moving import checked, failures, move, parts, plan, rerun
from tests.services.office import Served, kill_among_calls

MATCH = {"params": {"external_no": "{external_no}"}, "records": "data", "found": "leave"}
BACK = {"credential": "shop", "method": "PATCH", "path": "/orders/{source.id}", "map": {"erp_number": "answer.number"}}
NOTE = {
    "credential": "shop", "path": "/orders/{source.id}/comments", "map": {"text": {"text": "is {answer.number}"}},
}  # fmt: skip
ONCE = {**NOTE, "path": "/notes", "map": {"order": "source.id", "text": {"text": "is {answer.number}"}},
        "match": {"params": {"order": "{source.id}"}, "records": "data"}}  # fmt: skip


def flow(then: list[dict[str, Any]], match: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "source": {
            "connector": "rest", "credential": "shop", "path": "/orders", "records": "data", "entity_id": "id",
            "params": {"status": "new"}, "pages": {"by": "offset", "per_page": 50, "total": "total"},
            "by_id": {"path": "/orders/{entity_id}"},
        },
        "map": {"external_no": "id"},
        "destination": {"connector": "rest", "credential": "erp", "path": "/orders", "match": match or MATCH},
        "then": then,
        **more,
    }  # fmt: skip


def orders(shop: Served, count: int) -> None:
    shop.office.put("orders", *({"id": f"o{n}", "status": "new"} for n in range(count)))


def told_back(shop: Served, erp: Served) -> None:
    """Every order is in the ERP once, and the shop knows its number."""
    made = erp.office.by("orders", "external_no")
    for order in shop.office.all("orders"):
        assert order["erp_number"] == made[order["id"]]["number"]


async def test_the_number_goes_back(shop: Served, erp: Served) -> None:
    orders(shop, 120)
    report = await move(parts(shop.credential(), erp.credential()), plan(flow([BACK, ONCE])))
    assert (report.counts.created, report.status) == (120, Status.SUCCESS)
    told_back(shop, erp)
    assert len(shop.office.by("notes", "order")) == 120


@pytest.mark.parametrize("finds", [True, False], ids=["match finds it", "the search lags behind"])
async def test_a_write_that_is_answered_without_a_body_sends_no_null_back(shop: Served, erp: Served, finds: bool) -> None:
    orders(shop, 1)
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow([BACK], tolerate=5))

    def before(_request: web.Request, call: str) -> Any:
        if call == "POST orders":
            erp.office.put("orders", {"external_no": "o0", "number": "N7"})
            return web.Response(status=201)
        return web.json_response({"data": []}) if call == "GET orders" and not finds else None

    erp.office.before = before
    report = await move(made, compiled)
    if not finds:
        assert {(row.stage, row.field, row.code) for row in failures(made).values()} == {("then", "then[0]", "no_answer")}
        assert "erp_number" not in shop.office.all("orders")[0]
        erp.office.before = lambda _r, _c: None
        report = await rerun(made, compiled)
    assert (report.status, len(erp.office.all("orders"))) == (Status.SUCCESS, 1)
    told_back(shop, erp)


async def test_a_call_that_fails_is_a_failure_of_its_own_stage_and_a_rerun_makes_only_it(shop: Served, erp: Served) -> None:
    orders(shop, 10)
    shop.office.before = lambda _r, call: (
        web.json_response({"error": {"code": "NO"}}, status=422) if call == "POST notes" else None
    )
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow([BACK, ONCE], tolerate=10))
    report = await move(made, compiled)
    assert (report.counts.failed, report.counts.created) == (10, 0)
    assert {(row.stage, row.field, row.http_status) for row in failures(made).values()} == {("then", "then[1]", 422)}
    shop.office.before = lambda _r, _c: None
    before = (erp.office.calls["POST orders"], shop.office.calls["PATCH orders"])
    again = await rerun(made, compiled)
    assert (again.counts.updated, again.status) == (10, Status.SUCCESS)
    assert (erp.office.calls["POST orders"], shop.office.calls["PATCH orders"]) == before
    assert len(shop.office.by("notes", "order")) == 10
    assert not failures(made)


async def test_the_next_run_does_not_take_a_missing_call_for_done(shop: Served, erp: Served) -> None:
    orders(shop, 5)
    shop.office.before = lambda _r, call: web.Response(status=422) if call == "PATCH orders" else None
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow([BACK], tolerate=10))
    assert (await move(made, compiled)).counts.failed == 5
    shop.office.before = lambda _r, _c: None
    report = await move(made, compiled)  # it finds the orders in the ERP, and still writes back
    assert report.counts.updated == 5
    told_back(shop, erp)
    assert not failures(made)


async def test_calls_that_cannot_be_repeated_are_left_to_a_rerun(shop: Served, erp: Served) -> None:
    orders(shop, 3)
    shop.office.before = lambda _r, call: web.Response(status=422) if call == "POST orders" else None
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow([NOTE], tolerate=10))
    assert (await move(made, compiled)).counts.failed == 3
    shop.office.before = lambda _r, _c: None
    assert (await move(made, compiled)).counts.skipped == 3
    assert len(failures(made)) == 3
    assert (await rerun(made, compiled)).counts.updated == 3
    assert [len(one["comments"]) for one in shop.office.all("orders")] == [1, 1, 1]


async def test_when_says_for_which_records(shop: Served, erp: Served) -> None:
    orders(shop, 4)
    await move(parts(shop.credential(), erp.credential()), plan(flow([{**BACK, "when": 'source.id in ("o1", "o2")'}])))
    assert [one["id"] for one in shop.office.all("orders") if "erp_number" in one] == ["o1", "o2"]


async def test_a_lost_answer_of_a_call_is_settled_by_its_match_or_unknown(shop: Served, erp: Served) -> None:
    orders(shop, 6)
    shop.office.before = lambda _r, call: "drop_after" if call == "POST notes" else None
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow([ONCE]))
    assert (await move(made, compiled)).counts.created == 6
    assert len(shop.office.by("notes", "order")) == 6
    shop.office.before = lambda _r, call: "drop_after" if call == "POST orders" else None
    shop.office.put("orders", {"id": "p", "status": "new"})
    unsafe = plan(flow([NOTE], tolerate=10))
    report = await move(made, unsafe)
    assert (report.counts.unknown, failures(made)["p"].stage) == (1, "then")
    again = await rerun(made, unsafe, entity_ids=("p",))
    assert again.counts.read == 1  # only by name is it sent again


async def test_a_system_for_calls_that_is_away_ends_the_run_before_all_records_fail(shop: Served, erp: Served) -> None:
    from integrator.errors import TryAgainError

    orders(shop, 400)
    shop.office.before = lambda _r, call: (
        web.Response(status=503, headers={"Retry-After": "0.01"}) if call == "PATCH orders" else None
    )
    made, compiled = parts(shop.credential(), erp.credential(), attempts=2), plan(flow([BACK]))
    with pytest.raises(TryAgainError):
        await move(made, compiled)
    assert 0 < len(failures(made)) < 200
    assert {row.stage for row in failures(made).values()} == {"then"}
    shop.office.before = lambda _r, _c: None
    await move(made, compiled)
    await rerun(made, compiled)
    told_back(shop, erp)


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment_every_order_is_told_back_once(shop: Served, erp: Served, tmp_path: Path, seed: int) -> None:
    """The worker dies twice at random moments; Airflow's retry and a rerun finish: one order each, and its number at the shop."""
    orders(shop, 150)
    shop.office.latency_s = erp.office.latency_s = 0.002
    spec = {"flow": flow([BACK, ONCE]), "systems": {"shop": shop.url, "erp": erp.url},
            "journal": f"sqlite:///{tmp_path / 'journal.db'}", "dag_run": "r1", "last_try": False}  # fmt: skip
    chance = random.Random(seed)
    for _attempt in range(2):
        process = move_process.start(tmp_path, **spec)
        kill_among_calls(process, (shop, erp), 400, chance)
    process = move_process.start(tmp_path, **spec)
    told = json.loads(process.communicate(timeout=60)[0].splitlines()[-1])
    assert told["read"] == sum(
        told[kind] for kind in ("created", "updated", "deleted", "skipped", "waiting", "failed", "unknown")
    )
    told_back(shop, erp)
    assert len(shop.office.by("notes", "order")) == 150


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"then": [{**BACK, "path": "/orders/{nosuch("}]}, "not an expression"),
        ({"then": [{key: value for key, value in BACK.items() if key != "credential"}]}, "needs credential"),
        ({"then": [{**BACK, "method": "GET"}]}, "then"),
        (
            {"then": [BACK], "destination": {"connector": "rest", "credential": "erp", "path": "/orders"}},
            "must not write the record again",
        ),
        (
            {"then": [BACK], "destination": {"connector": "rest", "credential": "erp", "path": "/orders", "batch": {}}},
            "not a batch",
        ),
    ],
)
def test_faults_say_where_and_what(more: dict[str, Any], said: str) -> None:
    faults = checked({**flow([BACK]), **more}).faults
    assert any(said in str(fault) for fault in faults), faults


async def test_a_create_whose_answer_is_lost_tells_back_what_was_found(shop: Served, erp: Served) -> None:
    orders(shop, 3)
    erp.office.before = lambda _r, call: "drop_after" if call == "POST orders" else None
    assert (await move(parts(shop.credential(), erp.credential()), plan(flow([BACK])))).counts.created == 3
    told_back(shop, erp)
