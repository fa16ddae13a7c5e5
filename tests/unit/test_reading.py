"""YAML 1.2 as pipes need it: lines, plain words, duplicate keys, and files made to hurt."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrator.authoring.reading import plain, read_text


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"), ("12:30", "12:30"), ("12:30:45", "12:30:45"), ("2026-01-01", "2026-01-01"), ("0777", 777), ("0o17", 15),
        ("0x1F", 31), ("1_000", "1_000"), ("true", True), ("False", False), ("null", None), ("~", None), ("1.50", Decimal("1.50")), (".5", Decimal("0.5")), ("1e3", Decimal("1E+3")),
        ("NaN", "NaN"), ("-12", -12), ("+3", 3), ("1.2.3", "1.2.3"), ("", None),
    ],
)  # fmt: skip
def test_plain_words(word: str, expected: Any) -> None:
    assert plain(word) == expected
    assert read_text(f"k: {word}\n".encode(), "f").data == {"k": expected}


def test_quoted_words_are_text() -> None:
    assert read_text(b"a: '1'\nb: \"true\"\nc: |\n  12\n", "f").data == {"a": "1", "b": "true", "c": "12\n"}


def test_each_part_knows_its_line() -> None:
    document = read_text(b"a:\n  b:\n    - x\n    - c: 1\n", "f")
    assert document.line_of(("a", "b", 1, "c")) == 4
    assert document.line_of(("a", "b", 1, "not", "there")) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a: 1\na: 2\n", "stands twice"), (b"a: [1\n", "is not YAML"), (b"\xff\xfe", "UTF-8"), (b"", "is empty"), (b"a: *b\n", "is not YAML"), (b"a: !!python/object:os.system x\n", None),
        (b"a: !env X\n", "means nothing here"), (b"x: &x {k: 1}\ny: {<<: *x}\n", "merge keys"), (b"{1: 2, [a]: 3}", "not plain text"), (b"a: \x01\n", "is not YAML"),
        (b"a: " + b"[" * 3000 + b"]" * 3000, "levels"), (b"a: " + b"{a: " * 60 + b"1" + b"}" * 60, "levels"), (b"---\na: 1\n---\nb: 2\n", "is not YAML"),
    ],
)  # fmt: skip
def test_bad_files_get_a_fault_with_a_line(text: bytes, said: str | None) -> None:
    document = read_text(text, "acme/x.yaml")
    if said is None:
        assert document.data == {"a": "x"} or document.faults
        return
    assert any(said in fault.message for fault in document.faults), document.faults
    assert all(fault.line >= 1 and fault.cure for fault in document.faults)


def test_anchors_that_explode_are_bounded() -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9))
    document = read_text(f"l0: &l0 [x]\n{levels}\n".encode(), "f")
    assert any("values" in fault.message for fault in document.faults)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_faulty(data: bytes) -> None:
    document = read_text(data, "f")
    assert (
        document.faults
        or document.data is not None
        or data.strip() in (b"~", b"null", b"Null", b"NULL", b"''", b"---")
        or document.data is None
    )


@pytest.mark.parametrize("text", [b"[" * 100_000, b"{a: " * 60_000, b"- " * 100_000, b"a: [" * 40_000])
def test_bottomless_nesting_does_not_exhaust_the_stack(text: bytes) -> None:
    assert read_text(text, "f").faults
