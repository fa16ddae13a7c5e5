"""Writes records to an HTTP API: one by one, by a match, or many in a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import msgspec

from integrator.connectors.answers import Verdicts, code_of, compile_verdicts, poll_until_done
from integrator.connectors.entity import Steps
from integrator.errors import MappingError, RecordRefusedError
from integrator.mapping.compile import Made, Paths, Tables, compile_expression, compile_shape
from integrator.mapping.expression import ExpressionError, path_steps
from integrator.mapping.projection import decoder, encode
from integrator.mapping.shapes import ShapeFault
from integrator.mapping.templates import RequestTemplate, compile_request
from integrator.model import pipe
from integrator.model.record import Found, Item
from integrator.model.run import Kind
from integrator.paging.pager import at, dig
from integrator.wire.egress import Egress
from integrator.wire.message import Answer, Request
from integrator.wire.sending import Sender

ARGUMENTS = ["_m", "_r", "_e"]
NAMED = {"record": "_m", "source": "_r", "entity_id": "_e"}
JSON_HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}
_REFUSED_WHOLE = frozenset({400, 409, 413, 422})
"""Statuses by which a batch is refused for what stands in it; halving it finds the bad records."""


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
    source_paths: Paths = field(default_factory=set)
    faults: list[ShapeFault] = field(default_factory=list)

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
        if self.spec.batch is not None:
            return self.verdicts is not None and self.verdicts.key is None
        return self.match is None and self.body is None and self.success is None and not any(self.create.used.values())


def compile_destination(spec: pipe.Destination, tables: Tables) -> RestDestinationPlan:
    """Compile; faults are listed, not raised."""
    faults: list[ShapeFault] = []
    scope: dict[str, Any] = {"members": "_m", "named": NAMED, "tables": tables}

    def request(call: pipe.Call | None, usual: str, place: tuple[str, ...], *, with_id: bool) -> RequestTemplate:
        named = {**NAMED, "id": "_id"} if with_id else NAMED
        arguments = [*ARGUMENTS, "_id"] if with_id else ARGUMENTS
        path = call.path if call else usual
        made = compile_request(
            path, {}, spec.headers, arguments, members="_m", named=named, tables=tables, at=place if call else ()
        )
        faults.extend(made.faults)
        return made

    if "?" in spec.path:
        faults.append(ShapeFault(("path",), "a destination's path holds no query; give create: and update: paths of their own"))
    create = request(spec.create, spec.path, ("create",), with_id=False)
    update = request(spec.update, spec.path.rstrip("/") + "/{id}", ("update",), with_id=True)
    match: RequestTemplate | None = None
    records: Steps = ()
    found_id: Steps = ()
    if spec.match is not None:
        match = compile_request(spec.match.path or spec.path, spec.match.params, {}, ARGUMENTS, **scope, at=("match",))
        faults += match.faults
        if not spec.match.params and not spec.match.path:
            faults.append(
                ShapeFault(
                    ("match",),
                    'match: needs params: or path: that ask for the record, such as params: {external_no: "{external_no}"}',
                )
            )
        records = _steps(spec.match.records, ("match", "records"), faults)
        found_id = _steps(spec.match.id, ("match", "id"), faults)
    body = compile_shape(spec.body, ARGUMENTS, **scope, path=("body",)) if spec.body is not None else None
    success = None
    if spec.success is not None:
        named = {**NAMED, "status": "_status", "answer": "_answer"}
        success = compile_expression(
            spec.success, [*ARGUMENTS, "_status", "_answer"], members="_m", named=named, tables=tables, path=("success",)
        )
    batch, verdicts = _compile_batch(spec, tables, faults)
    made = [part for part in (body, success) if part]
    faults += [fault for part in made for fault in part.faults]
    plan = RestDestinationPlan(spec, create, update, match, records, found_id, body, success, batch, verdicts, faults=faults)
    plan.source_paths = {steps for part in (create, update, match, *made) if part for steps in part.used.get("_r", set())}
    return plan


def _steps(text: str | None, place: tuple[str | int, ...], faults: list[ShapeFault]) -> Steps:
    try:
        return path_steps(text) if text else ()
    except ExpressionError as fault:
        faults.append(ShapeFault(place, str(fault)))
        return ()


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


class RestDestination:
    """Fits the engine's `Destination`."""

    def __init__(self, plan: RestDestinationPlan, sender: Sender, egress: Egress, hash_key: bytes) -> None:
        self._plan, self._sender, self._egress, self._key = plan, sender, egress, hash_key
        self._success = decoder(plan.success.used.get("_answer", set())) if plan.success else None
        self._fixed = self._fixed_create(plan)
        create_safe = plan.spec.idempotency is not None or plan.create_method != "POST"
        self._create_repeatable = create_safe

    def _fixed_create(self, plan: RestDestinationPlan) -> tuple[str, dict[str, str]] | None:
        """Return the address and headers of a create when they are the same for every record, so they are made once."""
        if any(plan.create.used.values()):
            return None
        path, headers = plan.create.fill({}, {}, "")
        return self._egress.at(path), {**JSON_HEADERS, **headers}

    async def find(self, item: Item) -> Found | None:
        """Look the record up by the match rule.

        Raises:
            RecordRefusedError: several match, or the answer cannot be read.
        """
        match = self._plan.match
        if match is None:
            return None
        path, headers = match.fill(item.mapped, item.source, item.entity_id)
        answer = await self._sender.send(Request("GET", self._egress.at(path), {"Accept": "application/json", **headers}))
        if answer.status in (404, 204):
            return None
        if not 200 <= answer.status < 300:
            raise RecordRefusedError("the look-up for a match is refused", http_status=answer.status)
        found = self._candidates(answer)
        if not found:
            return None
        if len(found) > 1:
            raise RecordRefusedError("several records match; the match is not unique", code="match_not_unique")
        identity = at(found[0], self._plan.match_id)
        if type(identity) not in (str, int) or identity == "":
            raise RecordRefusedError("the matching record has no ID at match.id", code="match_without_id")
        return Found(str(identity), found[0])

    def _candidates(self, answer: Answer) -> list[dict[str, Any]]:
        try:
            made = msgspec.json.Decoder(float_hook=Decimal).decode(answer.body)
        except (msgspec.MsgspecError, RecursionError):
            raise RecordRefusedError("the look-up's answer is not JSON", http_status=answer.status, code="not_json") from None
        spec = self._plan.spec.match
        if spec is not None and spec.records:
            made = dig(made, self._plan.match_records)
        if isinstance(made, dict):
            made = [made] if made else []
        if made is None:
            return []
        if not isinstance(made, list) or not all(isinstance(one, dict) for one in made):
            raise RecordRefusedError("no records at match.records in the look-up's answer", code="match_shape")
        return made

    async def create(self, item: Item) -> Kind:
        """Write a record that is not there yet."""
        if self._fixed is not None:
            url, headers = self._fixed
        else:
            path, more = self._plan.create.fill(item.mapped, item.source, item.entity_id)
            url, headers = self._egress.at(path), {**JSON_HEADERS, **more}
        answer = await self._write(self._plan.create_method, url, headers, item, repeatable=self._create_repeatable)
        return Kind.UPDATED if self._plan.create_method == "PUT" and answer.status in (200, 204) else Kind.CREATED

    async def update(self, item: Item, found: Found) -> Kind:
        """Write over the record that was found."""
        path, more = self._plan.update.fill(item.mapped, item.source, item.entity_id, found.id)
        method = self._plan.spec.update.method if self._plan.spec.update else "PATCH"
        await self._write(method, self._egress.at(path), {**JSON_HEADERS, **more}, item, repeatable=method != "POST")
        return Kind.UPDATED

    async def _write(self, method: str, url: str, headers: dict[str, str], item: Item, *, repeatable: bool) -> Answer:
        body = self._body(item)
        if self._plan.spec.idempotency is not None:
            headers = {**headers, self._plan.spec.idempotency.header: self._idempotency_key(method, url, item.entity_id, body)}
        answer = await self._sender.send(Request(method, url, headers, body, repeatable))
        if not self._succeeded(answer, item):
            raise RecordRefusedError(
                "the destination refuses the record", http_status=answer.status, code=code_of(answer.body, body)
            )
        return answer

    def _body(self, item: Item) -> bytes:
        if self._plan.body is None:
            return item.body
        try:
            return encode(self._plan.body(item.mapped, item.source, item.entity_id))
        except ValueError as fault:
            raise MappingError(str(fault), stage="map", field="body") from None

    def _succeeded(self, answer: Answer, item: Item) -> bool:
        if self._plan.success is None or self._success is None:
            return 200 <= answer.status < 300
        try:
            made = self._success.decode(answer.body) if answer.body.strip() else None
        except (msgspec.MsgspecError, RecursionError):
            made = None
        try:
            return bool(self._plan.success(item.mapped, item.source, item.entity_id, answer.status, made))
        except MappingError:
            return False

    def _idempotency_key(self, method: str, place: str, entity_id: str, body: bytes) -> str:
        made = blake2b(key=self._key, digest_size=16)
        for part in (method.encode(), place.encode(), entity_id.encode(), body):
            made.update(len(part).to_bytes(4, "big"))
            made.update(part)
        return made.hexdigest()

    async def write_batch(self, items: Sequence[Item]) -> list[Kind | Exception]:
        """Write many in one call.

        Raises:
            RecordRefusedError: the whole batch is refused, with nothing of it written; `splittable` says that halves may pass.
        """
        plan, verdicts = self._plan, self._plan.verdicts
        batch = plan.spec.batch
        assert batch is not None  # noqa: S101 - compiled together
        assert verdicts is not None  # noqa: S101
        assert plan.batch is not None  # noqa: S101
        path, more = plan.batch.fill()
        body = verdicts.body(items)
        headers = {**JSON_HEADERS, **more}
        if plan.spec.idempotency is not None:
            headers[plan.spec.idempotency.header] = self._idempotency_key(batch.method, path, "", body)
        repeatable = plan.spec.idempotency is not None or batch.method != "POST"
        answer = await self._sender.send(Request(batch.method, self._egress.at(path), headers, body, repeatable))
        if not 200 <= answer.status < 300:
            refused = RecordRefusedError(
                "the destination refuses the batch", http_status=answer.status, code=code_of(answer.body, body)
            )
            refused.splittable = answer.status in _REFUSED_WHOLE or (verdicts.whole and answer.status == 500)
            raise refused
        if verdicts.poll is not None:
            answer = await poll_until_done(verdicts, answer, self._ask)
        return verdicts.read(answer, items)

    async def _ask(self, path: str) -> Answer:
        return await self._sender.send(Request("GET", self._egress.at(path), {"Accept": "application/json"}))

    async def close(self) -> None:
        """Give connections back."""
        await self._sender.close()
