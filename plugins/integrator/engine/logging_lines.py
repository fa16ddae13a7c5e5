"""A pipe's own lines in its console log: of a record's `log:`, and of deployed functions. Made ready only while they are wanted."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from integrator.authoring.planning import FlowPlan
from integrator.connectors.entity import reader
from integrator.engine.ports import Console
from integrator.errors import MappingError, RecordError
from integrator.mapping.logged import no_longer, taken_by
from integrator.mapping.projection import encode


def with_lines(plan: FlowPlan, console: Console | None) -> FlowPlan:
    """Return the plan, whose mapping writes the pipe's own line for each record that it maps, where the log takes lines."""
    if console is None or not console.takes_lines or plan.log is None:
        return plan
    id_of, line, mapping = reader(plan.entity_id), plan.log, plan.mapping
    logged = copy.copy(mapping)

    def call(*arguments: Any) -> Any:
        try:
            values = line(*arguments)
        except MappingError as misfit:
            values = {"cannot_be_made": str(misfit)}
        _write(console, "log", _id(id_of, arguments[1] if len(arguments) > 1 else arguments[0]), values)
        return mapping.call(*arguments)

    logged.call = call
    return replace(plan, mapping=logged)


@contextmanager
def lines_of_functions(console: Console | None) -> Iterator[None]:
    """Take the lines of deployed functions, where the log takes lines."""
    if console is None or not console.takes_lines:
        yield
        return
    token = taken_by(lambda text, values: _write(console, text, None, values))
    try:
        yield
    finally:
        no_longer(token)


def _id(id_of: Any, record: Any) -> str | None:
    try:
        return str(id_of(record))
    except RecordError:
        return None


def _write(console: Console, text: str, entity_id: str | None, values: Any) -> None:
    try:
        made = encode(values)
    except (TypeError, ValueError):
        made = b'"values without a JSON form"'
    console.line(text, entity_id, made)
