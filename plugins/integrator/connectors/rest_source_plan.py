"""What a pipe says of an HTTP API that records are read from, compiled."""

from __future__ import annotations

from dataclasses import dataclass, field

from integrator.connectors.entity import id_paths, parts_of, steps_or_fault
from integrator.errors import ConfigError
from integrator.mapping.compile import Tables
from integrator.mapping.expression import ExpressionError
from integrator.mapping.shapes import ShapeFault
from integrator.mapping.templates import RequestTemplate, compile_request
from integrator.model import pipe
from integrator.paging.pager import Pager, pager_of
from integrator.registry import near


@dataclass(slots=True)
class RestSourcePlan:
    """What a pipe says of a REST source, compiled."""

    spec: pipe.Source
    listing: RequestTemplate
    by_id: RequestTemplate | None
    pager: Pager | None
    records: tuple[str | int, ...]
    by_id_records: tuple[str | int, ...] | None
    combine: pipe.Combine | None = None
    refetch: RequestTemplate | None = None
    refetch_pager: Pager | None = None
    refetch_records: tuple[str | int, ...] = ()
    faults: list[ShapeFault] = field(default_factory=list)


def compile_source(spec: pipe.Source, tables: Tables, combine: pipe.Combine | None = None) -> RestSourcePlan:
    """Compile; faults are listed, not raised. With `combine`, all rows of one key can be read again."""
    faults: list[ShapeFault] = []
    listing = compile_request(
        spec.path, spec.params, spec.headers, ["_since", "_until"], members=None,
        named={"since": "_since", "until": "_until"}, tables=tables,
    )  # fmt: skip
    faults += listing.faults
    _check_window(spec, listing, faults)
    if "_since" in listing.used and spec.delta is None:
        faults.append(ShapeFault(("params",), "{since} is used, and the source has no since: that says which member it compares"))
    if spec.delta is not None and "_since" not in listing.used:
        faults.append(
            ShapeFault(
                ("since",), 'since: is given, and no param or header asks with {since}; add params: {updated_min: "{since}"}'
            )
        )
    pager = None
    try:
        pager = pager_of(spec.pages)
    except (ConfigError, ExpressionError) as fault:
        faults.append(ShapeFault(("pages",), str(fault)))
    by_id = _compile_by_id(spec, tables, faults)
    records = steps_or_fault(spec.records, ("records",), faults)
    inner = steps_or_fault(spec.by_id.records, ("by_id", "records"), faults) if spec.by_id and spec.by_id.records else None
    try:
        id_paths(spec.entity_id)
    except ExpressionError as fault:
        faults.append(ShapeFault(("entity_id",), str(fault)))
    made = RestSourcePlan(spec, listing, by_id, pager, records, inner, combine, faults=faults)
    if combine is not None and combine.refetch is not None:
        _compile_refetch(made, combine, combine.refetch, tables)
    return made


def _check_window(spec: pipe.Source, listing: RequestTemplate, faults: list[ShapeFault]) -> None:
    since = spec.delta
    if since is None or since.window is None:
        if listing.used.get("_until"):
            faults.append(ShapeFault(("params",), "{until} is used, and the source has no since: with a window:"))
        return
    if "_until" not in listing.used:
        faults.append(
            ShapeFault(
                ("since", "window"), 'window: is given, and nothing asks with {until}; add params: {updated_max: "{until}"}'
            )
        )
    if since.start is None:
        faults.append(ShapeFault(("since", "window"), "window: needs start: the time at which the first window begins"))
    if since.format == "number":
        faults.append(ShapeFault(("since", "window"), "window: is for times; a number has no end to read up to"))
    if since.window.total_seconds() < 1:
        faults.append(ShapeFault(("since", "window"), "window: is at least 1s"))


def _compile_refetch(made: RestSourcePlan, combine: pipe.Combine, spec: pipe.Refetch, tables: Tables) -> None:
    place = ("refetch",)
    made.refetch = compile_request(
        spec.path or made.spec.path, spec.params, made.spec.headers, ["_p", "_e"], members="_p",
        named={"entity_id": "_e"}, tables=tables, at=place,
    )  # fmt: skip
    faults = list(made.refetch.faults)
    if not any(made.refetch.used.values()):
        faults.append(ShapeFault(place, "refetch: names nothing of the key, so it would read every row"))
    try:
        known = {*parts_of("x", combine.by), "entity_id"}
        faults += [
            ShapeFault(place, f"no {steps[0]!r} in a refetch; {near(str(steps[0]), known)}")
            for steps in made.refetch.used.get("_p", set())
            if steps and steps[0] not in known
        ]
        made.refetch_pager = pager_of(spec.pages)
    except (ConfigError, ExpressionError) as fault:
        faults.append(ShapeFault(place, str(fault)))
    made.refetch_records = made.records if spec.records is None else steps_or_fault(spec.records, (*place, "records"), faults)
    made.faults += [ShapeFault(("..", "combine", *fault.path), fault.message) for fault in faults]


def _compile_by_id(spec: pipe.Source, tables: Tables, faults: list[ShapeFault]) -> RequestTemplate | None:
    if spec.by_id is None:
        return None
    named = {"entity_id": "_e", "entity_ids": "_es"}
    made = compile_request(
        spec.by_id.path or spec.path,
        spec.by_id.params,
        spec.headers,
        ["_p", "_e", "_es"],
        members="_p",
        named=named,
        tables=tables,
        at=("by_id",),
    )
    faults += made.faults
    try:
        known = {*parts_of("x", spec.entity_id), *named}
    except ExpressionError:
        return made
    for steps in made.used.get("_p", set()):
        if steps and steps[0] not in known:
            faults.append(ShapeFault(("by_id",), f"no {steps[0]!r} in a read by ID; {near(str(steps[0]), known)}"))
    if spec.by_id.up_to > 1 and "_es" not in made.used:
        faults.append(ShapeFault(("by_id", "up_to"), "up_to asks for several IDs in one call, and nothing names {entity_ids}"))
    if spec.by_id.up_to > 1 and not spec.by_id.records:
        faults.append(ShapeFault(("by_id", "records"), "several records come back; say where their list is with records:"))
    return made
