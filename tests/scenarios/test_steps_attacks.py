"""Hostile data, systems that are away in parts, and processes that die: nothing lost, nothing doubled, no call too many."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from integrator.engine.comparing import compare
from integrator.engine.move import Asked
from integrator.engine.preview import look_at, preview
from integrator.errors import TryAgainError
from integrator.model.run import Status
from tests.scenarios.test_steps_deletes import LIST
from tests.scenarios.test_steps_look_up import CUSTOMER, customers, order_flow, orders
from tests.scenarios.test_steps_parts import items, price_flow
from tests.scenarios.test_steps_then import BACK, ONCE, told_back
from tests.scenarios.test_steps_then import flow as then_flow
from tests.services import move_process
from tests.services.moving import failures, move, parts, plan, rerun
from tests.services.office import Served, kill_among_calls

AWAY = {"status": 503, "headers": {"Retry-After": "0.01"}}


def away(*calls: str) -> Any:
    return lambda _request, call: web.Response(**AWAY) if call in calls else None  # type: ignore[arg-type]


async def test_a_destination_that_is_away_is_no_thousand_failures_though_look_ups_skip(shop: Served, erp: Served) -> None:
    orders(shop, 400, 200)
    customers(erp, *range(0, 200, 2))
    erp.office.before = away("GET orders", "POST orders")
    made = parts(shop.credential(), erp.credential(), attempts=2)
    with pytest.raises(TryAgainError):
        await move(made, plan(order_flow({"customer": {**CUSTOMER, "missing": "skip"}})))
    assert len(failures(made)) < 100


async def test_a_look_up_system_that_is_away_is_no_thousand_failures_though_some_keys_are_known(
    shop: Served, erp: Served
) -> None:
    orders(shop, 60, 2)
    shop.office.put("orders", *({"id": f"z{n}", "email": f"z{n}@x.example"} for n in range(400)))
    customers(erp, 0, 1)
    made = parts(shop.credential(), erp.credential(), attempts=2)
    erp.office.before = lambda request, call: (
        web.Response(**AWAY) if call == "GET customers" and request.query["email"].startswith("z") else None  # type: ignore[arg-type]
    )
    with pytest.raises(TryAgainError):
        await move(made, plan(order_flow({"customer": CUSTOMER})))
    assert len(failures(made)) < 150
    assert {row.error for row in failures(made).values()} <= {"UnavailableError"}


async def test_each_record_fails_by_itself_when_the_look_up_that_they_share_does(shop: Served, erp: Served) -> None:
    orders(shop, 50, 1)
    erp.office.latency_s = 0.02
    erp.office.before = lambda _r, call: web.Response(status=400) if call == "GET customers" else None
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(order_flow({"customer": CUSTOMER}, tolerate=50)))
    assert (report.counts.failed, len(failures(made)), report.counts.adds_up()) == (50, 50, True)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(text="<html>no</html>", content_type="text/html"),
        lambda: web.Response(body=b'{"data":' + b"[" * 5000 + b"]" * 5000 + b"}", content_type="application/json"),
        lambda: web.json_response({"data": [1, 2]}),
        lambda: web.json_response({"data": "text"}),
        lambda: web.json_response({"other": []}),
        lambda: web.Response(status=500, text="oops"),
    ],
    ids=["html", "deep", "numbers", "text", "elsewhere", "500"],
)
async def test_a_look_ups_odd_answer_costs_its_record_only(shop: Served, erp: Served, answer: Any) -> None:
    orders(shop, 10, 10)
    customers(erp, *range(10))
    odd = "c3@x.example"
    erp.office.before = lambda request, call: answer() if call == "GET customers" and request.query["email"] == odd else None
    made = parts(shop.credential(), erp.credential(), attempts=2)
    report = await move(made, plan(order_flow({"customer": CUSTOMER}, tolerate=1)))
    assert (report.counts.created, report.counts.failed) == (9, 1)
    assert failures(made)["o3"].stage == "look_up"


KEYS = ["../../x", "a#b", "' or 1 eq 1", "7", 7, "ü" * 128, "\u202ex", "x" * 257, "a\x00b", "?q", "", None, 1.5, True, {"a": 1}]


@pytest.mark.parametrize("key", KEYS, ids=repr)
async def test_hostile_part_keys_change_no_address_and_break_no_run(shop: Served, erp: Served, key: Any) -> None:
    erp.office.put("items", {"id": "s", "sku": "s", "prices": [{"list_id": key, "amount": 1}, {"list_id": "good", "amount": 2}]})
    shop.office.before = lambda _r, call: web.Response(status=422) if call == "POST prices" else None
    made = parts(shop.credential(), erp.credential())
    flow = price_flow(tolerate=1)
    report = await move(made, plan(flow))
    assert report.counts.adds_up()
    assert {request.split()[1] for request in shop.office.calls} <= {"prices"}
    kept = failures(made)["s"].parts
    assert "good" in kept or kept == ()
    shop.office.before = lambda _r, _c: None
    await rerun(made, plan(flow))
    assert len(shop.office.all("prices")) in (0, 2)  # a key that cannot be kept fails the record as a whole


async def test_parts_that_failed_at_different_stages_are_all_done_by_a_rerun(shop: Served, erp: Served) -> None:
    items(erp, 4)
    told = {"credential": "erp", "method": "PATCH", "path": "/items/{parent.sku}", "map": {"told": "answer.key"}}
    flow = price_flow(then=[told], tolerate=4)
    shop.office.put("prices", *({"key": f"s{n}-l1", "amount": "9"} for n in range(4)))
    shop.office.before = lambda _r, call: web.Response(status=422) if call == "PATCH prices" else None
    erp.office.before = lambda _r, call: web.Response(status=422) if call == "PATCH items" else None
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow)
    assert (await move(made, compiled)).counts.failed == 4
    for side in shop, erp:
        side.office.before = lambda _r, _c: None
    assert (await rerun(made, compiled)).status is Status.SUCCESS
    there = shop.office.by("prices", "key")
    assert {str(there[f"s{n}-l1"]["amount"]) for n in range(4)} == {f"{n}.10" for n in range(4)}
    assert all("told" in one for one in erp.office.all("items"))


async def test_a_rerun_after_the_key_of_parts_has_changed_writes_all_of_them(shop: Served, erp: Served) -> None:
    items(erp, 2)
    shop.office.before = lambda _r, call: web.Response(status=422) if call == "POST prices" else None
    made = parts(shop.credential(), erp.credential())
    await move(made, plan(price_flow(tolerate=2)))
    shop.office.before = lambda _r, _c: None
    report = await rerun(made, plan(price_flow(split={"each": "prices", "key": "amount"})))
    assert (report.counts.created, len(shop.office.by("prices", "key"))) == (2, 6)


@pytest.mark.parametrize(("ended", "deleted"), [(2, 2), (3, 0)])
async def test_at_most_is_exact(shop: Served, erp: Served, ended: int, deleted: int) -> None:
    from tests.scenarios.test_steps_deletes import flow, stocked

    stocked(shop, erp, 100)
    for n in range(ended):
        erp.office.change("items", f"s{n}", ended=True)
    report = await move(
        parts(shop.credential(), erp.credential()), plan(flow({"when": "source.ended", "at_most": "2%"}, tolerate=9))
    )
    assert report.counts.deleted == deleted


async def test_what_is_absent_is_told_by_all_members_of_its_key(shop: Served, erp: Served) -> None:
    for side in shop, erp:
        side.office.put("stock", *({"sku": f"s{n // 3}", "house": n % 3, "n": n} for n in range(150)))
    for one in erp.office.all("stock")[10:12]:
        erp.office.remove("stock", str(one["id"]))
    flow = {
        "source": {"connector": "rest", "credential": "erp", "path": "/stock", "records": "data", "entity_id": ["sku", "house"],
                   "pages": {"by": "page_number", "per_page": 40, "total": "total"}},
        "map": {"sku": "sku", "house": "house", "n": "n"},
        "destination": {"connector": "rest", "credential": "shop", "path": "/stock",
                        "match": {"params": {"sku": "{sku}", "house": "{house}"}, "records": "data", "same": "skip"},
                        "list": {**LIST, "key": {"sku": "sku", "house": "house"}, "pages": {**LIST["pages"], "per_page": 40}},
                        "delete": {"absent": True, "at_most": 5}},
    }  # fmt: skip
    report = await move(parts(shop.credential(), erp.credential()), plan(flow))
    assert (report.counts.deleted, report.counts.skipped) == (2, 148)
    assert {one["n"] for one in shop.office.all("stock")} == set(range(150)) - {10, 11}


def everything(**more: Any) -> dict[str, Any]:
    """A flow that would write in every way there is."""
    return {
        "source": {"connector": "rest", "credential": "shop", "path": "/orders", "records": "data", "entity_id": "id",
                   "pages": {"by": "offset", "per_page": 20, "total": "total"}, "by_id": {"path": "/orders/{entity_id}"}},
        "look_up": {"customer": {**CUSTOMER, "missing": {"create": {"path": "/customers", "map": {"email": "lower(email)"}}}}},
        "map": {"external_no": "id", "customer_id": "look_up.customer"},
        "destination": {"connector": "rest", "credential": "erp", "path": "/orders",
                        "match": {"params": {"external_no": "{external_no}"}, "records": "data"},
                        "list": {**LIST, "key": "external_no"}, "delete": {"when": "source.gone", "absent": True, "at_most": 9}},
        "then": [BACK],
        **more,
    }  # fmt: skip


async def test_a_shadow_preview_trace_or_comparison_only_asks(shop: Served, erp: Served) -> None:
    orders(shop, 30, 5)
    shop.office.change("orders", "o3", gone=True)
    erp.office.put("orders", {"external_no": "o3"}, {"external_no": "o4", "customer_id": "x"}, {"external_no": "nobody's"})
    made, compiled = parts(shop.credential(), erp.credential()), plan(everything())
    report = await move(made, plan(everything(shadow=True)))
    assert (report.counts.created, report.counts.updated, report.counts.deleted) == (28, 1, 2)
    flow = made.open_flow(compiled, to_show=True)
    assert len([one async for one in preview(flow, 100)]) == 30
    assert [one.would async for one in look_at(flow, ["o3", "o4", "none"])] == ["delete", "update", "skip"]
    told = await compare(flow, made.hash_key)
    assert (told.counts["missing"], told.counts["different"], told.ids["extra"]) == (28, 2, ["nobody's"])
    await flow.close()
    for side in shop, erp:
        assert {call.split()[0] for call in side.office.calls} == {"GET"}
    live = await move(made, compiled)
    assert (live.counts.created, live.counts.updated, live.counts.deleted) == (28, 1, 2)
    assert not failures(made)


def told_by(process: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(process.communicate(timeout=60)[0].splitlines()[-1])
    assert told["read"] == sum(
        told[kind] for kind in ("created", "updated", "deleted", "skipped", "waiting", "failed", "unknown")
    )
    return told


def finish(folder: Path, spec: dict[str, Any]) -> dict[str, Any]:
    return told_by(move_process.start(folder, **spec))


def kill(folder: Path, spec: dict[str, Any], sides: tuple[Served, Served], chance: random.Random) -> dict[str, Any] | None:
    """Kill a run at a random moment; returns what it told if it had ended before."""
    process = move_process.start(folder, **spec)
    if not kill_among_calls(process, sides, 200, chance):
        return told_by(process)
    ended = [run for run in move_process.journal_at(spec["journal"]).runs(limit=1) if run.ended_at is not None]
    return None if not ended or spec.get("rerun") else next(iter(ended[0].flows.values()))  # killed on its way out


@pytest.mark.parametrize("seed", range(3))
def test_killed_reruns_make_every_missing_call_once(shop: Served, erp: Served, tmp_path: Path, seed: int) -> None:
    shop.office.put("orders", *({"id": f"o{n}", "status": "new"} for n in range(120)))
    shop.office.before = lambda _r, call: web.Response(status=422) if call in ("PATCH orders", "POST notes") else None
    spec = {"flow": then_flow([BACK, ONCE], tolerate=500), "systems": {"shop": shop.url, "erp": erp.url},
            "journal": f"sqlite:///{tmp_path / 'journal.db'}"}  # fmt: skip
    assert finish(tmp_path, {**spec, "dag_run": "r1"})["failed"] == 120
    shop.office.before = lambda _r, _c: None
    shop.office.latency_s = erp.office.latency_s = 0.003
    chance = random.Random(seed)
    for _times in range(2):
        kill(tmp_path, {**spec, "rerun": True}, (shop, erp), chance)
    finish(tmp_path, {**spec, "rerun": True})
    told_back(shop, erp)
    assert len(shop.office.by("notes", "order")) == 120


@pytest.mark.parametrize("seed", range(3))
def test_killed_where_nothing_can_be_repeated_nothing_is_doubled(shop: Served, erp: Served, tmp_path: Path, seed: int) -> None:
    orders(shop, 300, 40)
    customers(erp, *range(40))
    erp.office.unique.clear()
    erp.office.latency_s = 0.02
    flow = order_flow({"customer": CUSTOMER}, tolerate=300)
    del flow["destination"]["match"]
    flow["destination"]["in_flight"] = 4  # slow enough that it never ends before it is killed
    spec = {"flow": flow, "systems": {"shop": shop.url, "erp": erp.url}, "journal": f"sqlite:///{tmp_path / 'journal.db'}",
            "dag_run": "r1", "last_try": False}  # fmt: skip
    chance = random.Random(seed)
    # A run that has ended is not taken up again: whoever starts it once more asks for a new one.
    sides = (shop, erp)
    told = kill(tmp_path, spec, sides, chance) or kill(tmp_path, spec, sides, chance) or finish(tmp_path, spec)
    stored = erp.office.by("orders", "external_no")  # it refuses to tell of one that stands twice
    assert len(stored) >= told["read"] - told["unknown"] > 0


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%SZ", "epoch"])
async def test_windows_may_begin_where_a_person_says_and_in_any_form(shop: Served, erp: Served, form: str) -> None:
    from datetime import UTC, datetime

    begin = 1_767_225_600  # 2026-01-01
    for n in range(100):
        at: Any = begin + 3600 * n
        written = at if form == "epoch" else datetime.fromtimestamp(at, UTC).strftime(form)
        erp.office.put("items", {"sku": f"s{n}", "name": "x", "updated_at": written})
    flow = {
        "source": {"connector": "rest", "credential": "erp", "path": "/items", "records": "data", "entity_id": "sku",
                   "params": {"since": "{since}", "until": "{until}"}, "pages": {"by": "page_number", "per_page": 20, "total": "total"},
                   "since": {"field": "updated_at", "format": form, "start": "2026-01-01", "window": "1d"}},
        "map": {"key": "sku"},
        "destination": {"connector": "rest", "credential": "shop", "path": "/items", "match": {"params": {"key": "{key}"}, "records": "data"}},
    }  # fmt: skip
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow)
    assert (await move(made, compiled, Asked(since="2026-01-03"))).counts.created == 52
    assert (await move(made, compiled, Asked(full=True))).counts.read == 100
    assert len(shop.office.by("items", "key")) == 100
