"""One record to many parts, and many rows to one record: each part by itself, counted apart, and only what failed again."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from integrator.engine.move import Asked
from integrator.model.run import Status
from tests.services import move_process
from tests.services.moving import checked, failures, move, parts, plan, rerun
from tests.services.office import Served, kill_among_calls


def price_flow(destination: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "source": {
            "connector": "rest", "credential": "erp", "path": "/items", "records": "data", "entity_id": "sku",
            "pages": {"by": "page_number", "per_page": 50, "total": "total"},
            "by_id": {"params": {"sku": "{entity_id}"}, "records": "data"},
        },
        "split": {"each": "prices", "key": "list_id"},
        "map": {"sku": "parent.sku", "list": "list_id", "amount": "decimal(amount, 2)", "key": {"text": "{parent.sku}-{list_id}"}},
        "destination": {
            "connector": "rest", "credential": "shop", "path": "/prices",
            **(destination or {"match": {"params": {"key": "{key}"}, "records": "data", "same": "skip"}}),
        },
        **more,
    }  # fmt: skip


BULK = {"batch": {"path": "/prices/bulk", "size": 7, "body": {"items": "records"},
                  "answer": {"records": "results", "by": "index", "success": 'code == "ok"', "code": "code"}}}  # fmt: skip


def items(erp: Served, count: int, lists: int = 3) -> None:
    for n in range(count):
        erp.office.put(
            "items", {"id": f"s{n}", "sku": f"s{n}", "prices": [{"list_id": f"l{p}", "amount": f"{n}.{p}"} for p in range(lists)]}
        )


async def test_each_part_is_written_and_counted_apart(shop: Served, erp: Served) -> None:
    items(erp, 60)
    erp.office.put("items", {"id": "none", "sku": "none", "prices": []}, {"id": "null", "sku": "null"})
    made, compiled = parts(shop.credential(), erp.credential()), plan(price_flow())
    report = await move(made, compiled)
    assert (report.counts.read, report.counts.created, report.counts.skipped, report.counts.parts) == (62, 60, 2, 180)
    assert len(shop.office.by("prices", "key")) == 180
    assert shop.office.by("prices", "key")["s5-l2"]["amount"] == Decimal("5.20")
    again = await move(made, compiled)
    assert (again.counts.skipped, again.counts.parts, shop.office.calls["PATCH prices"]) == (62, 180, 0)


@pytest.mark.parametrize("destination", [None, BULK], ids=["one by one", "in batches"])
async def test_a_rerun_sends_the_parts_that_failed_and_no_other(shop: Served, erp: Served, destination: Any) -> None:
    shop.office.unique["prices"] = "key"
    items(erp, 20)
    bad = {"s3-l1", "s3-l2", "s9-l0"}
    if destination is None:
        refused = web.json_response

        async def keyed(request: web.Request) -> str:
            return str((await request.json()).get("key"))

        shop.office.before = lambda _r, _c: None
        original = shop.office._create

        async def create(request: web.Request) -> web.StreamResponse:
            return refused({"error": {"code": "NO"}}, status=422) if await keyed(request) in bad else await original(request)

        shop.office._create = create  # type: ignore[method-assign]
        shop.stop()
        shop.start()
    else:
        for item in erp.office.all("items"):
            for price in item["prices"]:
                price["refuse"] = f"{item['sku']}-{price['list_id']}" in bad
    flow = price_flow(destination, tolerate=5)
    if destination is not None:
        flow["map"] = {**flow["map"], "refuse": "refuse"}
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(flow))
    assert (report.counts.created, report.counts.failed, report.counts.parts, report.counts.parts_failed) == (18, 2, 60, 3)
    rows = failures(made)
    assert {name: row.parts for name, row in rows.items()} == {"s3": ("l1", "l2"), "s9": ("l0",)}
    assert len(shop.office.by("prices", "key")) == 57
    if destination is None:
        bad.clear()
    else:
        for item in erp.office.all("items"):
            for price in item["prices"]:
                price["refuse"] = False
    writes = shop.office.calls["POST prices"]
    again = await rerun(made, plan(flow))
    assert (again.counts.created, again.counts.parts, again.status) == (2, 3, Status.SUCCESS)
    assert shop.office.calls["POST prices"] - writes <= 3
    assert len(shop.office.by("prices", "key")) == 60
    assert not failures(made)


async def test_parts_without_a_usable_key_fail_their_record(shop: Served, erp: Served) -> None:
    erp.office.put(
        "items",
        {"id": "a", "sku": "a", "prices": [{"list_id": "l1", "amount": 1}, {"list_id": "l1", "amount": 2}]},
        {"id": "b", "sku": "b", "prices": [{"amount": 1}]},
        {"id": "c", "sku": "c", "prices": "many"},
        {"id": "d", "sku": "d", "prices": [1, 2]},
        {"id": "e", "sku": "e", "prices": [{"list_id": 7, "amount": "much"}, {"list_id": 8, "amount": 3}]},
    )
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(price_flow(tolerate=9)))
    assert (report.counts.failed, report.counts.created) == (5, 0)
    codes = {name: (row.code, row.field, row.parts) for name, row in failures(made).items()}
    assert codes["a"] == ("repeated_part", "split.key", ("l1",))
    assert codes["b"][:2] == ("entity_id_missing", "split.key")
    assert codes["c"][:2] == codes["d"][:2] == ("not_a_list", "split.each")
    assert codes["e"] == (None, "amount", ("7",))
    assert sorted(shop.office.by("prices", "key")) == ["a-l1", "e-8"]


async def test_look_ups_of_parts_know_the_part_and_its_record(shop: Served, erp: Served) -> None:
    items(erp, 10)
    shop.office.put("lists", *({"id": f"id-l{n}", "code": f"l{n}"} for n in range(3)))
    look = {"list": {"credential": "shop", "path": "/lists", "params": {"code": "{list_id}"}, "records": "data", "take": "id"}}
    flow = price_flow(look_up=look, map={"key": {"text": "{parent.sku}-{look_up.list}"}})
    report = await move(parts(shop.credential(), erp.credential()), plan(flow))
    assert (report.counts.created, report.counts.parts, shop.office.calls["GET lists"]) == (10, 30, 3)
    assert "s4-id-l2" in shop.office.by("prices", "key")


def stock(erp: Served, skus: int, warehouses: int = 4) -> None:
    for w in range(warehouses):
        erp.office.put(
            "stock", *({"id": f"s{n}@{w}", "sku": f"s{n}", "warehouse": f"w{w}", "on_hand": n + w} for n in range(skus))
        )


def combine_flow(combine: dict[str, Any] | None = None, source: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "source": {
            "connector": "rest", "credential": "erp", "path": "/stock", "records": "data", "entity_id": ["sku", "warehouse"],
            "pages": {"by": "page_number", "per_page": 50, "total": "total"}, **(source or {}),
        },
        "combine": combine or {"by": "sku", "sum": ["on_hand"], "list": "rows", "refetch": {"params": {"sku": "{sku}"}}},
        "map": {"key": "sku", "quantity": "on_hand", "houses": {"each": "rows", "map": "warehouse"}},
        "destination": {"connector": "rest", "credential": "shop", "path": "/stock", "create": {"method": "PUT", "path": "/stock/by/{key}"}},
        **more,
    }  # fmt: skip


async def test_rows_become_one_record_and_are_added_up(shop: Served, erp: Served) -> None:
    stock(erp, 60)
    report = await move(parts(shop.credential(), erp.credential()), plan(combine_flow()))
    assert (report.counts.read, report.counts.created, report.counts.parts) == (60, 60, 240)
    there = shop.office.by("stock", "key")
    assert (there["s7"]["quantity"], sorted(there["s7"]["houses"])) == (7 * 4 + 6, ["w0", "w1", "w2", "w3"])


async def test_a_changed_row_has_all_rows_of_its_key_read_again(shop: Served, erp: Served) -> None:
    stock(erp, 30)
    made = parts(shop.credential(), erp.credential())
    compiled = plan(combine_flow(source={"since": {"field": "updated_at"}, "params": {"since": "{since}"}}))
    assert (await move(made, compiled)).counts.created == 30
    erp.office.change("stock", "s5@2", on_hand=100)
    report = await move(made, compiled)
    assert (report.counts.read, report.counts.updated, report.counts.parts) == (1, 1, 4)
    assert shop.office.by("stock", "key")["s5"]["quantity"] == 5 + 6 + 100 + 8


async def test_a_combined_record_that_failed_is_rerun_by_its_key(shop: Served, erp: Served) -> None:
    stock(erp, 20)
    shop.office.before = lambda r, _c: web.Response(status=422) if r.path in ("/stock/by/s3", "/stock/by/s4") else None
    made, compiled = parts(shop.credential(), erp.credential()), plan(combine_flow(tolerate=2))
    assert (await move(made, compiled)).counts.failed == 2
    shop.office.before = lambda _r, _c: None
    for row in ("s4@0", "s4@1", "s4@2", "s4@3"):
        erp.office.remove("stock", row)
    again = await rerun(made, compiled)
    assert (again.counts.created, again.counts.skipped) == (1, 1)
    assert failures(made, "gone").keys() == {"s4"}
    assert (await move(made, compiled, Asked(entity_ids=("s7",)))).counts.updated == 1


async def test_a_row_that_cannot_be_added_up_costs_its_own_record_only(shop: Served, erp: Served) -> None:
    stock(erp, 5, 2)
    erp.office.change("stock", "s2@1", on_hand="many")
    erp.office.put("stock", {"id": "x", "warehouse": "w", "on_hand": 1})
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(combine_flow(tolerate=9)))
    assert (report.counts.created, report.counts.failed) == (4, 2)
    assert failures(made)["s2"].field == "on_hand"
    assert report.counts.adds_up()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["split", "combine"])
def test_killed_at_any_moment_the_other_side_ends_the_same(
    shop: Served, erp: Served, tmp_path: Path, kind: str, seed: int
) -> None:
    shop.office.unique["prices"] = "key"
    items(erp, 60)
    stock(erp, 150)
    shop.office.latency_s = 0.004
    spec = {"flow": price_flow() if kind == "split" else combine_flow(), "systems": {"shop": shop.url, "erp": erp.url},
            "journal": f"sqlite:///{tmp_path / 'journal.db'}", "dag_run": "r1", "last_try": False}  # fmt: skip
    chance = random.Random(seed)
    for _attempt in range(2):
        process = move_process.start(tmp_path, **spec)
        kill_among_calls(process, (shop, erp), 150, chance)
    for run in ("r1", "r2"):
        process = move_process.start(tmp_path, **{**spec, "dag_run": run})
        told = json.loads(process.communicate(timeout=60)[0].splitlines()[-1])
        assert told["read"] == sum(
            told[name] for name in ("created", "updated", "deleted", "skipped", "waiting", "failed", "unknown")
        )
        assert told["failed"] == 0
    if kind == "split":
        assert len(shop.office.by("prices", "key")) == 180
    else:
        assert shop.office.by("stock", "key")["s149"]["quantity"] == 149 * 4 + 6
        assert len(shop.office.all("stock")) == 150


@pytest.mark.parametrize(
    ("flow", "said"),
    [
        (price_flow(split={"each": "prices"}), "'key' is missing"),
        (price_flow(split={"each": "prices +", "key": "id"}), "not an expression"),
        (
            combine_flow(source={"since": {"field": "updated_at"}, "params": {"since": "{since}"}}, combine={"by": "sku"}),
            "refetch: reads all rows",
        ),
        (combine_flow(source={"by_id": {"path": "/stock/{entity_id}"}}), "not by by_id"),
        (combine_flow(combine={"by": "sku", "sum": ["sku"]}), "two members 'sku'"),
        (combine_flow(combine={"by": "sku", "refetch": {"params": {"x": "{skuu}"}}}), "did you mean 'sku'"),
    ],
)
def test_faults_say_where_and_what(flow: dict[str, Any], said: str) -> None:
    faults = checked(flow).faults
    assert any(said in str(fault) for fault in faults), faults
