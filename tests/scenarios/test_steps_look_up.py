"""Look-ups: one call for each distinct key, in order, and what becomes of a record whose look-up finds nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from integrator.engine.move import Asked
from integrator.errors import TryAgainError
from integrator.model.run import Status
from tests.services.moving import checked, failures, move, parts, plan, rerun
from tests.services.office import Served

CUSTOMER = {
    "credential": "erp", "path": "/customers", "params": {"email": "{lower(email)}"}, "records": "data", "take": "id",
}  # fmt: skip
MATCH = {"params": {"external_no": "{external_no}"}, "records": "data", "found": "leave"}


def order_flow(look_up: dict[str, Any], *, source: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "source": {
            "connector": "rest", "credential": "shop", "path": "/orders", "records": "data", "entity_id": "id",
            "pages": {"by": "page_number", "per_page": 100}, "by_id": {"path": "/orders/{entity_id}"}, **(source or {}),
        },
        "look_up": look_up,
        "map": {"external_no": "id", "customer_id": "look_up.customer"},
        "destination": {"connector": "rest", "credential": "erp", "path": "/orders", "match": MATCH},
        **more,
    }  # fmt: skip


def orders(shop: Served, count: int, customers: int) -> None:
    shop.office.put("orders", *({"id": f"o{n}", "email": f"C{n % customers}@x.example"} for n in range(count)))


def customers(erp: Served, *numbers: int) -> None:
    erp.office.put("customers", *({"id": f"k{n}", "email": f"c{n}@x.example"} for n in numbers))


async def test_each_distinct_key_is_asked_once(shop: Served, erp: Served) -> None:
    orders(shop, 300, 7)
    customers(erp, *range(7))
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(order_flow({"customer": CUSTOMER})))
    assert (report.counts.created, report.counts.failed) == (300, 0)
    assert erp.office.calls["GET customers"] == 7
    stored = erp.office.by("orders", "external_no")
    assert all(stored[f"o{n}"]["customer_id"] == f"k{n % 7}" for n in range(300))
    assert report.counts.adds_up()


async def test_a_look_up_may_use_the_one_before_and_several_may_be_taken(shop: Served, erp: Served) -> None:
    orders(shop, 10, 2)
    customers(erp, 0, 1)
    erp.office.put("addresses", {"customer": "k0", "zip": "1"}, {"customer": "k0", "zip": "2"}, {"customer": "k1", "zip": "3"})
    flow = order_flow(
        {
            "customer": CUSTOMER,
            "zips": {"credential": "erp", "path": "/addresses", "params": {"customer": "{look_up.customer}"}, "records": "data",
                     "take": "zip", "many": True},
        },
        map={"external_no": "id", "customer_id": "look_up.customer", "zips": "look_up.zips"},
    )  # fmt: skip
    report = await move(parts(shop.credential(), erp.credential()), plan(flow))
    assert report.counts.created == 10
    stored = erp.office.by("orders", "external_no")
    assert (stored["o0"]["zips"], stored["o1"]["zips"]) == (["1", "2"], ["3"])
    assert erp.office.calls["GET addresses"] == 2


async def test_two_orders_of_a_new_customer_create_one(shop: Served, erp: Served) -> None:
    orders(shop, 200, 5)
    erp.office.latency_s = 0.01
    create = {"create": {"path": "/customers", "map": {"email": "lower(email)", "name": {"text": "of {id}"}}}}
    flow = order_flow({"customer": {**CUSTOMER, "missing": create}})
    report = await move(parts(shop.credential(), erp.credential()), plan(flow))
    assert (report.counts.created, report.counts.failed) == (200, 0)
    assert erp.office.calls["POST customers"] == 5
    made = erp.office.by("customers", "email")
    stored = erp.office.by("orders", "external_no")
    assert all(stored[f"o{n}"]["customer_id"] == made[f"c{n % 5}@x.example"]["id"] for n in range(200))


async def test_a_customer_whose_creation_lost_its_answer_is_looked_for_and_not_made_twice(shop: Served, erp: Served) -> None:
    orders(shop, 20, 1)
    lost = iter(["drop_after"])
    erp.office.before = lambda _r, call: next(lost, None) if call == "POST customers" else None
    create = {"create": {"path": "/customers", "map": {"email": "lower(email)"}}}
    report = await move(
        parts(shop.credential(), erp.credential()), plan(order_flow({"customer": {**CUSTOMER, "missing": create}}))
    )
    assert (report.counts.created, report.counts.failed) == (20, 0)
    assert len(erp.office.all("customers")) == 1


@pytest.mark.parametrize(
    ("missing", "kinds"),
    [
        ("fail", {"created": 5, "failed": 5}),
        ("skip", {"created": 5, "skipped": 5}),
        (None, {"created": 10}),
        ("null", {"created": 10}),
    ],
)
async def test_what_a_missing_record_means_is_the_pipes_to_say(
    shop: Served, erp: Served, missing: Any, kinds: dict[str, int]
) -> None:
    orders(shop, 10, 2)
    customers(erp, 0)
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(order_flow({"customer": {**CUSTOMER, "missing": missing}}, tolerate=10)))
    assert {name: getattr(report.counts, name) for name in kinds} == kinds
    assert report.counts.adds_up()
    if missing == "fail":
        row = failures(made)["o1"]
        assert (row.stage, row.error, row.code, row.field) == ("look_up", "RecordRefusedError", "look_up_missing", "customer")


async def test_an_empty_key_never_asks_for_every_record(shop: Served, erp: Served) -> None:
    shop.office.put("orders", {"id": "a", "email": None}, {"id": "b", "email": ""}, {"id": "c"})
    customers(erp, 0)
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(order_flow({"customer": CUSTOMER})))
    assert (report.counts.failed, erp.office.calls["GET customers"]) == (3, 0)
    assert {row.code for row in failures(made).values()} == {"look_up_key_empty"}


async def test_a_match_with_an_empty_key_never_asks_for_every_record(shop: Served, erp: Served) -> None:
    shop.office.put("orders", {"id": "a", "ref": None}, {"id": "b", "ref": "r-1"})
    erp.office.put("orders", {"id": "there", "external_no": "someone else's"})
    flow = {
        **order_flow({}), "look_up": {}, "map": {"external_no": "ref", "note": {"text": "x"}},
    }  # fmt: skip
    flow["destination"]["match"] = {**MATCH, "found": "update"}
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(flow))
    assert (report.counts.created, report.counts.failed) == (1, 1)
    assert erp.office.collections["orders"]["there"]["external_no"] == "someone else's"
    assert failures(made)["a"].code == "match_key_missing"


async def test_a_small_table_is_read_once(shop: Served, erp: Served) -> None:
    shop.office.put("orders", *({"id": f"o{n}", "ship": f"S{n % 3}"} for n in range(50)))
    erp.office.put("carriers", *({"code": f"S{n}", "name": f"carrier {n}"} for n in range(250)))
    look = {"credential": "erp", "path": "/carriers", "records": "data", "preload": True, "key": {"code": "ship"}, "take": "name",
            "pages": {"by": "page_number", "per_page": 100, "total": "total"}}  # fmt: skip
    flow = order_flow({"carrier": look}, map={"external_no": "id", "carrier": "look_up.carrier"})
    report = await move(parts(shop.credential(), erp.credential()), plan(flow))
    assert (report.counts.created, erp.office.calls["GET carriers"]) == (50, 3)
    assert erp.office.by("orders", "external_no")["o4"]["carrier"] == "carrier 1"


async def test_a_record_may_wait_quietly_and_is_moved_once_what_it_needs_is_there(shop: Served, erp: Served) -> None:
    orders(shop, 4, 2)
    customers(erp, 0)
    made = parts(shop.credential(), erp.credential())
    compiled = plan(order_flow({"customer": {**CUSTOMER, "missing": "later"}}, source={
        "since": {"field": "updated_at"}, "params": {"since": "{since}"}}))  # fmt: skip
    report = await move(made, compiled)
    assert (report.status, report.counts.created, report.counts.waiting) == (Status.SUCCESS, 2, 2)
    assert set(failures(made, "waiting")) == {"o1", "o3"}
    quiet = await move(made, compiled)  # nothing new, and still nothing there
    assert (quiet.status, quiet.counts.waiting, quiet.counts.created) == (Status.SUCCESS, 2, 0)
    assert quiet.counts.adds_up()
    customers(erp, 1)
    done = await move(made, compiled)
    assert (done.counts.created, done.counts.waiting) == (2, 0)
    assert not failures(made, "waiting", "open", "retrying")
    assert sorted(erp.office.by("orders", "external_no")) == ["o0", "o1", "o2", "o3"]


async def test_a_record_that_waits_too_long_is_a_failure(shop: Served, erp: Served) -> None:
    orders(shop, 2, 2)
    customers(erp, 0)
    made = parts(shop.credential(), erp.credential())
    compiled = plan(order_flow({"customer": {**CUSTOMER, "missing": "later"}}, wait_at_most="1d"))
    assert (await move(made, compiled)).status is Status.SUCCESS
    clock = datetime.now(UTC) - timedelta(days=2)
    for one in made.journal._failures._kept.values():  # type: ignore[union-attr]
        from dataclasses import replace

        one.row = replace(one.row, first_failed_at=clock)
    late = await move(made, compiled)
    assert late.status is Status.FAILED
    assert failures(made)["o1"].error == "WaitedTooLongError"


async def test_a_refused_look_up_fails_its_record_and_a_rerun_moves_it(shop: Served, erp: Served) -> None:
    orders(shop, 30, 3)
    customers(erp, 0, 1, 2)

    def refuse(request: web.Request, call: str) -> Any:
        bad = call == "GET customers" and request.query.get("email") == "c1@x.example"
        return web.json_response({"error": {"code": "NO", "message": "c1@x.example"}}, status=403) if bad else None

    erp.office.before = refuse
    made = parts(shop.credential(), erp.credential())
    compiled = plan(order_flow({"customer": CUSTOMER}, tolerate="50%"))
    report = await move(made, compiled)
    assert (report.counts.created, report.counts.failed) == (20, 10)
    assert {(row.stage, row.http_status) for row in failures(made).values()} == {("look_up", 403)}
    erp.office.before = lambda _r, _c: None
    again = await rerun(made, compiled)
    assert (again.counts.created, again.status) == (10, Status.SUCCESS)
    assert len(erp.office.by("orders", "external_no")) == 30


async def test_a_look_up_system_that_is_away_ends_the_run_and_loses_nothing(shop: Served, erp: Served) -> None:
    orders(shop, 30, 30)
    customers(erp, *range(30))
    made = parts(shop.credential(), erp.credential("erp"), attempts=2)
    erp.office.before = lambda _r, call: (
        web.Response(status=503, headers={"Retry-After": "0.01"}) if call == "GET customers" else None
    )
    compiled = plan(order_flow({"customer": CUSTOMER}))
    with pytest.raises(TryAgainError):
        await move(made, compiled)
    assert not failures(made)
    erp.office.before = lambda _r, _c: None
    report = await move(made, compiled)
    assert report.counts.created == 30


async def test_look_ups_of_many_records_run_side_by_side(shop: Served, erp: Served) -> None:
    orders(shop, 200, 200)
    customers(erp, *range(200))
    erp.office.latency_s = 0.02
    began = asyncio.get_running_loop().time()
    report = await move(parts(shop.credential(), erp.credential()), plan(order_flow({"customer": CUSTOMER})))
    assert report.counts.created == 200
    assert erp.office.most_in_flight > 16
    assert asyncio.get_running_loop().time() - began < 200 * 3 * 0.02 / 4


async def test_a_record_by_its_id_is_looked_up_too(shop: Served, erp: Served) -> None:
    orders(shop, 3, 3)
    customers(erp, 0, 1, 2)
    report = await move(
        parts(shop.credential(), erp.credential()), plan(order_flow({"customer": CUSTOMER})), Asked(entity_ids=("o1",))
    )
    assert (report.counts.read, report.counts.created) == (1, 1)


@pytest.mark.parametrize(
    ("look_up", "said"),
    [
        ({"customer": {**CUSTOMER, "credential": None}}, "needs credential"),
        ({"customer": {**CUSTOMER, "params": {"active": True}}}, "names nothing of the record"),
        ({"customer": {**CUSTOMER, "preload": True}}, "preload: needs key"),
        ({"customer": {**CUSTOMER, "key": {"a": "b"}}}, "goes with preload"),
        ({"customer": {**CUSTOMER, "take": "id +"}}, "not an expression"),
        ({"customer": {**CUSTOMER, "connector": "rset"}}, "did you mean 'rest'"),
        ({"customer": {**CUSTOMER, "missing": "perhaps"}}, "missing"),
        ({"customer": {**CUSTOMER, "missing": "later"}}, None),
    ],
)
def test_faults_say_where_and_what(look_up: dict[str, Any], said: str | None) -> None:
    faults = checked(
        order_flow({name: {k: v for k, v in spec.items() if v is not None} for name, spec in look_up.items()})
    ).faults
    assert (not faults) if said is None else any(said in str(fault) for fault in faults), faults


def test_waiting_needs_a_read_by_id() -> None:
    flow = order_flow({"customer": {**CUSTOMER, "missing": "later"}})
    del flow["source"]["by_id"]
    assert "needs by_id" in str(checked(flow).faults[0])


async def test_a_record_that_waits_and_changes_is_written_once(shop: Served, erp: Served) -> None:
    """It comes with what is new and is waiting too: where nothing is matched, twice would be a duplicate."""
    orders(shop, 40, 2)
    flow = order_flow(
        {"customer": {**CUSTOMER, "missing": "later"}}, source={"since": {"field": "updated_at"}, "params": {"since": "{since}"}}
    )
    del flow["destination"]["match"]
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow)
    erp.office.unique.clear()
    assert (await move(made, compiled)).counts.waiting == 40
    customers(erp, 0, 1)
    for n in range(20):
        shop.office.change("orders", f"o{n}", note="changed")
    report = await move(made, compiled)
    assert report.counts.created == 40
    assert len(erp.office.by("orders", "external_no")) == 40


async def test_a_match_that_comes_later_waits_too(shop: Served, erp: Served) -> None:
    shop.office.put("tracking", {"id": "t1", "order": "o1", "code": "1Z"}, {"id": "t2", "order": "o2", "code": "2Z"})
    erp.office.put("orders", {"external_no": "o1"})
    flow = order_flow({}, source={"path": "/tracking", "by_id": {"path": "/tracking/{entity_id}"}},
                      map={"external_no": "order", "tracking": "code"}, wait_at_most="1d")  # fmt: skip
    flow["destination"]["match"] = {**MATCH, "found": "update", "missing": "later"}
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow)
    report = await move(made, compiled)
    assert (report.counts.updated, report.counts.waiting) == (1, 1)
    erp.office.put("orders", {"external_no": "o2"})
    assert (await move(made, compiled)).counts.updated == 2
    assert erp.office.by("orders", "external_no")["o2"]["tracking"] == "2Z"
    assert not failures(made)
