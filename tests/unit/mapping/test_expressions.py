"""The expression language: what it means, and that nothing outside it passes."""

from __future__ import annotations

import string
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrator.errors import MappingError
from integrator.mapping.compile import compile_expression, compile_shape
from integrator.mapping.expression import ExpressionError, parse
from integrator.mapping.functions import FUNCTIONS

RECORD: dict[str, Any] = {
    "status": "processing", "total": Decimal("19.90"), "n": 3, "none": None, "empty": "", "yes": True, "items": [{"sku": "a", "q": 2}, {"sku": "b", "q": 3}],
    "address": {"last": "Müller", "lines": ["Main St 1", None, "2nd"]}, "@odata.etag": "W/1", "when": "2026-07-01 12:00:00", "cents": 1999, "class": "x", "tags": ["x", "y"],
}  # fmt: skip


def value(text: Any, record: Any = None, tables: Any = None) -> Any:
    made = compile_expression(text, ["_r"], members="_r", named={"record": "_r"}, tables=tables or {})
    assert not made.faults, made.faults
    return made(RECORD if record is None else record)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("status", "processing"), ("address.last", "Müller"), ("address.lines[0]", "Main St 1"), ("address.lines[-1]", "2nd"), ("address.lines[9]", None),
        ("nothing.at.all[3].here", None), ("status.not_an_object", None), ('record["@odata.etag"]', "W/1"), ("none", None), ("items[1].sku", "b"),
        ('status == "processing" and n > 2', True), ("not yes", False), ("n in (1, 2, 3)", True), ("none is null", True), ("status is not null", True),
        ('"proc" in status', True), ('"z" in tags', False), ("n + 1", 4), ("total * 2", Decimal("39.80")), ("n / 2", Decimal("1.5")), ("7 % n", 1), ("-n", -3),
        ('"a" + "b"', "ab"), ("1.50", Decimal("1.50")), ('"A" if n > 2 else "B"', "A"), ("1 < n < 5", True), ("true", True), ("null", None),
        ("text(n)", "3"), ("text(total)", "19.90"), ("text(yes)", "true"), ('integer("42")', 42), ("integer(3.0)", 3), ("decimal(total, 1)", Decimal("19.9")),
        ('decimal("2.345", 2)', Decimal("2.35")), ("decimal(0.125, 2)", Decimal("0.13")), ('number("1e3")', Decimal("1E+3")), ('boolean("no")', False),
        ("boolean(1)", True), ("money(cents)", Decimal("19.99")), ("money(cents, 3)", Decimal("1.999")), ("upper(status)", "PROCESSING"), ('strip("  a ")', "a"),
        ('join(address.lines, ", ")', "Main St 1, 2nd"), ('split("a,b", ",")', ["a", "b"]), ('replace(status, "pro", "")', "cessing"), ('matches(status, "^p.*g$")', True),
        ("default(none, 7)", 7), ("coalesce(none, empty, n)", 3), ("length(items)", 2), ("length(none)", 0), ("first(tags)", "x"), ("last(tags)", "y"),
        ('sum(items, "q")', 5), ("min(3, 1, none)", 1), ("max(tags)", "y"), ("round(2.5)", 3), ("round(2.449, 2)", Decimal("2.45")), ('base64("a:b")', "YTpi"),
        ("odata(status)", "'processing'"), ("odata(n)", "3"), ("odata(none)", "null"), ('date("2026-07-01")', date(2026, 7, 1)), ("lower(none)", None), ("round(none)", None),
        ('datetime(when, "%Y-%m-%d %H:%M:%S", "America/New_York") == datetime("2026-07-01T16:00:00Z")', True), ('text(datetime("2026-07-01T16:00:00Z"), "%d.%m.%Y")', "01.07.2026"),
        ('datetime("1772359200", "epoch")', datetime(2026, 3, 1, 10, tzinfo=UTC)), ('odata("it\'s")', "'it''s'"), ("datetime(empty)", None), (5, 5), (True, True), (None, None),
    ],
)  # fmt: skip
def test_means(text: Any, expected: Any) -> None:
    made = value(text)
    assert made == expected
    assert type(made) is type(expected)


def test_a_table_is_looked_up_and_a_missing_entry_is_a_misfit() -> None:
    tables = {"carriers": {"ups": "UPS", "3": "three"}}
    assert value('table("carriers", "ups")', tables=tables) == "UPS"
    assert value('table("carriers", n)', tables=tables) == "three"
    assert value('table("carriers", none, "OTHER")', tables=tables) == "OTHER"
    with pytest.raises(MappingError, match="no such entry"):
        value('table("carriers", status)', tables=tables)


def test_the_same_uuid_for_the_same_parts_only() -> None:
    assert value('uuid5("a", "b")') == value('uuid5("a", "b")') != value('uuid5("ab")')


