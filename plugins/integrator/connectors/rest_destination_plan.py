"""What a pipe says of an HTTP API that records are written to, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from integrator.connectors.answers import Verdicts, compile_verdicts
from integrator.connectors.entity import Steps, steps_or_fault
from integrator.mapping.compile import Made, Paths, Tables, compile_expression, compile_shape
from integrator.mapping.shapes import ShapeFault
from integrator.mapping.templates import RequestTemplate, compile_request
from integrator.model import pipe

ARGUMENTS = ["_m", "_r", "_e", "_l", "_p", "_a"]
"""The mapped record, the source record (or part), its ID, look-ups, the record that a part is of, the answer to the write."""
NAMED = {"record": "_m", "source": "_r", "entity_id": "_e"}


@dataclass(slots=True)
class RestDestinationPlan:
    """What a pipe says of a REST destination, compiled."""

    spec: pipe.Destination
    create: RequestTemplate
    update: RequestTemplate
    match: RequestTemplate | None
    match_records: Steps
    match_id: Steps
    body: Made | None
    success: Made | None
    batch: RequestTemplate | None
    verdicts: Verdicts | None
    delete: RequestTemplate | None = None
    delete_body: Made | None = None
    form: dict[str, Made] = field(default_factory=dict)
    faults: list[ShapeFault] = field(default_factory=list)
    used: dict[str, Paths] = field(default_factory=dict)

    @property
    def source_paths(self) -> Paths:
        """Paths of the source record that its templates read."""
        return self.used.get("_r", set())

    @property
    def parent_paths(self) -> Paths:
        """Paths of the record that a part is of."""
        return self.used.get("_p", set())

    @property
    def create_method(self) -> str:
        """The method that creates."""
        return self.spec.create.method if self.spec.create else "POST"

    @property
    def repeat_safe(self) -> bool:
        """Whether writing a record twice does no more than once."""
        if self.spec.idempotency is not None:
            return True
        if self.spec.batch is not None:
            return self.spec.batch.method != "POST"
        return self.spec.match is not None or self.create_method != "POST"

    @property
    def body_only(self) -> bool:
        """Whether a record's ID and encoded body are all that writing it needs."""
        if self.delete is not None or self.form:
            return False
        if self.spec.batch is not None:
            return self.verdicts is not None and self.verdicts.key is None
        return self.match is None and self.body is None and self.success is None and not any(self.create.used.values())


def compile_destination(spec: pipe.Destination, tables: Tables, more: Mapping[str, str] | None = None) -> RestDestinationPlan:
    """Compile; faults are listed, not raised.

    Args:
        spec: what the pipe says.
        tables: the pipe's tables.
        more: further names of the scope, beside the mapped record's members, `record`, `source` and `entity_id`.
    """
    faults: list[ShapeFault] = []
    named = {**NAMED, **(more or {})}
    scope: dict[str, Any] = {"members": "_m", "named": named, "tables": tables}

    def request(path: str, place: tuple[str, ...], *, with_id: bool) -> RequestTemplate:
        names = {**named, "id": "_id"} if with_id else named
        arguments = [*ARGUMENTS, "_id"] if with_id else ARGUMENTS
        made = compile_request(path, {}, spec.headers, arguments, members="_m", named=names, tables=tables, at=place)
        faults.extend(made.faults)
        return made

    if "?" in spec.path:
        faults.append(ShapeFault(("path",), "a destination's path holds no query; give create: and update: paths of their own"))
    usual = spec.path.rstrip("/") + "/{id}"
    create = request(spec.create.path if spec.create else spec.path, ("create",) if spec.create else (), with_id=False)
    update = request(spec.update.path if spec.update else usual, ("update",) if spec.update else (), with_id=True)
    match, records, found_id = _compile_match(spec, scope, faults)
    body = compile_shape(spec.body, ARGUMENTS, **scope, path=("body",)) if spec.body is not None else None
    success = None
    if spec.success is not None:
        names = {**named, "status": "_status", "answer": "_answer"}
        success = compile_expression(
            spec.success, [*ARGUMENTS, "_status", "_answer"], members="_m", named=names, tables=tables, path=("success",)
        )
    batch, verdicts = _compile_batch(spec, tables, faults)
    plan = RestDestinationPlan(spec, create, update, match, records, found_id, body, success, batch, verdicts, faults=faults)
    if spec.delete is not None:
        plan.delete = request(spec.delete.path or usual, ("delete",) if spec.delete.path else (), with_id=True)
        _check_delete(spec, plan.delete, faults)
        if spec.delete.body is not None:
            plan.delete_body = compile_shape(spec.delete.body, ARGUMENTS, **scope, path=("delete", "body"))
    plan.form = {name: compile_expression(text, ARGUMENTS, **scope, path=("form", name)) for name, text in spec.form.items()}
    if spec.form and (spec.body is not None or spec.batch is not None):
        faults.append(ShapeFault(("form",), "form: takes the place of body:, and of batch:"))
    made = [part for part in (body, success, plan.delete_body, *plan.form.values()) if part]
    faults += [fault for part in made for fault in part.faults]
    for part in (create, update, match, plan.delete, *made):
        for variable, paths in (part.used if part else {}).items():
            plan.used.setdefault(variable, set()).update(paths)
    return plan


def _compile_match(
    spec: pipe.Destination, scope: dict[str, Any], faults: list[ShapeFault]
) -> tuple[RequestTemplate | None, Steps, Steps]:
    if spec.match is None:
        return None, (), ()
    match = compile_request(spec.match.path or spec.path, spec.match.params, {}, ARGUMENTS, **scope, at=("match",), asks=True)
    faults += match.faults
    if not spec.match.params and not spec.match.path:
        said = 'match: needs params: or path: that ask for the record, such as params: {external_no: "{external_no}"}'
        faults.append(ShapeFault(("match",), said))
    return (
        match,
        steps_or_fault(spec.match.records, ("match", "records"), faults),
        steps_or_fault(spec.match.id, ("match", "id"), faults),
    )


def _check_delete(spec: pipe.Destination, template: RequestTemplate, faults: list[ShapeFault]) -> None:
    delete = spec.delete
    if delete is None:
        return
    if delete.when is None and not delete.absent:
        faults.append(ShapeFault(("delete",), "delete: needs when: (an expression) or absent: true"))
    if delete.absent and spec.list is None:
        said = "delete: {absent: true} needs list: that says how the destination's own records are listed"
        faults.append(ShapeFault(("delete", "absent"), said))
    if delete.when is not None and template.used.get("_id") and spec.match is None:
        said = "the path names the found record's {id}, and there is no match: that finds it"
        faults.append(ShapeFault(("delete", "path"), said))
    if delete.absent and any(paths for variable, paths in template.used.items() if variable != "_id"):
        said = "absent: true deletes records that the source does not have, so the path can name only {id}"
        faults.append(ShapeFault(("delete", "path"), said))


def _compile_batch(
    spec: pipe.Destination, tables: Tables, faults: list[ShapeFault]
) -> tuple[RequestTemplate | None, Verdicts | None]:
    if spec.batch is None:
        return None, None
    alone = [name for name in ("match", "create", "update", "body", "success") if getattr(spec, name) is not None]
    said = "is for records written one by one and means nothing beside batch:"
    faults += [ShapeFault((name,), f"{name}: {said}") for name in alone]
    request = compile_request(
        spec.batch.path or spec.path, {}, spec.headers, [], members=None, named={}, tables=tables, at=("batch",)
    )
    faults += request.faults
    return request, compile_verdicts(spec.batch, tables, faults)
