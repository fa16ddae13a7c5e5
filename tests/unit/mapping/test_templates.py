"""No value can change the shape of a request: not its path, its query, its headers, nor a filter in it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrator.errors import MappingError
from integrator.mapping.templates import compile_request


def made(path: str = "/o/{entity_id}", params: Any = None, headers: Any = None) -> Any:
    template = compile_request(
        path, params or {}, headers or {}, ["_e", "_since"], members=None, named={"entity_id": "_e", "since": "_since"}
    )
    assert not template.faults, template.faults
    return template


@given(value=st.text(min_size=1, max_size=60))
def test_a_path_keeps_its_segments(value: str) -> None:
    try:
        path, _headers = made("/o/{entity_id}/lines").fill(value, None)
    except MappingError:
        assert value in (".", "..") or any(0xD800 <= ord(s) < 0xE000 for s in value)
        return
    url = urlsplit("https://h" + path)
    assert url.path.count("/") == 3
    assert unquote(url.path.split("/")[2]) == value
    assert not url.query
    assert not url.fragment


@given(value=st.text(max_size=60))
def test_a_query_keeps_its_parameters(value: str) -> None:
    try:
        path, _headers = made("/o", {"a": "{entity_id}", "b": "x{entity_id}y"}).fill(value, None)
    except MappingError:
        return
    assert parse_qsl(urlsplit("https://h" + path).query, keep_blank_values=True) == [("a", value), ("b", f"x{value}y")]


@given(value=st.text(max_size=60))
def test_a_filter_keeps_its_shape(value: str) -> None:
    try:
        path, _headers = made("/o", {"$filter": "id eq {odata(entity_id)} and open"}).fill(value, None)
    except MappingError:
        return
    [(_, text)] = parse_qsl(urlsplit("https://h" + path).query, keep_blank_values=True)
    inner = text.removeprefix("id eq '").removesuffix("' and open")
    assert inner.replace("''", "").count("'") == 0
    assert inner.replace("''", "'") == value


def test_a_filter_without_quoting_is_a_fault() -> None:
    template = compile_request("/o", {"$filter": "id eq '{entity_id}'"}, {}, ["_e"], members=None, named={"entity_id": "_e"})
    assert "odata(entity_id)" in template.faults[0].message


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "\x00"])
def test_a_header_cannot_be_split(value: str) -> None:
    with pytest.raises(MappingError):
        made("/o", None, {"X": "{entity_id}"}).fill(value, None)


def test_null_leaves_a_parameter_out_and_since_takes_its_whole_text_with_it() -> None:
    template = made("/o", {"a": "{entity_id}", "b": "from {since}", "c": "1", "$filter": "m ge {odata(since)}"})
    assert template.fill(None, None)[0] == "/o?c=1"
    assert template.fill(["x", "y"], 5)[0] == "/o?a=x&a=y&b=from%205&c=1&%24filter=m%20ge%205"


@pytest.mark.parametrize("path", ["orders", "https://evil.example/x", "{entity_id}", "//evil"])
def test_a_path_begins_below_the_base_url(path: str) -> None:
    template = compile_request(path, {}, {}, ["_e"], members=None, named={"entity_id": "_e"})
    assert template.faults or path.startswith("//")