@pytest.mark.parametrize(
    "text",
    [
        "__class__", "a.__class__", "().__class__.__bases__", "10**10**10", "lambda: 1", "[x for x in items]", "{1: 2}", "f'{status}'", "status.upper()", "eval('1')", "open('x')",
        "getattr(a, 'b')", "a := 1", "a & b", "~n", "a if b", "*a", "a[b]", "a[1:2]", "a[1.5]", "import os", "print(1)", "x; y", "lower(x=1)", "lower()", "lower(a, b)", "a is b",
        "matches(a, b)", "matches(a, '(a+)+')", "matches(a, '(')", "table(a, b)", "9" * 50, "a" * 5000, "(" * 500 + ")" * 500, "not " * 200 + "a", "b'bytes'", "...", "1j",
        "datetime(a, 'iso', 'Mars/Phobos')", "yield", "await a", "a.b.c()", "a\x00b", "-" * 100 + "1", "", "   ",
    ],
)  # fmt: skip
def test_what_is_not_of_the_language_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("none + 1", "null cannot be added"), ("status + 1", "text cannot be added"), ("n / 0", "division by zero"), ("n < status", "different kinds"), ("integer(total)", "whole number"),
        ("integer(status)", "not a number"), ("upper(n)", "takes text"), ('join(status, ",")', "takes a list"), ("text(items)", "cannot become text"), ("decimal(status)", "not a number"),
        ('datetime(status, "%Y")', "not a time"), ("boolean(status)", "neither true nor false"), ('number("9" + "e999")', "at most 400 digits"), ('split("a", "")', "needs a text"),
        ('replace("a", "a", text(n)) * 3', "text cannot be multiplied"), ("sum(tags)", "not a number"), ("n in 5", "looks into"), ("total * 1000000 * none", "null cannot"),
    ],
)  # fmt: skip
def test_a_misfit_says_what_does_not_fit_and_never_the_value(text: str, said: str) -> None:
    with pytest.raises(MappingError, match=said) as caught:
        value(text)
    assert "processing" not in str(caught.value)
    assert "Müller" not in str(caught.value)


def test_nothing_explodes() -> None:
    long = {"s": "x" * 900_000, "n": 10**300, "items": ["x" * 1000] * 2000}
    for text in ("s + s", 'replace(s, "x", "yy")', "n * n * n * n", "join(items)", 'matches(s, "x")', "decimal(n, 30) * n * n"):
        with pytest.raises(MappingError):
            value(f"length({text})" if text.startswith("join") else text, long)


def test_a_misfit_names_the_innermost_field() -> None:
    shape = {"a": "status", "lines": {"each": "items", "where": "q > 0", "map": {"sku": "sku", "deep": {"n": "integer(sku)"}}}}
    made = compile_shape(shape, ["_r"], members="_r", named={"record": "_r"})
    with pytest.raises(MappingError) as caught:
        made(RECORD)
    assert caught.value.field == "lines.map.deep.n"


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"lines": {"each": "items"}}, "needs map"),
        ({"lines": {"each": "items", "map": {"a": "b"}, "2)": None}}, "needs quotes"),
        ({"a": {"text": "x {b"}}, "not closed"),
        ({"a": {"text": "x } b"}}, "not opened"),
        ({"a": {"b": {"c": "loer(x)"}}}, "did you mean 'lower'"),
        ({"a": ["b", "c +"]}, "not an expression"),
        ({"a": 'table("nope", x)'}, "no table 'nope'"),
    ],
)
def test_a_faulty_shape_tells_where(shape: Any, said: str) -> None:
    made = compile_shape(shape, ["_r"], members="_r", named={"record": "_r"}, path=("map",))
    assert any(said in fault.message for fault in made.faults), made.faults
    assert all(fault.path[0] == "map" for fault in made.faults)


def test_texts_and_braces() -> None:
    shape = {
        "t": {"text": "Order {status} of {address.last}{none} {{x}} {length(items)}"},
        "n": 1,
        "d": Decimal("1.10"),
        "l": ["n", {"text": "c"}],
        "e": {"each": "none", "map": "x"},
    }
    made = compile_shape(shape, ["_r"], members="_r", named={"record": "_r"})
    assert made(RECORD) == {"t": "Order processing of Müller {x} 2", "n": 1, "d": Decimal("1.10"), "l": [3, "c"], "e": []}


def test_every_function_can_be_called() -> None:
    for name, function in FUNCTIONS.items():
        if name in ("now", "table"):
            continue
        arguments = ", ".join(['"1"'] * max(function.least, 1))
        made = compile_expression(f"{name}({arguments})", ["_r"], members="_r", named={})
        assert not made.faults, (name, made.faults)


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.decimals(allow_nan=False, allow_infinity=False, places=3) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c", "items", "q"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(record=st.dictionaries(st.sampled_from(["a", "b", "c", "items", "q"]), _json, max_size=5))
def test_any_record_is_mapped_or_is_a_misfit(record: dict[str, Any]) -> None:
    """Whatever a source sends, the only error that leaves a mapping is ours, and it holds no value."""
    shape = {
        "x": "a.b[0].c", "y": "default(b, 0) + 1", "z": {"each": "items", "where": "q", "map": {"t": "upper(text(a))", "u": "q * 2"}}, "w": {"text": "{a}-{b}"},
        "v": "integer(c)", "d": "datetime(a)", "j": 'join(items, ",")', "m": "a < b", "i": "a in items",
    }  # fmt: skip
    for name, part in shape.items():
        made = compile_shape({name: part}, ["_r"], members="_r", named={"record": "_r"})
        try:
            made(record)
        except MappingError as misfit:
            assert misfit.field is not None


@given(text=st.text(alphabet=string.ascii_letters + string.digits + " .,()[]{}+-*/%<>=!\"'_:;&|^~@#\\\n\t", max_size=40))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        parse(text)
    except ValueError as refused:
        assert isinstance(refused, ExpressionError) or "time zone" in str(refused) or "matches" in str(refused)
