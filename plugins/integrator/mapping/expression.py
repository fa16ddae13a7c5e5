"""The expression language: Python's expression syntax, whitelisted. Source: PRODUCT.md section 7.

Paths (`a.b[0].c`) are null-safe, text keys stand in brackets (`record["@odata.etag"]`), and the only calls are to
the functions in `functions.py`. Nothing here evaluates: an expression is read into Python's own tree, checked, and
handed to `generate.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from keyword import iskeyword
from typing import Any

from integrator.mapping.functions import FUNCTIONS
from integrator.registry import near

TEXT_MAX = 4000  # characters
NODES_MAX = 500
DEPTH_MAX = 60
INTEGER_DIGITS_MAX = 40
_EASY_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z", re.ASCII)
_WITH = re.compile(r"(?<![\w.])with\s*\.")
_SAID_OF_WITH = (
    "with.<name> is no expression: {with.<name>} in braces stands for its text in any string of a file that has "
    'with: {<name>: [...]} at its top; the text itself is {text: "{with.<name>}"}'
)
CONSTANTS = {"null": None, "true": True, "false": False}

_ALLOWED: frozenset[type] = frozenset({
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult,
    ast.Div, ast.Mod, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is,
    ast.IsNot, ast.IfExp, ast.Call, ast.Attribute, ast.Subscript, ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.List,
})  # fmt: skip
_SAID = {
    ast.Lambda: "lambda", ast.ListComp: "a comprehension", ast.GeneratorExp: "a comprehension", ast.DictComp: "a comprehension",
    ast.SetComp: "a comprehension", ast.JoinedStr: "an f-string", ast.NamedExpr: ":=", ast.Pow: "**", ast.FloorDiv: "//",
    ast.MatMult: "@", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>", ast.Invert: "~",
    ast.Dict: "braces", ast.Set: "braces", ast.Slice: "a slice", ast.Starred: "a star", ast.Await: "await", ast.UAdd: "a leading +",
}  # fmt: skip


class ExpressionError(ValueError):
    """The text is not an expression of the language; the message says why and what to write."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression: its text and tree."""

    text: str
    tree: ast.expr

    def roots(self) -> set[str]:
        """Return the names it begins its paths with, without functions and constants."""
        called = {id(n.func) for n in ast.walk(self.tree) if isinstance(n, ast.Call)}
        return {n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name) and id(n) not in called and n.id not in CONSTANTS}


