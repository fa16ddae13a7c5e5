"""Shapes: what a `map`, a `body` or a `{text: ...}` makes, written as source with one line a field.

A string is an expression; numbers, booleans and null stand for themselves; `{text: ...}` is fixed text with
expressions in braces; `{each: list, where: ..., map: ...}` makes a list; any other object is nested.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from integrator.mapping.expression import ExpressionError, parse, steps_of
from integrator.mapping.generate import EACH, Scope, source_of

DEPTH_MAX = 20


class ShapeFault(NamedTuple):
    """What is wrong with a shape, and where in it."""

    path: tuple[str | int, ...]
    message: str


@dataclass(slots=True)
class Writing:
    """Source lines as they grow, and which field each line belongs to."""

    scope: Scope
    lines: list[str] = field(default_factory=list)
    field_of_line: dict[int, str] = field(default_factory=dict)
    faults: list[ShapeFault] = field(default_factory=list)

    def put(self, text: str, where: tuple[str | int, ...] = ()) -> None:
        """Add a line; `where` is the path of the field it computes."""
        self.lines.append(text)
        if where:
            self.field_of_line[len(self.lines)] = dotted(where)


def dotted(path: tuple[str | int, ...]) -> str:
    """Return a path as people read it."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")


def split_text(template: str) -> list[tuple[bool, str]]:
    """Split `a {b} c` into (is an expression, text) parts; `{{` and `}}` are braces themselves.

    Raises:
        ExpressionError: a brace is open, or closed without having been opened.
    """
    parts: list[tuple[bool, str]] = []
    plain, at = "", 0
    while at < len(template):
        if template.startswith(("{{", "}}"), at):
            plain, at = plain + template[at], at + 2
        elif template[at] == "{":
            end = _closing(template, at + 1)
            parts += [(False, plain)] * bool(plain) + [(True, template[at + 1 : end])]
            plain, at = "", end + 1
        elif template[at] == "}":
            raise ExpressionError("a brace is closed that was not opened; write }} for a brace itself")
        else:
            plain, at = plain + template[at], at + 1
    return parts + [(False, plain)] * bool(plain)


def _closing(template: str, at: int) -> int:
    quote = ""
    for place in range(at, len(template)):
        sign = template[place]
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign == "}":
            return place
    raise ExpressionError("a brace is not closed; write {{ for a brace itself")


def text_source(template: str, scope: Scope) -> str:
    """Return source that fills a `{text: ...}`; null becomes empty text."""
    parts = [f"_s({source_of(parse(part), scope)})" if live else repr(part) for live, part in split_text(template)]
    return "(" + (" + ".join(parts) or "''") + ")"


def is_text(value: object) -> bool:
    """Tell whether a value is `{text: "..."}`."""
    return isinstance(value, dict) and set(value) == {"text"} and isinstance(value["text"], str)


def write_shape(value: Any, writing: Writing, path: tuple[str | int, ...] = ()) -> None:
    """Add the lines that make a value; faults are collected, not raised."""
    if len(path) > DEPTH_MAX:
        writing.faults.append(ShapeFault(path, f"a mapping is at most {DEPTH_MAX} deep"))
    elif is_text(value):
        _write_leaf(lambda: text_source(value["text"], writing.scope), writing, path, inner=("text",))
    elif isinstance(value, dict) and "each" in value:
        _write_each(value, writing, path)
    elif isinstance(value, dict):
        writing.put("{")
        for name, part in value.items():
            writing.put(f"{str(name)!r}:")
            write_shape(part, writing, (*path, str(name)))
            writing.put(",")
        writing.put("}")
    elif isinstance(value, list):
        writing.put("[")
        for at, part in enumerate(value):
            write_shape(part, writing, (*path, at))
            writing.put(",")
        writing.put("]")
    else:
        _write_leaf(lambda: _value_source(value, writing.scope), writing, path)


def _value_source(value: Any, scope: Scope) -> str:
    expression = parse(value)
    made = source_of(expression, scope)
    scope.carry(expression)
    return made


def _write_leaf(make: Any, writing: Writing, path: tuple[str | int, ...], inner: tuple[str, ...] = ()) -> None:
    try:
        writing.put(make(), path or ("value",))
    except (ExpressionError, ValueError) as fault:
        writing.faults.append(ShapeFault((*path, *inner), str(fault)))
        writing.put("None")


def _write_each(value: Mapping[str, Any], writing: Writing, path: tuple[str | int, ...]) -> None:
    for extra in sorted(set(value) - {"each", "where", "map"}):
        said = f"each: takes only where: and map: beside it, not {extra!r}; inside {{}} a value with a comma needs quotes"
        writing.faults.append(ShapeFault((*path, extra), said))
    if not isinstance(value.get("map"), (dict, str)):
        writing.faults.append(ShapeFault(path, "each: needs map: with the members of each item"))
        return
    outer = writing.scope
    listed = replace(outer, used={})
    items = replace(outer, members="_i", used={})
    writing.put("_each(", path or ("value",))
    writing.scope = listed
    _write_leaf(lambda: source_of(parse(value["each"]), listed), writing, (*path, "each"))
    writing.scope = items
    for name in ("where", "map"):
        writing.put(", lambda _i: (")
        if name in value:
            write_shape(value[name], writing, (*path, name))
        else:
            writing.put("True")
        writing.put(")")
    writing.put(")")
    writing.scope = outer
    _carry_up(value["each"], listed, items, outer)


def _carry_up(listed_text: Any, listed: Scope, items: Scope, outer: Scope) -> None:
    """Carry what the items' map reads up to the whole record's paths, so that no more than that is decoded."""
    read = items.used.pop("_i", set())
    outer.merge(items.used)
    try:
        steps = steps_of(parse(listed_text).tree)
    except ExpressionError:
        return  # already noted as a fault
    if steps is None or any(isinstance(step, int) for step in steps):
        outer.merge(listed.used)
        return
    for variable, paths in listed.used.items():
        for place in paths:
            outer.use(variable, (*place, EACH))
            for path in read:
                outer.use(variable, (*place, EACH, *path))
