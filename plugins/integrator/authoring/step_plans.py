"""The steps of a flow, compiled: look-ups, parts, calls after the write, lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from integrator.connectors.connector import Connector
from integrator.connectors.entity import Steps
from integrator.mapping.compile import Made, Paths
from integrator.model import pipe


@dataclass(slots=True)
class LookUpStep:
    """A look-up: its connector's plan, and what is taken of what it finds."""

    name: str
    spec: pipe.LookUp
    kind: Connector
    compiled: Any
    take: Made | None
    make_take: Made | None
    members: frozenset[str] | None = None
    """Without a take: the members that are read of what is found; None where all of it is."""

    @property
    def uses_others(self) -> bool:
        """Whether it reads what another look-up has found."""
        return any(used.get("_l") for used in self.compiled.used())


@dataclass(slots=True)
class SplitStep:
    """How a record becomes parts."""

    each: Made
    place: Steps | None  # where the list stands, if the expression is a plain path
    key: Callable[[dict[str, Any]], str]
    key_paths: list[Steps]


@dataclass(slots=True)
class ThenStep:
    """A call after the write: a destination of its own, whose body is the call's map."""

    spec: pipe.Then
    kind: Connector
    compiled: Any
    when: Made | None
    destination: pipe.Destination

    @property
    def repeat_safe(self) -> bool:
        """Whether making the call twice does no more than once."""
        return bool(self.compiled.repeat_safe)


@dataclass(slots=True)
class ListStep:
    """How the destination's own records are listed, and told apart."""

    spec: pipe.Listing
    source: Any
    members: list[Steps]
    keys: list[Made]
    id: Steps
    compared: list[Steps] = field(default_factory=list)
    """What a soft delete writes, which tells whether it was made before."""


@dataclass(slots=True)
class Plan:
    """All steps of a flow."""

    look_ups: list[LookUpStep] = field(default_factory=list)
    split: SplitStep | None = None
    then: list[ThenStep] = field(default_factory=list)
    delete_when: Made | None = None
    newer: Made | None = None
    than: Made | None = None
    listing: ListStep | None = None
    waits: bool = False
    """Whether a record may wait for something (`later`)."""
    used: dict[str, Paths] = field(default_factory=dict)

    def read(self, used: Mapping[str, Paths]) -> None:
        """Remember what a part of it reads, by variable."""
        for variable, paths in used.items():
            self.used.setdefault(variable, set()).update(paths)

    @property
    def any(self) -> bool:
        """Whether records take the longer way."""
        return bool(self.look_ups or self.split or self.then or self.delete_when or self.listing or self.waits)
