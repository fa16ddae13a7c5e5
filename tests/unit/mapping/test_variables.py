"""Project variables: which names are taken, how a value is read, and that only opening a flow fetches them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from integrator.errors import ConfigError
from integrator.mapping.variables import read_value
from tests.services.moving import MATCH, checked, failures, flow, move, parts, plan, rerun
from tests.services.system import System, record


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("main", "main"), ("", ""), (" a b ", " a b "), ("12", 12), ("-1.50", Decimal("-1.50")), ("0010", "0010"), ("1e5", "1e5"), ("NaN", "NaN"), ("true", True), ("null", None),
        ('"10"', "10"), ('{"a": [1.5]}', {"a": [Decimal("1.5")]}), ("{not json", "{not json"), ("[" * 100_000, "[" * 100_000), ("9" * 41, "9" * 41),
    ],
)  # fmt: skip
def test_a_value_is_json_where_it_looks_so_and_else_text(text: str, value: Any) -> None:
    assert read_value(text) == value


@pytest.mark.parametrize("name", ["api_key", "key", "shop_password", "accesstoken", "client_secret", "db_pwd"])
def test_a_secrets_name_is_refused(name: str) -> None:
    [fault] = checked(flow(map={"a": f"vars.{name}"})).faults
    assert "secrets are credentials" in fault.message


@pytest.mark.parametrize("text", ["vars", "vars.Upper", "vars[0]", 'vars["a b"]'])
def test_vars_needs_a_variables_name(text: str) -> None:
    [fault] = checked(flow(where=f"{text} == 1")).faults
    assert "followed by a variable's name" in fault.message


def test_names_that_only_sound_like_secrets_are_taken() -> None:
    assert plan(flow(map={"a": "vars.monkey", "b": "vars.keyboard"})).variables.names == {"monkey", "keyboard"}


def test_a_record_may_have_a_member_called_vars() -> None:
    made = plan(flow(map={"a": "record.vars.x"}))
    assert made.variables.names == set()
    assert made.mapping({"vars": {"x": 5}}) == {"a": 5}


EVERYWHERE = flow(
    where="amount >= vars.least",
    map={"ext": "id", "name": {"text": "{vars.channel}: {name}"}, "n": "vars.by_size.large[0]", "lines": {"each": "vars.sizes", "map": {"size": "s", "least": "vars.least"}}},
    source={"params": {"region": "{vars.region}", "kind": "{vars.none}"}, "headers": {"X-Region": "{vars.region}"}, "by_id": {"path": "/items/{entity_id}", "params": {"region": "{vars.region}"}}},
    destination={"match": {**MATCH, "params": {"ext": "{ext}", "wh": "{vars.warehouse}"}}, "headers": {"X-Warehouse": "{vars.warehouse}"}, "body": {"order": "record", "wh": "vars.warehouse"}, "success": "status in vars.good"},
)  # fmt: skip
VALUES = {
    "acme__least": "1", "acme__channel": "web", "acme__by_size": '{"large": [7]}', "acme__region": "EU north", "acme__none": "null", "acme__warehouse": "0010", "acme__good": "[200, 201]", "acme__sizes": '[{"s": 4}]',
    "other__least": "99",
}  # fmt: skip


async def test_they_stand_wherever_an_expression_does(system: System) -> None:
    system.records = [record(n) for n in range(3)]
    asked: list[Any] = []
    system.on_read = lambda request: asked.append((request.query.get("region"), "kind" in request.query, request.headers.get("X-Region")))  # fmt: skip
    system.on_write = lambda body: "refuse" if body["order"]["ext"] == "r2" else "ok"
    made = plan({**EVERYWHERE, "tolerate": 1})
    assert made.variables.names == {"least", "channel", "by_size", "region", "none", "warehouse", "good", "sizes"}
    here = parts(system.credential("there"), variables=VALUES)
    report = await move(here, made)
    assert (report.counts.created, report.counts.skipped, report.counts.failed) == (1, 1, 1), [
        (f.field, f.error) for f in failures(here).values()
    ]
    assert system.stored == [
        {"order": {"ext": "r1", "name": "web: name 1", "n": 7, "lines": [{"size": 4, "least": 1}]}, "wh": "0010"}
    ]
    await rerun(here, made)
    assert {one[0] for one in asked} == {"EU north"}
    assert {one[1] for one in asked} == {False}


async def test_the_values_are_those_of_when_the_flow_is_opened(system: System) -> None:
    system.records = [record(1)]
    made, values = plan(flow(map={"ext": "id", "wh": "vars.warehouse"})), {"acme__warehouse": "one"}
    here = parts(system.credential("there"), variables=values)
    for name in ("one", "two"):
        values["acme__warehouse"] = name
        await move(here, made)
    assert [one["wh"] for one in system.stored] == ["one", "two"]


async def test_a_missing_one_is_told_with_both_ways_to_set_it(system: System) -> None:
    made = plan(flow(map={"ext": "id", "wh": "vars.warehouse"}))
    with pytest.raises(ConfigError, match=r"no variable 'warehouse'; set AIRFLOW_VAR_ACME__WAREHOUSE, or add .* acme__warehouse"):
        await move(parts(system.credential("there")), made)
    assert system.stored == []
