"""What a flow does beside reading, mapping and writing once, compiled: look-ups, parts, conflicts, deletes, lists, calls after the write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from integrator.authoring.step_plans import ListStep, LookUpStep, Plan, SplitStep, ThenStep
from integrator.connectors.connector import Connector
from integrator.connectors.entity import Steps, reader
from integrator.connectors.preloaded import as_source, compile_preload
from integrator.connectors.rest_destination_plan import ARGUMENTS, NAMED
from integrator.errors import UnknownKindError
from integrator.mapping.compile import Made, Paths, Tables, compile_expression
from integrator.mapping.expression import ExpressionError, path_steps, steps_of
from integrator.mapping.expression import parse as parse_expression
from integrator.mapping.generate import EACH
from integrator.mapping.shapes import ShapeFault
from integrator.model import pipe
from integrator.registry import find

PART = ["_i", "_r", "_l"]
"""Variables of look-ups and maps in a flow with steps: the part, the record that it is of (itself where nothing is split), look-ups."""


def scope_names(flow: pipe.Flow) -> dict[str, str]:
    """Return the further names that look-ups and a split bring into every scope but `where`."""
    return {**({"look_up": "_l"} if flow.look_up else {}), **({"parent": "_p"} if flow.split else {})}


def part_names(flow: pipe.Flow) -> dict[str, str]:
    """Return the names beside the part's members in look-ups and maps."""
    return {"record": "_i", **({"look_up": "_l"} if flow.look_up else {}), **({"parent": "_r"} if flow.split else {})}


def compile_steps(flow: pipe.Flow, tables: Tables, faults: list[ShapeFault]) -> Plan:
    """Compile; faults are added to the list, with their path below the flow."""
    match = flow.destination.match
    later = any(spec.missing == "later" for spec in flow.look_up.values())
    plan = Plan(waits=later or (match is not None and match.missing == "later"))
    plan.split = _split(flow, tables, faults, plan)
    known: dict[str, str] = {name: where for name, where in part_names(flow).items() if name != "look_up"}
    for name, spec in flow.look_up.items():
        step = _look_up(name, spec, known, tables, faults)
        if step is not None:
            plan.look_ups.append(step)
            for used in step.compiled.used():
                plan.read(used)
        known = {**known, "look_up": "_l"}
    _destination(flow, tables, faults, plan)
    for at, then in enumerate(flow.then):
        made = _then(then, flow, tables, faults, ("then", at))
        if made is not None:
            plan.then.append(made)
            plan.read({"_s": made.compiled.source_paths, "_r": made.compiled.parent_paths})
            plan.read(_renamed(made.when.used if made.when else {}))
    return plan


def _renamed(used: Mapping[str, Paths]) -> dict[str, Paths]:
    """Return a destination scope's reading in the variables of parts: its `source` is the part, its `parent` the record."""
    return {"_s": used.get("_r", set()), "_r": used.get("_p", set()), "_l": used.get("_l", set())}


def _split(flow: pipe.Flow, tables: Tables, faults: list[ShapeFault], plan: Plan) -> SplitStep | None:
    spec = flow.split
    if spec is None:
        return None
    each = compile_expression(spec.each, ["_r"], members="_r", named={"record": "_r"}, tables=tables, path=("split", "each"))
    faults += each.faults
    names = [spec.key] if isinstance(spec.key, str) else spec.key
    try:
        paths = [path_steps(name) for name in names]
        key = reader(spec.key)
    except ExpressionError as fault:
        faults.append(ShapeFault(("split", "key"), str(fault)))
        return None
    place: Steps | None = None
    if not each.faults:
        steps = steps_of(parse_expression(spec.each).tree)
        place = steps if steps and not any(isinstance(step, int) for step in steps) else None
        place = place[1:] if place and place[0] == "record" else place
    if not place:
        plan.read(each.used)
        place = None
    return SplitStep(each, place, key, paths)


