"""A flow, compiled: its mapping and both its ends. Pure; made when a pipe is checked and again when it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from integrator.connectors.connector import Connector
from integrator.connectors.entity import id_paths
from integrator.errors import UnknownKindError
from integrator.mapping.casts import MisfitError, zone
from integrator.mapping.compile import Made, Paths, Tables, compile_expression, compile_shape
from integrator.mapping.expression import ExpressionError, path_steps
from integrator.mapping.shapes import ShapeFault
from integrator.mapping.stamps import read_stamp
from integrator.mapping.variables import Beside, Variables
from integrator.model.pipe import Flow, Since
from integrator.model.run import FlowKey
from integrator.registry import find


@dataclass(slots=True)
class FlowPlan:
    """A flow ready to be opened, if it has no faults."""

    key: FlowKey
    spec: Flow
    mapping: Made
    where: Made | None
    source_kind: Connector | None
    destination_kind: Connector | None
    source: Any
    destination: Any
    paths: Paths = field(default_factory=set)
    """Every path of a source record that is read anywhere."""
    carried: Paths = field(default_factory=set)
    """Those of them that only go on into the body, so that they need not be taken apart."""
    faults: list[ShapeFault] = field(default_factory=list)
    variables: Variables = field(default_factory=Variables)
    """The project's variables that it reads; whoever opens the flow fills in their values."""

    @property
    def repeat_safe(self) -> bool:
        """Whether writing a record twice does no more than once."""
        return bool(self.destination.repeat_safe)


def plan_flow(key: FlowKey, spec: Flow, tables: Tables) -> FlowPlan:
    """Compile a flow; faults are listed with their path below `flows.<flow>`, not raised."""
    tables = Beside(tables)
    scope: dict[str, Any] = {"members": "_r", "named": {"record": "_r"}, "tables": tables}
    mapping = compile_shape(spec.map, ["_r"], **scope)
    where = None if spec.where is None else compile_expression(spec.where, ["_r"], **scope, path=("where",))
    faults = [ShapeFault(("map", *fault.path), fault.message) for fault in mapping.faults]
    faults += where.faults if where else ()
    source_kind = _kind(spec.source, "source", faults)
    destination_kind = _kind(spec.destination, "destination", faults)
    source = source_kind.compile_source(spec.source, tables) if source_kind else None
    destination = destination_kind.compile_destination(spec.destination, tables) if destination_kind else None
    for name, half in (("source", source), ("destination", destination)):
        faults += [ShapeFault((name, *fault.path), fault.message) for fault in (half.faults if half else ())]
    faults += check_since(spec)
    plan = FlowPlan(key, spec, mapping, where, source_kind, destination_kind, source, destination, faults=faults)
    plan.variables = tables.variables
    if not faults:
        plan.paths = _paths(plan)
        plan.carried = _carried(plan)
    return plan


def _kind(end: Any, name: str, faults: list[ShapeFault]) -> Connector | None:
    try:
        kind: Connector = find("connector", end.connector)
    except UnknownKindError as fault:
        faults.append(ShapeFault((name, "connector"), str(fault)))
        return None
    if kind.NEEDS_CREDENTIAL and end.credential is None:
        faults.append(
            ShapeFault(
                (name, "credential"), f"a {end.connector} {name} needs credential: the name of a connection <project>__<name>"
            )
        )
    return kind


def _paths(plan: FlowPlan) -> Paths:
    return set(plan.mapping.used.get("_r", set())) | _looked_into(plan)


def _looked_into(plan: FlowPlan) -> Paths:
    """Return the paths that are read beside the mapping."""
    spec = plan.spec.source
    paths: Paths = set(plan.destination.source_paths)
    if plan.where is not None:
        paths |= plan.where.used.get("_r", set())
    paths |= set(id_paths(spec.entity_id))
    if spec.since is not None:
        paths.add(path_steps(spec.since.field))
    return paths


def _carried(plan: FlowPlan) -> Paths:
    """Return the paths that nobody looks into: only the mapping hands them on, and no other path runs through them."""
    if not plan.destination.body_only:
        return set()
    above = {path[:at] for path in plan.paths for at in range(len(path))}
    return {
        path
        for path in plan.mapping.carried - _looked_into(plan)
        if path not in above
        and all(isinstance(step, str) for step in path)
        and not any(path[:at] in plan.paths for at in range(len(path)))
    }


def check_since(spec: Flow) -> Sequence[ShapeFault]:
    """Return faults of since: that only reading its values shows."""
    since = spec.source.since
    if since is None:
        return []
    faults: list[ShapeFault] = []
    place = ("source", "since")
    for name, look in (
        ("zone", lambda: zone(since.zone)),
        ("field", lambda: path_steps(since.field)),
        ("format", lambda: _try_format(since)),
    ):
        try:
            look()
        except (MisfitError, ExpressionError) as fault:
            faults.append(ShapeFault((*place, name), str(fault)))
    if not faults and since.start is not None:
        try:
            read_stamp(since.start, since)
        except MisfitError:
            faults.append(
                ShapeFault((*place, "start"), "not a time of this flow; write one such as 2026-01-01 or 2026-01-01T00:00:00Z")
            )
    return faults


def _try_format(since: Since) -> None:
    """Write an instant in the format and read it again.

    Raises:
        MisfitError: that does not work.
    """
    if since.format in ("iso", "epoch", "epoch_ms", "number"):
        return
    try:
        if "%" not in since.format:
            raise ValueError
        datetime.strptime(datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC).strftime(since.format), since.format)  # noqa: DTZ007 - thrown away
    except ValueError:
        raise MisfitError(
            f"{since.format!r} is no strptime format; such as %Y-%m-%d %H:%M:%S, or iso, epoch, epoch_ms, number"
        ) from None
