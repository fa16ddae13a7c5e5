"""Writes Python source from checked expressions and shapes: one line a field, so that a misfit's line names its field.

Nothing a user writes reaches the source as text: names and texts go in as `repr` of what the checked tree holds.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

from integrator.mapping.casts import DIGITS_MAX, MisfitError, kind, text
from integrator.mapping.expression import CONSTANTS, Expression, ExpressionError, steps_of
from integrator.mapping.functions import FUNCTIONS
from integrator.mapping.variables import VARIABLE, VARS, Beside
from integrator.registry import near

BITS_MAX = 2000
WIDE = Context(prec=2 * DIGITS_MAX)
"""Sums and products keep all their digits."""
EACH = -(10**9)
"""A step that stands for every item of a list."""
_OPERATORS = {ast.Add: "_add", ast.Sub: "_sub", ast.Mult: "_mul", ast.Div: "_div", ast.Mod: "_mod"}
_COMPARE = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
}


@dataclass(slots=True)
class Scope:
    """Which names mean what.

    Attributes:
        members: the Python variable whose members plain names are; None where only `named` counts.
        named: name -> Python variable for the names with a meaning of their own (`record`, `source`, `answer` ...).
        tables: the pipe's tables.
        used: per Python variable the paths that were asked for, for the projection.
        times: how often each path was asked for.
        carried: how often a path was a field's whole value, so that nothing but its text is needed.
    """

    members: str | None
    named: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    used: dict[str, set[tuple[str | int, ...]]] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    times: Counter[tuple[str, tuple[str | int, ...]]] = field(default_factory=Counter)
    carried: Counter[tuple[str, tuple[str | int, ...]]] = field(default_factory=Counter)

    def use(self, variable: str, steps: tuple[str | int, ...]) -> None:
        """Remember that this path of a variable is read."""
        self.used.setdefault(variable, set()).add(steps)
        self.times[variable, steps] += 1

    def carry(self, expression: Expression) -> None:
        """Remember that an expression, already written, is a field's whole value."""
        steps = steps_of(expression.tree)
        if steps and self.members is not None and steps[0] not in self.named and steps[0] != VARS:
            self.carried[self.members, steps] += 1

    def only_carried(self, variable: str) -> set[tuple[str | int, ...]]:
        """Return the paths of a variable that no expression looks into."""
        return {steps for (one, steps), times in self.carried.items() if one == variable and times == self.times[one, steps]}

    def merge(self, used: Mapping[str, set[tuple[str | int, ...]]]) -> None:
        """Remember what another scope read."""
        for variable, paths in used.items():
            for steps in paths:
                self.use(variable, steps)

    def constant(self, value: object) -> str:
        """Return a variable that holds a value which has no source form of its own."""
        name = f"_c{len(self.constants)}"
        self.constants[name] = value
        return name


def source_of(expression: Expression, scope: Scope) -> str:
    """Return Python source for an expression in a scope.

    Raises:
        ExpressionError: a name or a table is not known there.
    """
    return _write(expression.tree, scope)


def _write(node: Any, scope: Scope) -> str:
    path = steps_of(node)
    if path is not None:
        return _write_path(path, scope)
    match node:
        case ast.Constant():
            return scope.constant(node.value) if isinstance(node.value, Decimal) else repr(node.value)
        case ast.Name(id=name):
            return repr(CONSTANTS[name])
        case ast.BoolOp(op=op, values=values):
            return "(" + (" and " if isinstance(op, ast.And) else " or ").join(_write(v, scope) for v in values) + ")"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return f"(not {_write(operand, scope)})"
        case ast.UnaryOp(operand=operand):
            return f"_neg({_write(operand, scope)})"
        case ast.BinOp(left=left, op=op, right=right):
            return f"{_OPERATORS[type(op)]}({_write(left, scope)}, {_write(right, scope)})"
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return f"({_write(body, scope)} if {_write(test, scope)} else {_write(orelse, scope)})"
        case ast.Tuple(elts=elts) | ast.List(elts=elts):
            return "[" + ", ".join(_write(e, scope) for e in elts) + "]"
        case ast.Subscript(value=value, slice=index):
            at = -index.operand.value if isinstance(index, ast.UnaryOp) else index.value  # type: ignore[attr-defined]
            return f"_at({_write(value, scope)}, {at!r})"
        case ast.Attribute(value=value, attr=attr):
            return f"_at({_write(value, scope)}, {attr!r})"
        case ast.Compare():
            return _write_compare(node, scope)
        case ast.Call():
            return _write_call(node, scope)
    raise ExpressionError(f"{type(node).__name__.lower()} is not part of the language")  # pragma: no cover - parse refuses it


def _write_compare(node: ast.Compare, scope: Scope) -> str:
    parts, left = [], _write(node.left, scope)
    for op, right_node in zip(node.ops, node.comparators, strict=True):
        right = _write(right_node, scope)
        if isinstance(op, (ast.In, ast.NotIn)):
            parts.append(f"({'not ' if isinstance(op, ast.NotIn) else ''}_in({left}, {right}))")
        else:
            parts.append(f"({left} {_COMPARE[type(op)]} {right})")
        left = right
    return "(" + " and ".join(parts) + ")"


