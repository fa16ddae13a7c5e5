"""A flow, compiled: its mapping, its steps and both its ends. Pure; made when a pipe is checked and again when it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from integrator.authoring import steps
from integrator.authoring.combining import CombinePlan, compile_combine
from integrator.authoring.since_checks import check_since
from integrator.authoring.step_checks import check_steps
from integrator.authoring.step_plans import Plan
from integrator.connectors.connector import Connector
from integrator.connectors.entity import id_paths
from integrator.errors import UnknownKindError
from integrator.mapping.compile import Made, Paths, Tables, compile_expression, compile_shape
from integrator.mapping.expression import path_steps
from integrator.mapping.shapes import ShapeFault
from integrator.mapping.variables import Beside, Variables
from integrator.model.pipe import Flow
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
    steps: Plan = field(default_factory=Plan)
    combine: CombinePlan | None = None
    paths: Paths = field(default_factory=set)
    """Every path of a source record that is read anywhere."""
    carried: Paths = field(default_factory=set)
    """Those of them that only go on into the body, so that they need not be taken apart."""
    log: Made | None = None
    """Makes a record's line for the console log, of what its mapping is made of."""
    faults: list[ShapeFault] = field(default_factory=list)
    variables: Variables = field(default_factory=Variables)
    """The project's variables that it reads; whoever opens the flow fills in their values."""

    @property
    def repeat_safe(self) -> bool:
        """Whether writing a record twice does no more than once."""
        return bool(self.destination.repeat_safe)

    @property
    def rerun_safe(self) -> bool:
        """Whether a record whose outcome is not known may be tried again without being named: its calls after the write too."""
        return self.repeat_safe and all(step.repeat_safe for step in self.steps.then)

    @property
    def announces(self) -> bool:
        """Whether what is about to be sent is noted first, so that after a crash it is known what may have been done."""
        return not self.repeat_safe or bool(self.steps.then)

    @property
    def late(self) -> bool:
        """Whether records are mapped on their way to the destination, since other calls come before it."""
        return self.steps.any

    @property
    def entity_id(self) -> str | Sequence[str]:
        """Where the ID of a record stands: of a combined one, what its rows have in common."""
        return self.combine.names if self.combine else self.spec.source.entity_id


def plan_flow(key: FlowKey, spec: Flow, tables: Tables) -> FlowPlan:
    """Compile a flow; faults are listed with their path below `flows.<flow>`, not raised."""
    tables = Beside(tables)
    scope: dict[str, Any] = {"members": "_r", "named": {"record": "_r"}, "tables": tables}
    faults: list[ShapeFault] = []
    made = steps.compile_steps(spec, tables, faults)
    shaped: tuple[list[str], dict[str, Any]] = (["_r"], scope)
    if made.any:
        shaped = (steps.PART, {"members": "_i", "named": steps.part_names(spec), "tables": tables})
    mapping = compile_shape(spec.map, shaped[0], **shaped[1])
    log = None if spec.log is None else compile_shape(spec.log, shaped[0], **shaped[1], path=("log",))
    where = None if spec.where is None else compile_expression(spec.where, ["_r"], **scope, path=("where",))
    faults += [ShapeFault(("map", *fault.path), fault.message) for fault in mapping.faults]
    faults += [*(where.faults if where else ()), *(log.faults if log else ())]
    source_kind = _kind(spec.source, "source", faults)
    destination_kind = _kind(spec.destination, "destination", faults)
    source = source_kind.compile_source(spec.source, tables, spec.combine) if source_kind else None
    destination = (
        destination_kind.compile_destination(spec.destination, tables, steps.scope_names(spec)) if destination_kind else None
    )
    for name, half in (("source", source), ("destination", destination)):
        faults += [_at(name, fault) for fault in (half.faults if half else ())]
    combine = compile_combine(spec, faults)
    faults += check_since(spec)
    if destination is not None:
        faults += check_steps(spec, repeat_safe=destination.repeat_safe)
    plan = FlowPlan(
        key, spec, mapping, where, source_kind, destination_kind, source, destination, made, combine, log=log, faults=faults
    )
    plan.variables = tables.variables
    if not faults:
        steps.read_of_look_ups(made, (mapping.used, log.used if log else {}, destination.used if destination is not None else {}))
        plan.paths = _paths(plan)
        plan.carried = _carried(plan)
    return plan


def _at(name: str, fault: ShapeFault) -> ShapeFault:
    """Return a fault of one end with its path below the flow; `..` leads out of that end."""
    return (
        ShapeFault(fault.path[1:], fault.message) if fault.path[:1] == ("..",) else ShapeFault((name, *fault.path), fault.message)
    )


def _kind(end: Any, name: str, faults: list[ShapeFault]) -> Connector | None:
    try:
        kind: Connector = find("connector", end.connector)
    except UnknownKindError as fault:
        faults.append(ShapeFault((name, "connector"), str(fault)))
        return None
    steps.needs_credential(kind, end, (name,), name, faults)
    return kind


def _paths(plan: FlowPlan) -> Paths:
    paths = _record_paths(plan)
    if plan.combine is not None:
        return plan.combine.row_paths(paths) | _of_rows(plan)
    return paths | _of_rows(plan)


def _record_paths(plan: FlowPlan) -> Paths:
    """Return the paths that are read of a record, which may have been combined from rows."""
    used: dict[str, Paths] = {"_s": set(plan.destination.source_paths), "_p": set(plan.destination.parent_paths)}
    for part in (plan.steps.used, plan.mapping.used, *(one.used for one in (plan.where, plan.log) if one)):
        for variable, paths in part.items():
            used[variable] = used.get(variable, set()) | paths
    return steps.record_paths(plan.steps.split, used)


def _of_rows(plan: FlowPlan) -> Paths:
    spec = plan.spec.source
    paths = set(id_paths(spec.entity_id))
    if spec.delta is not None:
        paths.add(path_steps(spec.delta.field))
    return paths


def _looked_into(plan: FlowPlan) -> Paths:
    """Return the paths that are read beside the mapping."""
    paths: Paths = set(plan.destination.source_paths) | _of_rows(plan)
    return paths.union(*(one.used.get("_r", set()) for one in (plan.where, plan.log) if one))


def _carried(plan: FlowPlan) -> Paths:
    """Return the paths that nobody looks into: only the mapping hands them on, and no other path runs through them."""
    if not plan.destination.body_only or plan.late or plan.combine is not None:
        return set()
    above = {path[:at] for path in plan.paths for at in range(len(path))}
    return {
        path
        for path in plan.mapping.carried - _looked_into(plan)
        if path not in above
        and all(isinstance(step, str) for step in path)
        and not any(path[:at] in plan.paths for at in range(len(path)))
    }
