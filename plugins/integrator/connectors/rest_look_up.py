"""Look-ups in an HTTP API: one question for one key, and the creation of what it misses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from integrator.connectors.entity import Steps
from integrator.connectors.rest_questions import ACCEPT, candidates, exact
from integrator.errors import MappingError, RecordRefusedError
from integrator.mapping.compile import Made, Paths, Tables, compile_shape
from integrator.mapping.expression import ExpressionError, path_steps
from integrator.mapping.projection import encode
from integrator.mapping.shapes import ShapeFault
from integrator.mapping.templates import RequestTemplate, compile_request
from integrator.model import pipe
from integrator.wire.egress import Egress
from integrator.wire.message import Request
from integrator.wire.sending import Sender

ARGUMENTS = ["_i", "_r", "_l"]
STAGE = "look_up"
Question = tuple[str, tuple[tuple[str, str], ...]]
"""Path with query, and headers: what tells one question from another."""


@dataclass(slots=True)
class RestLookUpPlan:
    """What a pipe says of a look-up, compiled."""

    spec: pipe.LookUp
    question: RequestTemplate
    records: Steps
    make: RequestTemplate | None = None
    make_map: Made | None = None
    faults: list[ShapeFault] = field(default_factory=list)

    def used(self) -> list[Mapping[str, Paths]]:
        """Return what its parts read, by variable."""
        return [part.used for part in (self.question, self.make, self.make_map) if part is not None]


def compile_look_up(spec: pipe.LookUp, named: Mapping[str, str], tables: Tables) -> RestLookUpPlan:
    """Compile; faults are listed, not raised."""
    scope: dict[str, Any] = {"members": "_i", "named": named, "tables": tables}
    question = compile_request(spec.path, spec.params, spec.headers, ARGUMENTS, **scope)
    faults = [*question.faults]
    if not any(question.used.values()):
        faults.append(
            ShapeFault(
                ("params",),
                "the question names nothing of the record, so each would find the same; or read all with preload: true",
            )
        )
    try:
        records = path_steps(spec.records) if spec.records else ()
    except ExpressionError as fault:
        records = ()
        faults.append(ShapeFault(("records",), str(fault)))
    plan = RestLookUpPlan(spec, question, records, faults=faults)
    if isinstance(spec.missing, pipe.Create):
        made, place = spec.missing.create, ("missing", "create")
        plan.make = compile_request(made.path, {}, made.headers, ARGUMENTS, **scope, at=place)
        plan.make_map = compile_shape(made.map, ARGUMENTS, **scope, path=(*place, "map"))
        faults += [*plan.make.faults, *plan.make_map.faults]
    return plan


class RestLookUp:
    """Fits the engine's `LookUp`."""

    def __init__(self, plan: RestLookUpPlan, sender: Sender, egress: Egress) -> None:
        self._plan, self._sender, self._egress = plan, sender, egress

    def question(self, *scope: Any) -> Question | None:
        """Return what to ask for a record, or None when a value to ask with is empty.

        Raises:
            MappingError: a value cannot stand in the question.
        """
        asked = self._plan.question.ask(*scope)
        return None if asked is None else (asked[0], tuple(asked[1].items()))

    async def ask(self, question: Question) -> list[dict[str, Any]]:
        """Return what is found; several calls for one question are the engine's to avoid.

        Raises:
            RecordRefusedError: the other system refuses the question, or its answer cannot be read.
        """
        path, headers = question
        answer = await self._sender.send(Request("GET", self._egress.at(path), {**ACCEPT, **dict(headers)}))
        return candidates(answer, self._plan.records, STAGE)

    async def create(self, *scope: Any) -> Any:
        """Create what is missing; returns the answer, null where it has no content.

        Raises:
            RecordRefusedError: the other system refuses it.
            OutcomeUnknownError: it was sent, and the answer is lost.
        """
        make, made = self._plan.make, self._plan.make_map
        assert make is not None  # noqa: S101 - compiled together
        assert made is not None  # noqa: S101
        assert isinstance(self._plan.spec.missing, pipe.Create)  # noqa: S101
        method = self._plan.spec.missing.create.method
        path, more = make.fill(*scope)
        try:
            body = encode(made(*scope))
        except ValueError as fault:
            raise MappingError(str(fault), stage=STAGE) from None
        headers = {**ACCEPT, "Content-Type": "application/json", **more}
        answer = await self._sender.send(Request(method, self._egress.at(path), headers, body, method != "POST"))
        if not 200 <= answer.status < 300:
            raise RecordRefusedError(
                "what a look-up misses is refused", stage=STAGE, http_status=answer.status, code="create_refused"
            )
        try:
            return exact.decode(answer.body) if answer.body.strip() else None
        except (msgspec.MsgspecError, RecursionError):
            return None