def _write_call(node: ast.Call, scope: Scope) -> str:
    name = node.func.id  # type: ignore[attr-defined]
    if name == "now":
        return "_now()"
    arguments = [_write(a, scope) for a in node.args]
    if name == "table":
        table = node.args[0].value  # type: ignore[attr-defined]
        if table not in scope.tables:
            known = near(table, scope.tables) if scope.tables else "the pipe has no tables"
            raise ExpressionError(f"no table {table!r}; {known}")
        return f"_table({scope.constant(scope.tables[table])}, {', '.join(arguments[1:])})"
    scope.constants[f"_f_{name}"] = FUNCTIONS[name].call
    return f"_f_{name}({', '.join(arguments)})"


def _write_path(path: tuple[str | int, ...], scope: Scope) -> str:
    head, *rest = path
    if head == VARS and isinstance(scope.tables, Beside):
        scope.constants[VARIABLE] = scope.tables.variables.values
        return scope.tables.variables.source(tuple(rest))
    if head in scope.named:
        variable, steps = scope.named[str(head)], rest
    elif scope.members is not None:
        variable, steps = scope.members, list(path)
    else:
        raise ExpressionError(f"no {head!r} here; {near(str(head), scope.named)}")
    scope.use(variable, tuple(steps))
    if not steps:
        return variable
    made = (
        f"{variable}.get({steps[0]!r})"
        if variable in ("_r", "_i") and isinstance(steps[0], str)
        else f"_at({variable}, {steps[0]!r})"
    )
    for step in steps[1:]:
        if isinstance(step, str):
            made = f"(_t.get({step!r}) if type(_t := {made}) is dict else None)"
        else:
            made = f"_at({made}, {step!r})"
    return made


# What generated code calls. Each raises MisfitError with words about kinds, never about values.


def _at(value: Any, step: str | int) -> Any:
    if type(value) is dict:
        return value.get(step)
    if type(value) is list and type(step) is int and -len(value) <= step < len(value):
        return value[step]
    return None


def _pair(a: Any, b: Any, doing: str) -> None:
    for one in (a, b):
        if one is None:
            raise MisfitError(f"null cannot be {doing}; default(x, 0) gives it a value")
        if type(one) is not int and not isinstance(one, Decimal):
            raise MisfitError(f"{kind(one)} cannot be {doing}; number(x) makes a number of a text")


def _bounded(made: Any) -> Any:
    if made.bit_length() > BITS_MAX if type(made) is int else abs(made.adjusted()) > DIGITS_MAX:
        raise MisfitError("the number is too large")
    return made


def _add(a: Any, b: Any) -> Any:
    if type(a) is str and type(b) is str:
        return text(a + b) if len(a) + len(b) <= 1_000_000 else _too_long()
    _pair(a, b, "added")
    return _bounded(a + b if type(a) is int and type(b) is int else WIDE.add(a, b))


def _too_long() -> None:
    raise MisfitError("the text would have more than 1,000,000 characters")


def _sub(a: Any, b: Any) -> Any:
    _pair(a, b, "subtracted")
    return _bounded(a - b if type(a) is int and type(b) is int else WIDE.subtract(a, b))


def _mul(a: Any, b: Any) -> Any:
    _pair(a, b, "multiplied")
    return _bounded(a * b if type(a) is int and type(b) is int else WIDE.multiply(a, b))


def _div(a: Any, b: Any) -> Any:
    _pair(a, b, "divided")
    if b == 0:
        raise MisfitError("division by zero")
    return _bounded(Decimal(a) / Decimal(b))  # a quotient has no end of its own: 28 digits


def _mod(a: Any, b: Any) -> Any:
    _pair(a, b, "divided")
    if b == 0:
        raise MisfitError("division by zero")
    return a % b


def _neg(a: Any) -> Any:
    _pair(a, 0, "negated")
    return -a if type(a) is int else a.copy_negate()


def _in(value: Any, among: Any) -> bool:
    if among is None:
        return False
    if type(among) is str:
        return type(value) is str and value in among
    if isinstance(among, (list, dict)):
        return value in among if type(among) is list or isinstance(value, str) else False
    raise MisfitError(f"`in` looks into a list, an object or a text, not {kind(among)}")


_MISSING = object()


def _table(table: Mapping[str, Any], key: Any, otherwise: Any = _MISSING) -> Any:
    made = table.get(text(key) or "", otherwise)
    if made is _MISSING:
        raise MisfitError("the table has no such entry; a third argument says what to take instead")
    return made


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if type(value) is list:
        return value
    raise MisfitError(f"each: needs a list and found {kind(value)}")


def _each(items: Any, where: Any, make: Any) -> list[Any]:
    made = []
    for item in _list(items):
        if type(item) is not dict:
            raise MisfitError(f"each: needs objects in its list and found {kind(item)}")
        if where(item):
            made.append(make(item))
    return made


def _s(value: Any) -> str:
    return value if type(value) is str else (text(value) or "")


HELPERS: dict[str, Any] = {
    "_at": _at, "_add": _add, "_sub": _sub, "_mul": _mul, "_div": _div, "_mod": _mod, "_neg": _neg, "_in": _in,
    "_table": _table, "_each": _each, "_s": _s,
}  # fmt: skip
