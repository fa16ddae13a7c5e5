"""What differs between two states of a pipe, and what a change brings with it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from integrator.authoring.differences import SHOWN_MAX, Difference, State, compare
from integrator.authoring.reading import read_text
from integrator.model.pipe import Pipe
from tests.services.moving import flow

SINCE = {"field": "updated_at", "start": "2026-01-01"}
LOOK_UP = {"credential": "there", "path": "/x", "params": {"id": "{id}"}}


def state(made: dict[str, Any], **more: Any) -> State:
    data = read_text(yaml.safe_dump({"flows": {"items": made}, **more}, sort_keys=False).encode(), "x.yaml").data
    return State(Pipe.model_validate(data), data)


def differ(old: dict[str, Any], new: dict[str, Any], old_more: Any = None, new_more: Any = None) -> Difference:
    made = compare(state(old, **(old_more or {})), state(new, **(new_more or {})))
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ({"a": 1}, {"a": True}, {"a": (1, True)}),
        ({"a": 0}, {"a": False}, {"a": (0, False)}),
        ({"a": None, "b": "x"}, {"b": "x"}, {"a": None}),
        ({"a": {"text": "x"}}, {"a": "x"}, {"a.text": "x", "a": "x"}),
        ({"a": {"b": "x"}}, {"a": {"b": "y"}}, {"a.b": ("x", "y")}),
        ({"a": {"each": "l", "map": {"b": "x"}}}, {"a": {"each": "l", "map": {"b": "y"}}}, {"a.map.b": ("x", "y")}),
        ({"a": 1.0}, {"a": 1.5}, {"a": ("1.0", "1.5")}),
    ],
)
def test_a_mapping_is_compared_member_by_member(was: Any, now: Any, told: dict[str, Any]) -> None:
    made = differ(flow(map=was), flow(map=now))
    assert made.change == "changed"
    assert not made.settings
    prefix = "flows.items.map."
    assert {path.removeprefix(prefix) for path in made.mappings} == set(told)
    for path, values in told.items():
        if isinstance(values, tuple):
            assert [(type(value), value) for value in made.mappings[prefix + path]] == [(type(value), value) for value in values]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (flow(wait_at_most="60m"), flow(wait_at_most="1h")),
        (flow(), flow(tolerate=0)),
        (flow(tolerate="5%"), flow(tolerate="5.0%")),
        (flow(map={"a": "x", "b": "y"}), flow(map={"b": "y", "a": "x"})),
        (flow(look_up={"a": {**LOOK_UP, "missing": None}}), flow(look_up={"a": {**LOOK_UP, "missing": "null"}})),
    ],
)
def test_what_means_the_same_is_no_change(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert differ(old, new).change == "same_meaning"


@pytest.mark.parametrize(
    ("old", "new", "path", "told"),
    [
        (flow(), flow(tolerate="5%"), "flows.items.tolerate", ("0", "5%")),
        (flow(), flow(wait_at_most="36h"), "flows.items.wait_at_most", ("1w", "36h")),
        (flow(source={"since": SINCE}), flow(source={"since": {**SINCE, "overlap": "5m"}}), "flows.items.source.since.overlap", ("0s", "5m")),
        (flow(look_up={"a": LOOK_UP}), flow(look_up={"a": {**LOOK_UP, "missing": None}}), "flows.items.look_up.a.missing", ("fail", None)),
    ],
)  # fmt: skip
def test_values_are_told_as_one_writes_them(old: dict[str, Any], new: dict[str, Any], path: str, told: tuple[Any, Any]) -> None:
    assert differ(old, new).settings == {path: told}


def test_when_it_runs_is_told_with_zone_and_pause() -> None:
    made = differ(flow(), flow(), {"schedule": {"every": "15m"}}, {"schedule": {"every": "1h"}, "paused": True})
    assert made.reschedules
    assert made.schedule == (
        {"schedule": {"every": "15m"}, "timezone": None, "paused": False},
        {"schedule": {"every": "1h"}, "timezone": None, "paused": True},
    )
    assert any("pause or unpause it in Airflow" in said for said in made.warnings)
    same = differ(flow(), flow(), {"schedule": {"every": "60s"}}, {"schedule": {"every": "1m"}})
    assert (same.change, same.reschedules) == ("same_meaning", False)


def test_long_texts_are_cut_where_they_begin_to_differ() -> None:
    made = differ(flow(map={"a": "x + " * 500 + "y"}), flow(map={"a": "x + " * 500 + "z"}))
    was, now = made.mappings["flows.items.map.a"]
    assert was != now
    assert max(len(was), len(now)) <= SHOWN_MAX + 6
    assert was.startswith("...")


def test_credentials_are_those_of_calls_and_nothing_else_of_that_name() -> None:
    one = flow(source={"params": {"credential": "no_1"}}, destination={"credential": "two", "body": {"credential": "no_2"}},
               look_up={"map": {**LOOK_UP, "credential": "three", "params": {"credential": "no_3"}}}, map={"credential": "no_4"},
               then=[{"credential": "four", "path": "/y", "map": {"credential": "no_5"}}])  # fmt: skip
    made = compare(None, state(one))
    assert made is not None
    assert made.credentials == (set(), {"there", "two", "three", "four"})
    assert "flows.items.look_up.map.path" in made.settings
    assert set(made.mappings) == {"flows.items.map.credential", "flows.items.then[0].map.credential"}


DELETE = {"when": "gone", "at_most": "2%"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (flow(), flow(source={"entity_id": "number"}), "the entity ID changes"),
        (flow(source={"since": SINCE}), flow(source={"since": {**SINCE, "field": "at"}}), "integrator cursor set"),
        (flow(source={"since": SINCE}), flow(source={"since": {**SINCE, "format": "epoch"}}), "integrator cursor set"),
        (flow(source={"since": SINCE}), flow(source={"since": SINCE, "credential": "else"}), "reads from another system"),
        (flow(source={"since": SINCE}), flow(source={"since": {**SINCE, "overlap": "5m"}}), None),
        (flow(), flow(source={"since": SINCE}), None),
        (flow(destination={"match": {}}), flow(), "may be written twice, by reruns too"),
        (flow(), flow(destination={"match": {}}), None),
        (flow(shadow=True), flow(), "the next run writes"),
        (flow(), flow(shadow=True), None),
        (flow(destination={"delete": DELETE}), flow(destination={"delete": {**DELETE, "at_most": "50%"}}), "goes from 2% to 50%"),
        (flow(destination={"delete": DELETE}), flow(destination={"delete": {**DELETE, "at_most": 5}}), "goes from 2% to 5,"),
        (flow(destination={"delete": DELETE}), flow(destination={"delete": {**DELETE, "at_most": "1%"}}), None),
        (flow(destination={"delete": DELETE}), flow(destination={"delete": {**DELETE, "at_most": 0}}), None),
        (
            flow(destination={"delete": DELETE}),
            flow(destination={"delete": {**DELETE, "when": "old"}}),
            "what is deleted changes",
        ),
        (flow(), flow(destination={"delete": DELETE}), "what is deleted changes"),
    ],
)
def test_what_people_miss_is_said(old: dict[str, Any], new: dict[str, Any], said: str | None) -> None:
    warnings = differ(old, new).warnings
    assert (len(warnings) == 1 and said in warnings[0]) if said else warnings == []


def test_a_flow_that_goes_or_has_a_new_name_is_said() -> None:
    one, other = flow(source={"since": SINCE}), flow(map={"a": "x"})

    def pipe(**flows: Any) -> State:
        return State(Pipe.model_validate({"flows": flows}))

    gone, renamed = compare(pipe(a=one, b=other), pipe(b=other)), compare(pipe(a=one), pipe(c=one))
    assert gone is not None and renamed is not None
    assert [said.split(";")[0] for said in gone.warnings] == ["flow a goes away"]
    assert [said.split(";")[0] for said in renamed.warnings] == ["flow a is called c now"]
    assert "integrator cursor set" in renamed.warnings[0]
