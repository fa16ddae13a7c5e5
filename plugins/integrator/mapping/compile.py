"""One generated Python function per mapping; a misfit in it becomes a MappingError that names the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from types import TracebackType
from typing import Any

from integrator.errors import MappingError
from integrator.mapping.casts import MisfitError
from integrator.mapping.expression import ExpressionError, parse
from integrator.mapping.generate import HELPERS, Scope, source_of
from integrator.mapping.shapes import ShapeFault, Writing, write_shape

Paths = set[tuple[str | int, ...]]
Tables = Mapping[str, Mapping[str, Any]]
_numbers = count(1)
BRACKETS_EASY = 80
"""Brackets in one field's source that certainly nest less deeply than Python's parser can read."""
MISFITS = (MisfitError, TypeError, ValueError, ArithmeticError, AttributeError, KeyError, IndexError, RecursionError)
"""What generated code may raise for a record that does not fit."""


def utc_now() -> datetime:
    """Return this instant; `now()` in an expression."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(slots=True, eq=False)
class Made:
    """A compiled shape or expression.

    Attributes:
        call: the generated function; its arguments are the scope's variables in the order asked for. Its source becomes
            code when it is first called, so that checking a pipe costs no more than it must.
        used: per variable the paths it reads.
        carried: of the record's paths (`_r`) those that are only handed on, whatever stands there.
        faults: why it may not be called; empty when all is well.
    """

    call: Callable[..., Any]
    used: Mapping[str, Paths]
    faults: Sequence[ShapeFault] = ()
    file: str = ""
    field_of_line: Mapping[int, str] = field(default_factory=dict)
    carried: Paths = field(default_factory=set)

    def field_of(self, trace: TracebackType | None) -> str | None:
        """Return the field whose line raised: the innermost one of this function."""
        found = None
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self.file:
                found = self.field_of_line.get(trace.tb_lineno, found)
            trace = trace.tb_next
        return found

    def __call__(self, *arguments: Any) -> Any:
        """Run it.

        Raises:
            MappingError: the values do not fit; its text names kinds and the field, never a value.
        """
        try:
            return self.call(*arguments)
        except MISFITS as misfit:
            raise self.misfit(misfit) from None

    def misfit(self, misfit: BaseException) -> MappingError:
        """Return our error for what generated code raised."""
        place = self.field_of(misfit.__traceback__)
        said = str(misfit) if isinstance(misfit, MisfitError) else _said(misfit)
        return MappingError(f"{place or 'the record'}: {said}", stage="map", field=place)


def _said(misfit: BaseException) -> str:
    # Python's own text can hold a value, so only its kind is told.
    if isinstance(misfit, TypeError):
        return "values of different kinds are compared or called with; text(x) or number(x) makes them alike"
    return f"the value does not fit ({type(misfit).__name__})"


def compile_shape(
    shape: Any,
    arguments: Sequence[str],
    *,
    members: str | None,
    named: Mapping[str, str],
    tables: Tables = {},  # noqa: B006 - never written to
    path: tuple[str | int, ...] = (),
    now: Callable[[], datetime] = utc_now,
) -> Made:
    """Compile a shape into a function of these variables; faults are returned with it."""
    writing = Writing(Scope(members, named, tables))
    writing.put(f"def made({', '.join(arguments)}):")
    writing.put(" return (")
    write_shape(shape, writing, path)
    writing.put(" )")
    return _make(writing, now)


def compile_expression(
    text: Any,
    arguments: Sequence[str],
    *,
    members: str | None,
    named: Mapping[str, str],
    tables: Tables = {},  # noqa: B006 - never written to
    path: tuple[str | int, ...] = (),
    now: Callable[[], datetime] = utc_now,
) -> Made:
    """Compile one expression into a function of these variables."""
    writing = Writing(Scope(members, named, tables))
    writing.put(f"def made({', '.join(arguments)}):")
    try:
        writing.put(f" return {source_of(parse(text), writing.scope)}", path or ("value",))
    except (ExpressionError, ValueError) as fault:
        writing.faults.append(ShapeFault(path, str(fault)))
        writing.put(" return None")
    return _make(writing, now)


def compile_lines(
    lines: Sequence[tuple[str, tuple[str | int, ...]]], scope: Scope, now: Callable[[], datetime] = utc_now
) -> Made:
    """Compile source lines that another part of this room wrote; each with its field's path."""
    writing = Writing(scope)
    for text, path in lines:
        writing.put(text, path)
    return _make(writing, now)


def _make(writing: Writing, now: Callable[[], datetime]) -> Made:
    file = f"<mapping {next(_numbers)}>"
    source = "\n".join(writing.lines) + "\n"
    space: dict[str, Any] = {**HELPERS, **writing.scope.constants, "_now": now, "__builtins__": {"type": type, "dict": dict}}
    carried = writing.scope.only_carried("_r")
    made = Made(_faulty, writing.scope.used, tuple(writing.faults), file, writing.field_of_line, carried)
    if writing.faults:
        return made

    def ready() -> Callable[..., Any]:
        exec(compile(source, file, "exec"), space)  # noqa: S102 - our own source, made from a checked tree
        made.call = space["made"]
        return made.call

    def first(*arguments: Any) -> Any:
        return ready()(*arguments)

    made.call = first
    if any(line.count("(") + line.count("[") > BRACKETS_EASY for line in writing.lines):
        ready()  # Python's parser knows an end to nesting: such a fault must show now
    return made


def _faulty(*_arguments: Any) -> Any:
    raise MisfitError("this mapping has faults")
