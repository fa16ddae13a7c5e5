"""Look-ups in an HTTP API: one question for one key, and the creation of what it misses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from integrator.connectors.entity import Steps, steps_or_fault
from integrator.connectors.rest_questions import ACCEPT, candidates, exact
from integrator.errors import EgressRefusedError, MappingError, RecordRefusedError, SourceBrokenError
from integrator.mapping.compile import Made, Paths, Tables, compile_expression, compile_shape
from integrator.mapping.projection import encode
from integrator.mapping.shapes import ShapeFault
from integrator.mapping.templates import RequestTemplate, compile_request
from integrator.model import pipe
from integrator.model.record import File
from integrator.wire.egress import Egress
from integrator.wire.message import Answer, Request
from integrator.wire.sending import Sender

ARGUMENTS = ["_i", "_r", "_l"]
STAGE = "look_up"
Question = tuple[str, tuple[tuple[str, str], ...]]
"""Address and headers: what tells one question from another."""


@dataclass(slots=True)
class RestLookUpPlan:
    """What a pipe says of a look-up, compiled."""

    spec: pipe.LookUp
    question: RequestTemplate
    records: Steps
    url: Made | None = None
    make: RequestTemplate | None = None
    make_map: Made | None = None
    faults: list[ShapeFault] = field(default_factory=list)

    def used(self) -> list[Mapping[str, Paths]]:
        """Return what its parts read, by variable."""
        return [part.used for part in (self.question, self.url, self.make, self.make_map) if part is not None]


def compile_look_up(spec: pipe.LookUp, named: Mapping[str, str], tables: Tables) -> RestLookUpPlan:
    """Compile; faults are listed, not raised."""
    scope: dict[str, Any] = {"members": "_i", "named": named, "tables": tables}
    question = compile_request(spec.path, spec.params, spec.headers, ARGUMENTS, **scope, asks=True)
    faults = [*question.faults]
    url = compile_expression(spec.url, ARGUMENTS, **scope, path=("url",)) if spec.url is not None else None
    faults += url.faults if url is not None else ()
    faults += _check_alone(spec)
    if url is None and not any(question.used.values()):
        faults.append(
            ShapeFault(
                ("params",),
                "the question names nothing of the record, so each would find the same; or read all with preload: true",
            )
        )
    records = steps_or_fault(spec.records, ("records",), faults)
    plan = RestLookUpPlan(spec, question, records, url, faults=faults)
    if isinstance(spec.missing, pipe.Create):
        made, place = spec.missing.create, ("missing", "create")
        plan.make = compile_request(made.path, {}, made.headers, ARGUMENTS, **scope, at=place)
        plan.make_map = compile_shape(made.map, ARGUMENTS, **scope, path=(*place, "map"))
        faults += [*plan.make.faults, *plan.make_map.faults]
    return plan


def _check_alone(spec: pipe.LookUp) -> Iterator[ShapeFault]:
    if spec.url is not None and (spec.params or spec.path != "/"):
        yield ShapeFault(("url",), "url: takes the place of path: and params:")
    if spec.url is None and spec.path == "/" and not spec.params:
        yield ShapeFault((), "a look-up needs path: (or url:)")
    if spec.file and (spec.take is not None or spec.many or spec.records or isinstance(spec.missing, pipe.Create)):
        said = "file: true gives the answer as it is; take:, many:, records: and create: mean nothing beside it"
        yield ShapeFault(("file",), said)


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
        if asked is None or self._plan.url is None:
            return None if asked is None else (self._egress.at(asked[0]), tuple(asked[1].items()))
        address = self._plan.url(*scope)
        if address is None or address == "":
            return None
        try:
            return self._egress.follow(self._egress.at("/"), str(address)), tuple(asked[1].items())
        except EgressRefusedError as refused:
            raise RecordRefusedError(str(refused), stage=STAGE, code="url_elsewhere") from None

    async def ask(self, question: Question) -> list[Any]:
        """Return what is found; several calls for one question are the engine's to avoid.

        Raises:
            RecordRefusedError: the other system refuses the question, or its answer cannot be read.
        """
        url, headers = question
        accept = {"Accept": "*/*"} if self._plan.spec.file else ACCEPT
        try:
            answer = await self._sender.send(Request("GET", url, {**accept, **dict(headers)}))
        except SourceBrokenError:  # one answer that is too large to be read; the others need not be
            raise RecordRefusedError("the answer is too large", stage=STAGE, code="answer_too_large") from None
        if self._plan.spec.file:
            return _file(answer, url)
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


def _file(answer: Answer, url: str) -> list[File]:
    """Return the answer as a file; none where there is no such one.

    Raises:
        RecordRefusedError: the other system does not give it.
    """
    if answer.status in (404, 410, 204):
        return []
    if not 200 <= answer.status < 300:
        raise RecordRefusedError("the file is refused", stage=STAGE, http_status=answer.status)
    kind = answer.headers.get("Content-Type", "application/octet-stream")
    return [File(answer.body, kind, unquote(urlsplit(url).path.rsplit("/", 1)[-1]) or "file")]