def parse(text: object) -> Expression:
    """Read an expression; numbers, booleans and null stand for themselves.

    Raises:
        ExpressionError: it is not one of the language.
    """
    if text is None or isinstance(text, (bool, int, Decimal)):
        return Expression(str(text), ast.Constant(text))  # type: ignore[arg-type]
    if not isinstance(text, str):
        raise ExpressionError("an expression is a text, a number, a boolean or null")
    if len(text) > TEXT_MAX:
        raise ExpressionError(f"an expression has at most {TEXT_MAX} characters")
    if _EASY_PATH.match(text) and (path := _easy_path(text)) is not None:
        return Expression(text, path)
    try:
        tree = ast.parse(text.strip().replace("\n", " "), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as fault:
        if _WITH.search(text):
            raise ExpressionError(_SAID_OF_WITH) from None
        said = fault.msg if isinstance(fault, SyntaxError) else "too deep or not readable"
        cure = "inside {} a value with a comma needs quotes" if "never closed" in said else "fixed text is written {text: ...}"
        raise ExpressionError(f"not an expression ({said}); {cure}") from None
    _check(tree, text.strip())
    return Expression(text, tree)


def _easy_path(text: str) -> ast.expr | None:
    """Return the tree of plain names with dots between, the most frequent expression, without Python's parser."""
    names = text.split(".")
    if len(names) >= DEPTH_MAX or any(iskeyword(name) or name.startswith("__") for name in names):
        return None
    tree: ast.expr = ast.Name(names[0], ast.Load())
    for name in names[1:]:
        tree = ast.Attribute(tree, name, ast.Load())
    return tree


def _check(tree: ast.expr, text: str) -> None:
    for count, (node, depth) in enumerate(_walk(tree)):
        if count > NODES_MAX or depth > DEPTH_MAX:
            raise ExpressionError(f"an expression has at most {NODES_MAX} parts, {DEPTH_MAX} deep")
        if type(node) not in _ALLOWED:
            said = _SAID.get(type(node), type(node).__name__.lower())
            raise ExpressionError(f"{said} is not part of the language; see docs/reference/expressions.md")
        _check_node(node, text)


def _walk(tree: ast.AST) -> Iterator[tuple[ast.AST, int]]:
    stack = [(tree, 1)]
    while stack:
        node, depth = stack.pop()
        yield node, depth
        stack += [(child, depth + 1) for child in ast.iter_child_nodes(node)]


def _check_node(node: ast.AST, text: str) -> None:
    if isinstance(node, ast.Attribute) and node.attr.startswith("__"):
        raise ExpressionError(f'{node.attr!r} is not a member\'s name; write ["{node.attr}"] if the record has one')
    if isinstance(node, ast.Name) and node.id.startswith("__"):
        raise ExpressionError(f'{node.id!r} is not a member\'s name; write record["{node.id}"] if the record has one')
    if isinstance(node, ast.Call):
        _check_call(node)
    if isinstance(node, ast.Subscript):
        index: ast.expr = (
            node.slice.operand if isinstance(node.slice, ast.UnaryOp) and isinstance(node.slice.op, ast.USub) else node.slice
        )
        if not (isinstance(index, ast.Constant) and type(index.value) in (int, str)):
            raise ExpressionError("in brackets stands a whole number or a quoted name")
    if isinstance(node, ast.Constant):
        _check_constant(node, text)
    if isinstance(node, ast.Compare) and any(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops):
        for right in node.comparators:
            if not (isinstance(right, ast.Constant) and right.value is None) and not (
                isinstance(right, ast.Name) and right.id == "null"
            ):
                raise ExpressionError("`is` is for null only; write ==")


def _check_call(node: ast.Call) -> None:
    if not isinstance(node.func, ast.Name):
        raise ExpressionError("a function is called by its plain name: lower(x), not x.lower()")
    if node.func.id not in FUNCTIONS:
        raise ExpressionError(f"no function {node.func.id!r}; {near(node.func.id, FUNCTIONS)}")
    if node.keywords:
        raise ExpressionError(f"{node.func.id}() takes its arguments by place, without names")
    known = FUNCTIONS[node.func.id]
    if not known.least <= len(node.args) <= known.most:
        raise ExpressionError(f"{node.func.id}() takes {known.takes()} and was given {len(node.args)}")
    written_out = [arg.value if isinstance(arg, ast.Constant) else None for arg in node.args]
    for place in known.literal:
        if place < len(node.args) and not isinstance(written_out[place], str):
            raise ExpressionError(f"{node.func.id}(): argument {place + 1} is a quoted text, known beforehand")
    if known.check:
        known.check(written_out)


def _check_constant(node: ast.Constant, text: str) -> None:
    if isinstance(node.value, float):
        # Python's float has lost the digits; the text still has them.
        digits = ast.get_source_segment(text.replace("\n", " "), node) or repr(node.value)
        node.value = Decimal(digits)  # type: ignore[assignment]
    elif isinstance(node.value, int) and not isinstance(node.value, bool) and abs(node.value) >= 10**INTEGER_DIGITS_MAX:
        raise ExpressionError(f"a number has at most {INTEGER_DIGITS_MAX} digits")
    elif not isinstance(node.value, (str, int, bool, type(None), Decimal)):
        raise ExpressionError("only texts, numbers, true, false and null can be written out")


_PLAIN_PATH = re.compile(r"^[A-Za-z_$@][\w$@-]*(\.[A-Za-z_$@][\w$@-]*)*$")


def path_steps(text: str) -> tuple[str | int, ...]:
    """Return the steps of a path such as `meta.next` or `record["@odata.nextLink"]`.

    Raises:
        ExpressionError: it is not a path.
    """
    if _PLAIN_PATH.match(text):
        return tuple(text.split("."))
    steps = steps_of(parse(text).tree)
    if steps is None:
        raise ExpressionError("a path is expected here, such as meta.next or data[0].id")
    return steps[1:] if steps[0] == "record" and len(steps) > 1 else steps


def steps_of(node: ast.AST) -> tuple[str | int, ...] | None:
    """Return a path's steps, or None when the tree is no path."""
    steps: list[Any] = []
    while True:
        if isinstance(node, ast.Attribute):
            steps.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Subscript):
            index = node.slice
            steps.append(-index.operand.value if isinstance(index, ast.UnaryOp) else index.value)  # type: ignore[attr-defined]
            node = node.value
        elif isinstance(node, ast.Name) and node.id not in CONSTANTS:
            return (node.id, *reversed(steps))
        else:
            return None