def _kind(name: str, place: tuple[str | int, ...], faults: list[ShapeFault]) -> Connector | None:
    try:
        kind: Connector = find("connector", name)
    except UnknownKindError as fault:
        faults.append(ShapeFault((*place, "connector"), str(fault)))
        return None
    return kind


def needs_credential(kind: Connector, spec: Any, place: tuple[str | int, ...], said: str, faults: list[ShapeFault]) -> None:
    """Add a fault where a connector needs a credential and the pipe names none."""
    if kind.NEEDS_CREDENTIAL and spec.credential is None:
        words = f"a {spec.connector} {said} needs credential: the name of a connection <project>__<name>"
        faults.append(ShapeFault((*place, "credential"), words))


def _look_up(
    name: str, spec: pipe.LookUp, named: Mapping[str, str], tables: Tables, faults: list[ShapeFault]
) -> LookUpStep | None:
    place = ("look_up", name)
    kind = _kind(spec.connector, place, faults)
    if kind is None:
        return None
    needs_credential(kind, spec, place, "look-up", faults)
    if spec.preload:
        faults += [
            ShapeFault((*place, word), f"{word}: is for look-ups that ask one by one, not beside preload:")
            for word in ("url", "file")
            if getattr(spec, word)
        ]
        compiled: Any = compile_preload(spec, kind.compile_source(as_source(spec), tables), named, tables)
    elif kind.LOOKS_UP:
        compiled = kind.compile_look_up(spec, named, tables)
        if spec.key:
            faults.append(ShapeFault((*place, "key"), "key: goes with preload: true; a look-up that asks one by one has params:"))
    else:
        faults.append(
            ShapeFault((*place, "preload"), f"a {spec.connector} look-up reads the whole list: add preload: true and key:")
        )
        return None
    faults += [ShapeFault((*place, *fault.path), fault.message) for fault in compiled.faults]
    take = _take(spec.take, tables, (*place, "take"), faults)
    make_take = take
    if isinstance(spec.missing, pipe.Create) and spec.missing.create.take is not None:
        make_take = _take(spec.missing.create.take, tables, (*place, "missing", "create", "take"), faults)
    return LookUpStep(name, spec, kind, compiled, take, make_take)


def _take(text: Any, tables: Tables, place: tuple[str | int, ...], faults: list[ShapeFault]) -> Made | None:
    if text is None:
        return None
    made = compile_expression(text, ["_i"], members="_i", named={"record": "_i"}, tables=tables, path=place)
    faults += made.faults
    return made


def _destination(flow: pipe.Flow, tables: Tables, faults: list[ShapeFault], plan: Plan) -> None:
    spec, place = flow.destination, ("destination",)
    named = {**NAMED, **scope_names(flow)}
    if spec.delete is not None and spec.delete.when is not None:
        made = compile_expression(
            spec.delete.when, ARGUMENTS, members="_m", named=named, tables=tables, path=(*place, "delete", "when")
        )
        faults += made.faults
        plan.delete_when = made
        plan.read(_renamed(made.used))
    conflict = spec.match.conflict if spec.match else None
    if conflict is not None:
        where = (*place, "match", "conflict")
        plan.newer = _take(conflict.newer, tables, (*where, "newer"), faults)
        plan.than = _take(conflict.than, tables, (*where, "than"), faults)
        if plan.than is not None:
            plan.read({"_s": plan.than.used.get("_i", set())})
        elif flow.source.delta is None:
            faults.append(
                ShapeFault(where, "conflict: needs than: where the source has no since: that says when a record changed")
            )
    if spec.list is not None:
        plan.listing = _listing(spec, named, tables, faults, plan)


