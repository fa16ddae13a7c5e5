"""Every registered pager reads every record once, whatever the number of records and the size of a page."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrator.errors import ConfigError, EgressRefusedError, SourceBrokenError
from integrator.model.pipe import Pages
from integrator.paging.pager import Got, pager_of
from integrator.registry import PAGERS
from tests.services.moving import failures, flow, move, parts, plan
from tests.services.system import System, record

SPECS: dict[str, tuple[dict[str, Any], str]] = {
    "single": ({}, "single"),
    "page_number": ({"per_page": 100}, "page"),
    "offset": ({"per_page": 100}, "offset"),
    "cursor": ({"next": "meta.next", "per_page": 100}, "cursor"),
    "link_header": ({"per_page": 100}, "link"),
    "next_url": ({"next": "next", "per_page": 100}, "next"),
    "odata": ({"per_page": 100}, "odata"),
}


def test_every_pager_is_tried() -> None:
    assert set(SPECS) == set(PAGERS)


def paged(by: str, **pages: Any) -> dict[str, Any]:
    spec, server = SPECS[by]
    size = {"cursor": {"size_param": "per_page"}}.get(by, {})
    return flow(source={"pages": {"by": by, **spec, **size, **pages}, "params": {"by": server}})


@pytest.mark.parametrize("by", SPECS)
@pytest.mark.parametrize("total", [0, 1, 99, 100, 101, 250])
async def test_reads_every_record_once(system: System, by: str, total: int) -> None:
    system.records = [record(n) for n in range(total)]
    report = await move(parts(system.credential()), plan(paged(by)))
    assert sorted(one["ext"] for one in system.stored) == sorted(r["id"] for r in system.records)
    assert report.counts.read == report.counts.created == total


@pytest.mark.parametrize("by", ["page_number", "offset", "cursor", "link_header", "next_url", "odata"])
async def test_loses_nothing_when_the_server_gives_smaller_pages_than_asked_for(system: System, by: str) -> None:
    system.records, system.page_cap = [record(n) for n in range(95)], 10
    await move(parts(system.credential()), plan(paged(by)))
    assert len(system.stored) == 95
    assert system.duplicates() == []


@pytest.mark.parametrize("by", ["page_number", "offset", "odata"])
async def test_a_total_saves_the_last_call(system: System, by: str) -> None:
    system.records = [record(n) for n in range(200)]
    await move(parts(system.credential()), plan(paged(by, total="total")))
    assert len(system.stored) == 200
    assert system.calls["GET items"] == 2


async def test_a_list_that_repeats_its_page_stops_the_run(system: System) -> None:
    system.records = [record(n) for n in range(30)]
    ignoring = flow(
        source={"pages": {"by": "page_number", "param": "nobody_reads_this", "per_page": 100}, "params": {"by": "page"}}
    )
    with pytest.raises(SourceBrokenError, match="repeats the one before"):
        await move(parts(system.credential()), plan(ignoring))


async def test_a_repeated_page_is_noticed_though_its_envelope_changes(system: System) -> None:
    import itertools

    from aiohttp import web

    stamp = itertools.count()
    system.on_read = lambda _request: web.json_response({"items": [record(n) for n in range(30)], "at": next(stamp)})
    with pytest.raises(SourceBrokenError, match="repeats the one before"):
        await move(parts(system.credential()), plan(paged("page_number")))


async def test_the_last_page_again_behind_the_end_is_the_end(system: System) -> None:
    from aiohttp import web

    system.records = [record(n) for n in range(250)]

    def last_again(request: web.Request) -> web.StreamResponse:
        start = min(int(request.query["page"]) - 1, 2) * 100
        return web.json_response({"items": system.records[start : start + 100]})

    system.on_read = last_again
    assert (await move(parts(system.credential()), plan(paged("page_number")))).counts.created == 250


async def test_a_next_that_leads_back_stops_the_run(system: System) -> None:
    import itertools

    from aiohttp import web

    numbers = itertools.count()

    def ring(request: web.Request) -> web.StreamResponse:
        return web.json_response(
            {"items": [record(next(numbers))], "next": "/items?a=" + ("1" if "a=2" in str(request.url) else "2")}
        )

    system.on_read = ring
    with pytest.raises(SourceBrokenError, match="never ends"):
        await move(parts(system.credential()), plan(paged("next_url")))


@pytest.mark.parametrize(
    "link", ["http://127.0.0.2:9/items", "https://127.0.0.1/items", "//evil.example/items", "http://user@127.0.0.1/items"]
)
async def test_a_next_that_leaves_the_origin_is_refused(system: System, link: str) -> None:
    from aiohttp import web

    system.on_read = lambda _request: web.json_response({"items": [record(1)], "next": link})
    with pytest.raises(EgressRefusedError, match="not followed"):
        await move(parts(system.credential()), plan(paged("next_url")))


async def test_a_page_behind_the_end_may_be_missing(system: System) -> None:
    from aiohttp import web

    system.records = [record(n) for n in range(100)]
    system.on_read = lambda request: web.json_response({}, status=404) if request.query.get("page") == "2" else None
    report = await move(parts(system.credential()), plan(paged("page_number")))
    assert report.counts.created == 100


@pytest.mark.parametrize("by", PAGERS)
def test_a_key_that_means_nothing_is_said(by: str) -> None:
    needs = dict.fromkeys(pager_of(Pages(by=by, **SPECS[by][0])).NEEDS, "meta.next")
    unknown = {"first", "total", "next", "param"} - pager_of(Pages(by=by, **SPECS[by][0])).TAKES
    for name in unknown:
        with pytest.raises(ConfigError, match=name):
            pager_of(Pages.model_validate({"by": by, **needs, name: 1 if name == "first" else "x.y"}))


@given(
    total=st.integers(0, 300),
    size=st.integers(1, 60),
    cap=st.integers(1, 60),
    by=st.sampled_from(["page_number", "offset", "odata", "cursor"]),
)
def test_any_total_and_any_page_size(total: int, size: int, cap: int, by: str) -> None:
    pager = pager_of(Pages(by=by, per_page=size, **({"next": "next"} if by == "cursor" else {})))
    records, read, ask, asked = list(range(total)), list[int](), pager.first(), 0
    real = min(size, cap)
    while ask is not None:
        params = ask["params"]
        start = {
            "page_number": (params.get("page", 1) - 1) * real,
            "offset": params.get("offset", 0),
            "odata": params.get("$skip", 0),
            "cursor": int(params.get("cursor", 0)),
        }[by]
        page = records[start : start + real]
        read += page
        answer = {"next": str(start + real) if start + real < total else None}
        ask = pager.after(ask, Got(len(page), answer, {}))  # type: ignore[assignment]
        asked += 1
        assert asked < 1000
    assert read == records


async def test_records_that_have_no_id_or_a_hostile_one_are_noted_or_moved_exactly(system: System) -> None:
    hostile = ["../../x", "' or 1 eq 1", "a b?c#d&e=f", "ü/ß", "%2e%2e", "x" * 256, "=cmd()", "a\nb", "-1"]
    bad: list[Any] = [None, 1.5, "y" * 4096, "", True, {"a": 1}, "..", "?x", "a\x00b"]
    system.records = [{**record(n), "id": value} for n, value in enumerate([*hostile, *bad])] + [[1], "text", 7]  # type: ignore[list-item]
    made = parts(system.credential())
    report = await move(made, plan(flow(source={"params": {"by": "page"}}, tolerate=100)))
    assert {one["ext"] for one in system.stored} == {*hostile, ".."}
    assert report.counts.failed == len(bad) - 1 + 3
    assert all(name.startswith("?") for name in failures(made))
    codes = {row.code for row in failures(made).values()}
    assert codes == {"entity_id_missing", "entity_id_kind", "entity_id_long", "entity_id_sign", "not_an_object"}
