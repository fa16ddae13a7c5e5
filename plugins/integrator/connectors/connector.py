"""What a connector is. `registry.CONNECTORS` names them.

A connector compiles its half of a flow once, when the pipe is checked or opened; with a `Sender` it becomes a source
or a destination that the engine can use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from integrator.mapping.compile import Paths, Tables
from integrator.mapping.shapes import ShapeFault
from integrator.model import pipe
from integrator.settings import Settings
from integrator.wire.egress import Egress
from integrator.wire.sending import Sender


class CompiledSource(Protocol):
    """A source's templates and pager, compiled; `faults` say why it may not be opened."""

    faults: Sequence[ShapeFault]


class CompiledDestination(Protocol):
    """A destination's templates and rules, compiled."""

    faults: Sequence[ShapeFault]
    source_paths: Paths
    """Paths of the source record that its templates read."""
    repeat_safe: bool
    """Whether writing a record twice does no more than writing it once."""
    body_only: bool
    """Whether a record's ID and encoded body are all that writing it needs."""


class Connector(Protocol):
    """A kind of system."""

    NEEDS_CREDENTIAL: ClassVar[bool]

    @staticmethod
    def compile_source(source: pipe.Source, tables: Tables) -> Any:
        """Compile what the pipe says of the source."""

    @staticmethod
    def compile_destination(destination: pipe.Destination, tables: Tables) -> Any:
        """Compile what the pipe says of the destination."""

    @staticmethod
    def open_source(
        compiled: Any, paths: Paths, carried: Paths, sender: Sender | None, egress: Egress | None, settings: Settings
    ) -> Any:
        """Return a `Source` that reads only these paths of a record; what is `carried` may stay encoded."""

    @staticmethod
    def open_destination(compiled: Any, sender: Sender | None, egress: Egress | None, hash_key: bytes) -> Any:
        """Return a `Destination`."""


def used_of(used: Mapping[str, Paths], variable: str) -> Paths:
    """Return the paths of one variable."""
    return used.get(variable, set())
