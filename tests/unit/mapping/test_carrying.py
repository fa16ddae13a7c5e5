"""Values that the mapping only hands on may stay JSON text; nobody downstream can tell."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrator.mapping.compile import compile_shape
from integrator.mapping.projection import Reading, encode, is_plain

SCOPE: dict[str, Any] = {"members": "_r", "named": {"record": "_r"}}
EACH_RECORD = ("data", -(10**9))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.decimals(-999, 999, places=2).map(float),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('abcdefé"\\/\n', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(
        st.fixed_dictionaries({"id": st.text("abc", min_size=1)}, optional={"a": JSON, "b": JSON, "extra": JSON}), max_size=3
    ),
    st.booleans(),
    st.booleans(),
)
def test_a_body_is_the_same_whether_values_are_taken_apart_or_carried(records: list[Any], spaced: bool, escaped: bool) -> None:
    made = compile_shape({"id": "id", "a": "a", "deep": {"b": "b.c", "up": "upper(id)"}}, ["_r"], **SCOPE)
    assert made.carried == {("a",), ("b", "c")}
    reading = Reading.of(EACH_RECORD, made.used["_r"], made.carried)
    body = json.dumps({"data": records}, ensure_ascii=escaped, separators=None if spaced else (",", ":")).encode()
    exact = [encode(made(one)) for one in reading.exact.decode(body)["data"]]
    assert [encode(made(one)) for one in reading.decode(body)["data"]] == exact


@pytest.mark.parametrize(
    ("shape", "carried"),
    [
        ({"x": "a"}, {("a",)}),
        ({"x": "a", "y": "a"}, {("a",)}),
        ({"x": "a", "y": "lower(a)"}, set()),
        ({"x": "a", "y": {"text": "{a}"}}, set()),
        ({"x": "default(a, 0)"}, set()),
        ({"x": "record"}, set()),
        ({"x": {"each": "items", "map": {"sku": "sku"}}}, set()),
    ],
)
def test_only_what_no_expression_looks_into_is_carried(shape: Any, carried: set[Any]) -> None:
    assert compile_shape(shape, ["_r"], **SCOPE).carried == carried


@pytest.mark.parametrize("body", [b'{"a": 1}', b'{"a" :1}', b'{\n"a":1}', rb'{"a":"\u00e9"}', rb'{"a":"\/"}', b'{"a":"\xff"}'])
def test_text_that_is_not_as_we_write_it_is_read_value_by_value(body: bytes) -> None:
    assert not is_plain(body)


@pytest.mark.parametrize("value", [{"a": 'é\n\t"'}, [1, None, True], {"a, b": "c, d"}])
def test_what_we_write_is_plain(value: Any) -> None:
    assert is_plain(msgspec.json.encode(value))
    assert is_plain(msgspec.json.encode(value) + b"\n")
