"""Deletes: never more than at_most, never because a source was empty, short or unclear; and two sides that both change."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from integrator.engine.move import Asked
from integrator.errors import SourceBrokenError, StopRunError
from integrator.model.run import Status
from tests.services.moving import checked, failures, move, parts, plan, rerun
from tests.services.office import Served

MATCH = {"params": {"key": "{key}"}, "records": "data", "same": "skip"}
LIST = {"records": "data", "key": "key", "pages": {"by": "page_number", "per_page": 50, "total": "total"}}


def flow(delete: dict[str, Any] | None = None, source: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    destination: dict[str, Any] = {"connector": "rest", "credential": "shop", "path": "/items", "match": MATCH}
    if delete is not None:
        destination |= {"delete": delete, **({"list": LIST} if delete.get("absent") else {})}
    return {
        "source": {
            "connector": "rest", "credential": "erp", "path": "/items", "records": "data", "entity_id": "sku",
            "pages": {"by": "page_number", "per_page": 50, "total": "total"}, "by_id": {"params": {"sku": "{entity_id}"}, "records": "data"},
            **(source or {}),
        },
        "map": {"key": "sku", "name": "name"},
        "destination": destination,
        **more,
    }  # fmt: skip


def stocked(shop: Served, erp: Served, count: int) -> None:
    erp.office.put("items", *({"id": f"s{n}", "sku": f"s{n}", "name": f"item {n}"} for n in range(count)))
    shop.office.put("items", *({"id": f"i{n}", "key": f"s{n}", "name": f"item {n}"} for n in range(count)))


async def test_what_is_ended_is_deleted_when_it_is_there(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 100)
    erp.office.change("items", "s3", ended=True)
    erp.office.change("items", "s4", ended=True)
    shop.office.remove("items", "i4")
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow({"when": "source.ended", "at_most": "2%"}))
    report = await move(made, compiled)
    assert (report.counts.deleted, report.counts.skipped, report.counts.read) == (1, 99, 100)
    assert "s3" not in shop.office.by("items", "key")
    assert report.counts.adds_up()


async def test_more_than_at_most_deletes_nothing_and_says_so(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 100)
    for n in range(3):
        erp.office.change("items", f"s{n}", ended=True)
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow({"when": "source.ended", "at_most": "2%"}))
    report = await move(made, compiled)
    assert (report.counts.deleted, report.counts.failed, report.status) == (0, 3, Status.FAILED)
    assert {row.error for row in failures(made).values()} == {"TooManyDeletesError"}
    assert len(shop.office.all("items")) == 100
    again = await rerun(made, compiled)  # a person has looked at them
    assert (again.counts.deleted, len(shop.office.all("items"))) == (3, 97)


async def test_a_soft_delete_is_a_change(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 10)
    erp.office.change("items", "s1", ended=True)
    soft = {"when": "source.ended", "method": "PATCH", "path": "/items/{id}", "body": {"active": False}, "at_most": 5}
    report = await move(parts(shop.credential(), erp.credential()), plan(flow(soft)))
    assert report.counts.deleted == 1
    assert shop.office.by("items", "key")["s1"]["active"] is False


async def test_deletes_beside_a_batch_go_by_their_own_path(shop: Served, erp: Served) -> None:
    shop.office.unique["items"] = "key"
    erp.office.put("items", *({"id": f"s{n}", "sku": f"s{n}", "name": "x", "ended": n == 2} for n in range(10)))
    shop.office.put("items", *({"id": f"s{n}", "key": f"s{n}"} for n in range(10)))
    one = flow({"when": "source.ended", "path": "/items/{key}", "at_most": 1})
    del one["destination"]["match"]
    one["destination"]["batch"] = {"path": "/items/bulk", "body": {"items": "records"},
                                   "answer": {"records": "results", "success": 'code == "ok"'}}  # fmt: skip
    report = await move(parts(shop.credential(), erp.credential()), plan(one))
    assert (report.counts.created, report.counts.deleted) == (9, 1)
    assert "s2" not in shop.office.by("items", "key")


async def test_what_the_source_no_longer_has_is_deleted_after_a_full_run(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 200)
    for n in range(4):
        erp.office.remove("items", f"s{n}")
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow({"absent": True, "at_most": "2%"}))
    report = await move(made, compiled)
    assert (report.counts.deleted, report.counts.skipped, report.counts.read) == (4, 196, 200)
    assert sorted(shop.office.by("items", "key")) == sorted(f"s{n}" for n in range(4, 200))
    assert (await move(made, compiled)).counts.deleted == 0


@pytest.mark.parametrize("kind", ["empty", "short", "too many", "unclear", "filtered by id", "broken list"])
async def test_a_catalogue_is_never_wiped(shop: Served, erp: Served, kind: str) -> None:
    stocked(shop, erp, 100)
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow({"absent": True, "at_most": "5%"}, tolerate=100))
    asked = Asked()
    if kind == "empty":
        erp.office.collections["items"].clear()
    elif kind == "short":  # the second page comes empty, and the list tells that there are more
        said = web.json_response({"data": [], "total": 100})
        erp.office.before = lambda request, _c: said if request.query.get("page") == "2" else None
        compiled = plan(flow({"absent": True, "at_most": "90%"}))
    elif kind == "too many":
        for n in range(6):
            erp.office.remove("items", f"s{n}")
    elif kind == "unclear":
        erp.office.remove("items", "s1")
        erp.office.change("items", "s2", sku=None)
    elif kind == "filtered by id":
        asked = Asked(entity_ids=("s1",))
    else:
        erp.office.remove("items", "s1")
        shop.office.before = lambda r, _c: web.json_response({"data": "x"}) if r.query.get("page") == "2" else None
    if kind in ("broken list", "too many"):
        said = "no list of records" if kind == "broken list" else "6 of 100 records are absent"
        with pytest.raises(StopRunError, match=said):
            await move(made, compiled, asked)
    else:
        report = await move(made, compiled, asked)
        assert report.counts.deleted == 0
        assert report.counts.adds_up()
    assert len(shop.office.all("items")) == 100


async def test_with_since_only_a_full_run_deletes(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 100)
    made = parts(shop.credential(), erp.credential())
    compiled = plan(
        flow({"absent": True, "at_most": 5}, source={"since": {"field": "updated_at"}, "params": {"since": "{since}"}})
    )
    await move(made, compiled)
    erp.office.remove("items", "s9")
    erp.office.change("items", "s8", name="new")
    assert (await move(made, compiled)).counts.deleted == 0
    assert (await move(made, compiled, Asked(full=True))).counts.deleted == 1


async def test_since_compare_writes_only_what_differs(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 50)
    made, compiled = parts(shop.credential(), erp.credential()), plan(flow(source={"since": "compare"}))
    erp.office.change("items", "s7", name="renamed")
    report = await move(made, compiled)
    assert (report.counts.updated, report.counts.skipped, shop.office.calls["PATCH items"]) == (1, 49, 1)
    assert "match: {found: update, same: skip}" in str(checked({**flow(source={"since": "compare"}), "destination": {
        "connector": "rest", "credential": "shop", "path": "/items"}}).faults[0])  # fmt: skip


def way(source: str, destination: str, field: str = "updated_at") -> dict[str, Any]:
    """One of two flows that keep customers alike on both sides."""
    return {
        "source": {"connector": "rest", "credential": source, "path": "/customers", "records": "data", "entity_id": "email",
                   "pages": {"by": "offset", "per_page": 50, "total": "total"}, "since": {"field": "updated_at"},
                   "params": {"since": "{since}"}},
        "map": {"email": "email", "name": "name"},
        "destination": {"connector": "rest", "credential": destination, "path": "/customers",
                        "match": {"params": {"email": "{email}"}, "records": "data", "same": "skip", "conflict": {"newer": field}}},
    }  # fmt: skip


async def test_two_ways_come_to_rest_and_the_later_change_wins(shop: Served, erp: Served) -> None:
    shop.office.put("customers", *({"email": f"c{n}", "name": "old", "updated_at": "2026-01-01T00:00:00Z"} for n in range(10)))
    made = parts(shop.credential(), erp.credential())
    there, back = plan(way("shop", "erp")), plan(way("erp", "shop"))
    for one in erp, shop:
        one.office.now = one.office.now.replace(year=2026, month=6)
    assert (await move(made, there)).counts.created == 10
    assert (await move(made, back)).counts.skipped == 10  # an echo: it is there already
    shop_ids = {one["email"]: str(one["id"]) for one in shop.office.all("customers")}
    erp_ids = {one["email"]: str(one["id"]) for one in erp.office.all("customers")}
    shop.office.change("customers", shop_ids["c1"], name="from the shop")
    erp.office.now = erp.office.now.replace(month=7)
    erp.office.change("customers", erp_ids["c1"], name="from the erp, later")
    erp.office.change("customers", erp_ids["c2"], name="from the erp")
    assert (await move(made, there)).counts.skipped >= 1
    assert (await move(made, back)).counts.updated == 2
    for _round in range(2):
        assert (await move(made, there)).counts.updated == 0
        assert (await move(made, back)).counts.updated == 0
    for side in shop, erp:
        names = {one["email"]: one["name"] for one in side.office.all("customers")}
        assert (names["c1"], names["c2"], names["c3"]) == ("from the erp, later", "from the erp", "old")


async def test_stamps_that_cannot_be_compared_fail_the_record(shop: Served, erp: Served) -> None:
    shop.office.put("customers", {"email": "a", "name": "x"})
    erp.office.put("customers", {"email": "a", "name": "y", "changed": "yesterday"})
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(way("shop", "erp", "changed")))
    assert (report.counts.failed, failures(made)["a"].code) == (1, "conflict_form")


async def test_a_shadow_writes_nothing_and_counts_what_it_would_do(shop: Served, erp: Served) -> None:
    stocked(shop, erp, 20)
    erp.office.put("items", {"id": "new", "sku": "new", "name": "new"})
    erp.office.change("items", "s1", name="changed")
    erp.office.change("items", "s2", ended=True)
    made = parts(shop.credential(), erp.credential())
    since = {"since": {"field": "updated_at"}, "params": {"since": "{since}"}}
    live = flow({"when": "source.ended", "at_most": 5}, source=since)
    before = [dict(one) for one in shop.office.all("items")]
    for _twice in range(2):
        report = await move(made, plan({**live, "shadow": True}))
        assert (report.counts.created, report.counts.updated, report.counts.deleted) == (1, 1, 1)
        assert shop.office.all("items") == before
        assert report.cursor_after is None
    assert made.journal.runs()[0].flows["items"]["shadow"] is True
    report = await move(made, plan(live))
    assert (report.counts.created, report.counts.updated, report.counts.deleted) == (1, 1, 1)


@pytest.mark.parametrize("told", [True, False], ids=["with a total", "without"])
async def test_a_range_is_read_in_windows_that_are_halved_below_the_cap(shop: Served, erp: Served, told: bool) -> None:
    erp.office.put(
        "items", *({"sku": f"s{n}", "name": "x", "updated_at": f"2026-01-01T{n // 60:02}:{n % 60:02}:00Z"} for n in range(240))
    )
    erp.office.most = 50
    pages: dict[str, Any] = {"by": "page_number", "per_page": 25, "most": 50, **({"total": "total"} if told else {})}
    windowed = flow(source={"pages": pages, "params": {"since": "{since}", "until": "{until}"},
                            "since": {"field": "updated_at", "start": "2026-01-01", "window": "12h"}})  # fmt: skip
    made = parts(shop.credential(), erp.credential())
    report = await move(made, plan(windowed))
    assert report.counts.created == 240
    assert len(shop.office.by("items", "key")) == 240
    assert report.cursor_after == "2026-01-01T03:59:00Z"
    await move(made, plan(windowed))
    assert len(shop.office.by("items", "key")) == 240


async def test_more_than_the_cap_without_windows_or_within_one_instant_is_said(shop: Served, erp: Served) -> None:
    erp.office.put("items", *({"sku": f"s{n}", "name": "x", "updated_at": "2026-01-01T00:00:00Z"} for n in range(60)))
    erp.office.most = 50
    pages = {"by": "page_number", "per_page": 25, "most": 50, "total": "total"}
    made = parts(shop.credential(), erp.credential())
    with pytest.raises(StopRunError, match="read in windows"):
        await move(made, plan(flow(source={"pages": pages})))
    windowed = flow(source={"pages": pages, "params": {"since": "{since}", "until": "{until}"},
                            "since": {"field": "updated_at", "start": "2026-01-01", "window": "12h"}})  # fmt: skip
    with pytest.raises(SourceBrokenError, match="changed within"):
        await move(made, plan(windowed))


@pytest.mark.parametrize(
    ("delete", "said"),
    [
        ({"at_most": 1}, "needs when"),
        ({"when": "source.ended"}, "'at_most' is missing"),
        ({"when": "source.ended", "at_most": "200%"}, "share"),
        ({"absent": True, "at_most": 1, "path": "/items/{key}"}, "can name only {id}"),
    ],
)
def test_faults_of_deletes_say_what_to_do(delete: dict[str, Any], said: str) -> None:
    assert any(said in str(fault) for fault in checked(flow(delete)).faults)


@pytest.mark.parametrize(
    ("since", "params", "said"),
    [
        ({"field": "u", "window": "1d"}, {"s": "{since}", "u": "{until}"}, "needs start"),
        ({"field": "u", "window": "1d", "start": "2026-01-01"}, {"s": "{since}"}, "nothing asks with {until}"),
        ({"field": "u"}, {"s": "{since}", "u": "{until}"}, "no since: with a window"),
        ({"field": "u", "format": "number", "window": "1d", "start": "1"}, {"s": "{since}", "u": "{until}"}, "has no end"),
    ],
)
def test_faults_of_windows_say_what_to_do(since: dict[str, Any], params: dict[str, Any], said: str) -> None:
    assert any(said in str(fault) for fault in checked(flow(source={"since": since, "params": params})).faults)
