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
    """Paths of the source record (or of its part) that its templates read."""
    parent_paths: Paths
    """Paths of the record that a part is of."""
    used: Mapping[str, Paths]
    """All that its templates read, by variable."""
    repeat_safe: bool
    """Whether writing a record twice does no more than writing it once."""
    body_only: bool
    """Whether a record's ID and encoded body are all that writing it needs."""


class Connector(Protocol):
    """A kind of system."""

    NEEDS_CREDENTIAL: ClassVar[bool]
    LOOKS_UP: ClassVar[bool]
    """Whether it can be asked for one record by a key; otherwise a look-up reads the whole list (`preload`)."""

    @staticmethod
    def compile_source(source: pipe.Source, tables: Tables, combine: pipe.Combine | None = None) -> Any:
        """Compile what the pipe says of the source; with `combine`, also how all rows of one key are read again."""

    @staticmethod
    def compile_destination(destination: pipe.Destination, tables: Tables, more: Mapping[str, str] | None = None) -> Any:
        """Compile what the pipe says of the destination; `more` are further names of its scope."""

    @staticmethod
    def compile_look_up(spec: pipe.LookUp, named: Mapping[str, str], tables: Tables) -> Any:
        """Compile what the pipe says of a look-up that asks for one record by a key."""

    @staticmethod
    def open_source(
        compiled: Any, paths: Paths, carried: Paths, sender: Sender | None, egress: Egress | None, settings: Settings
    ) -> Any:
        """Return a `Source` that reads only these paths of a record; what is `carried` may stay encoded."""

    @staticmethod
    def open_destination(
        compiled: Any, sender: Sender | None, egress: Egress | None, hash_key: bytes, *, keeps_answers: bool = False
    ) -> Any:
        """Return a `Destination`; one that keeps answers puts the answer to a write on its item."""

    @staticmethod
    def open_look_up(compiled: Any, sender: Sender | None, egress: Egress | None) -> Any:
        """Return a `LookUp`."""


def used_of(used: Mapping[str, Paths], variable: str) -> Paths:
    """Return the paths of one variable."""
    return used.get(variable, set())