def _listing(
    spec: pipe.Destination, named: Mapping[str, str], tables: Tables, faults: list[ShapeFault], plan: Plan
) -> ListStep | None:
    listing, place = spec.list, ("destination", "list")
    kind = _kind(spec.connector, ("destination",), [])
    if listing is None or kind is None:
        return None
    wanted: dict[str, Any] = {listing.key: listing.key} if isinstance(listing.key, str) else dict(listing.key)
    keys = [
        compile_expression(text, ARGUMENTS, members="_m", named=named, tables=tables, path=(*place, "key", name))
        for name, text in wanted.items()
    ]
    faults += [fault for key in keys for fault in key.faults]
    for key in keys:
        plan.read(_renamed(key.used))
    try:
        members = [path_steps(name) for name in wanted]
        identity = path_steps(listing.id)
    except ExpressionError as fault:
        faults.append(ShapeFault(place, str(fault)))
        return None
    source = pipe.Source(
        connector=spec.connector, credential=spec.credential, path=listing.path or spec.path, params=listing.params,
        headers=listing.headers, records=listing.records, entity_id=listing.id, pages=listing.pages,
    )  # fmt: skip
    compiled = kind.compile_source(source, tables)
    faults += [ShapeFault((*place, *fault.path), fault.message) for fault in compiled.faults]
    body = spec.delete.body if spec.delete is not None else None
    return ListStep(listing, compiled, members, keys, identity, [(name,) for name in body] if isinstance(body, dict) else [])


def _then(
    spec: pipe.Then, flow: pipe.Flow, tables: Tables, faults: list[ShapeFault], place: tuple[str | int, ...]
) -> ThenStep | None:
    kind = _kind(spec.connector, place, faults)
    if kind is None:
        return None
    needs_credential(kind, spec, place, "call", faults)
    more = {**scope_names(flow), "answer": "_a"}
    match = None
    if spec.match is not None:
        done = spec.match
        match = pipe.Match(path=done.path, params=done.params, records=done.records, id=done.id, found="leave")
    destination = pipe.Destination(
        connector=spec.connector, credential=spec.credential, path=spec.path, headers=spec.headers,
        create=pipe.Call(method=spec.method, path=spec.path), match=match, body=spec.map, success=spec.success,
        idempotency=spec.idempotency,
    )  # fmt: skip
    compiled = kind.compile_destination(destination, tables, more)
    faults += [ShapeFault((*place, *_own(fault.path)), fault.message) for fault in compiled.faults]
    when = None
    if spec.when is not None:
        when = compile_expression(
            spec.when, ARGUMENTS, members="_m", named={**NAMED, **more}, tables=tables, path=(*place, "when")
        )
        faults += when.faults
    return ThenStep(spec, kind, compiled, when, destination)


def _own(path: Iterable[str | int]) -> tuple[str | int, ...]:
    """Return a fault's path in the words of `then`."""
    first, *rest = [*path, ""]
    named = {"body": ("map",), "create": ()}
    return tuple(step for step in (*named.get(str(first), (first,)), *rest) if step != "")


def read_of_look_ups(plan: Plan, used: Iterable[Mapping[str, Paths]]) -> None:
    """Note for each look-up without a take which members of what it finds are read anywhere, so that no more is held in memory."""
    parts: list[Mapping[str, Paths]] = [*used, plan.used, *(part for step in plan.look_ups for part in step.compiled.used())]
    parts += [step.compiled.used for step in plan.then]
    read = {path for part in parts for path in part.get("_l", set())}
    for step in plan.look_ups:
        below = {path[1:] for path in read if path and path[0] == step.name}
        whole = () in read or any(not path or not isinstance(path[0], str) for path in below)
        step.members = None if whole or step.spec.many or step.spec.file else frozenset(str(path[0]) for path in below)


def record_paths(split: SplitStep | None, used: Mapping[str, Paths]) -> Paths:
    """Return which paths of a source record are read, from what parts (`_i`, `_s`) and records (`_r`) are asked for."""
    of_part = used.get("_i", set()) | used.get("_s", set())
    if split is None:
        return of_part | used.get("_r", set())
    whole = used.get("_r", set()) | used.get("_p", set())
    if split.place is None:
        return whole
    of_part = of_part | set(split.key_paths)
    return whole | {(*split.place, EACH, *path) for path in of_part} | {(*split.place, EACH)}
