"""`vars.x`: the project's variables, which differ per environment.

Generated code looks into one dict of its flow's plan, by reference; it is filled when the flow is opened, never when
a pipe is checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from integrator.mapping.expression import ExpressionError
from integrator.model.names import NAME

VARS = "vars"
VARIABLE = "_vars"
"""The Python variable that holds the values in generated code."""
_SECRET = re.compile(r"password|passwd|passphrase|token|secret|credential|(^|_)(key|keys|pwd|apikey|pin)(_|$)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,39})(\.[0-9]{1,40})?\Z")
_WORDS = {"true": True, "false": False, "null": None}


@dataclass(slots=True)
class Variables:
    """Which variables a flow reads, and their values once it is opened."""

    names: set[str] = field(default_factory=set)
    values: dict[str, Any] = field(default_factory=dict, repr=False)

    def source(self, steps: tuple[str | int, ...]) -> str:
        """Return source that reads a variable, and remember that it is read.

        Args:
            steps: what stands behind `vars`.

        Raises:
            ExpressionError: no variable is named, or one that holds a secret by its name.
        """
        name = steps[0] if steps else None
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            raise ExpressionError("vars is followed by a variable's name in lower case: vars.warehouse")
        if _SECRET.search(name):
            raise ExpressionError(f"vars.{name} has a secret's name; secrets are credentials, which only a credential: may name")
        self.names.add(name)
        made = f"{VARIABLE}[{name!r}]"
        for step in steps[1:]:
            made = f"_at({made}, {step!r})"
        return made


class Beside(Mapping[str, Mapping[str, Any]]):
    """A pipe's tables, and beside them the variables of one flow: all that its expressions may read but records."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        self._tables = tables
        self.variables = Variables()

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        """Return a table."""
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        """Return the tables' names."""
        return iter(self._tables)

    def __len__(self) -> int:
        """Return how many tables there are."""
        return len(self._tables)


def read_value(text: str) -> Any:
    """Return a variable's value: JSON where it is an object, a list, a quoted text, a plain number, true, false or null, else the text."""
    plain = text.strip()
    if plain in _WORDS:
        return _WORDS[plain]
    if _NUMBER.match(plain):
        return Decimal(plain) if "." in plain else int(plain)
    if plain[:1] in ("{", "[", '"'):
        try:
            return json.loads(plain, parse_float=Decimal)
        except (ValueError, RecursionError):
            return text
    return text


def environment_name(project: str, name: str) -> str:
    """Return where a project's variable stands in the environment, as Airflow names it."""
    return f"AIRFLOW_VAR_{project}__{name}".upper()
