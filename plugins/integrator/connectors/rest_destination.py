"""Writes records to an HTTP API: one by one, by a match, or many in a call; and deletes them there."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from integrator.connectors.answers import code_of, poll_until_done
from integrator.connectors.rest_destination_plan import RestDestinationPlan
from integrator.connectors.rest_questions import ACCEPT, candidates, exact
from integrator.errors import MappingError, RecordRefusedError
from integrator.mapping.casts import MisfitError, text
from integrator.mapping.compile import Made
from integrator.mapping.projection import decoder, encode
from integrator.mapping.sameness import same
from integrator.model.record import File, Found, Item
from integrator.model.run import Kind
from integrator.paging.pager import at
from integrator.wire.egress import Egress
from integrator.wire.forms import encode_form
from integrator.wire.message import Answer, Request
from integrator.wire.sending import Sender

JSON_HEADERS = {**ACCEPT, "Content-Type": "application/json"}
_REFUSED_WHOLE = frozenset({400, 409, 413, 422})
"""Statuses by which a batch is refused for what stands in it; halving it finds the bad records."""
_GONE = frozenset({404, 410})


def scope(item: Item) -> tuple[Any, ...]:
    """Return a record's values for the variables of `rest_destination_plan.ARGUMENTS`."""
    return item.mapped, item.source, item.entity_id, item.looked, item.parent, item.answer


class RestDestination:
    """Fits the engine's `Destination`."""

    def __init__(
        self, plan: RestDestinationPlan, sender: Sender, egress: Egress, hash_key: bytes, *, keeps_answers: bool = False
    ) -> None:
        self.keeps_answers = keeps_answers  # whether calls after the write look into the answer to it
        self._plan, self._sender, self._egress, self._key = plan, sender, egress, hash_key
        self._success = decoder(plan.success.used.get("_answer", set())) if plan.success else None
        self._fixed = self._fixed_create(plan)
        create_safe = plan.spec.idempotency is not None or plan.create_method != "POST"
        self._create_repeatable = create_safe
        self._parent: tuple[Any, bytes] = (None, b"")  # of the record whose part was refused last

    def _fixed_create(self, plan: RestDestinationPlan) -> tuple[str, dict[str, str]] | None:
        """Return the address and headers of a create when they are the same for every record, so they are made once."""
        if any(plan.create.used.values()):
            return None
        path, headers = plan.create.fill({}, {}, "", None, None, None)
        return self._egress.at(path), {**JSON_HEADERS, **headers}

    async def find(self, item: Item) -> Found | None:
        """Look the record up by the match rule.

        Raises:
            MappingError: a value that the match asks with is empty, so it would ask for every record.
            RecordRefusedError: several match, or the answer cannot be read.
        """
        match = self._plan.match
        if match is None:
            return None
        asked = match.ask(*scope(item))
        if asked is None:
            raise MappingError(
                "a value that match: asks with is null or empty", stage="map", field="match", code="match_key_missing"
            )
        path, headers = asked
        answer = await self._sender.send(Request("GET", self._egress.at(path), {**ACCEPT, **headers}))
        found = candidates(answer, self._plan.match_records, "load")
        if not found:
            return None
        if len(found) > 1:
            raise RecordRefusedError("several records match; the match is not unique", code="match_not_unique")
        identity = at(found[0], self._plan.match_id)
        if type(identity) not in (str, int) or identity == "":
            raise RecordRefusedError("the matching record has no ID at match.id", code="match_without_id")
        return Found(str(identity), found[0])

    async def create(self, item: Item) -> Kind:
        """Write a record that is not there yet."""
        if self._fixed is not None:
            url, headers = self._fixed
        else:
            path, more = self._plan.create.fill(*scope(item))
            url, headers = self._egress.at(path), {**JSON_HEADERS, **more}
        answer = await self._write(self._plan.create_method, url, headers, item, repeatable=self._create_repeatable)
        return Kind.UPDATED if self._plan.create_method == "PUT" and answer.status in (200, 204) else Kind.CREATED

    async def update(self, item: Item, found: Found) -> Kind:
        """Write over the record that was found."""
        path, more = self._plan.update.fill(*scope(item), found.id)
        method = self._plan.spec.update.method if self._plan.spec.update else "PATCH"
        headers = {**JSON_HEADERS, **more}
        await self._write(method, self._egress.at(path), headers, item, repeatable=method != "POST", found=found)
        return Kind.UPDATED

    async def _write(
        self, method: str, url: str, headers: dict[str, str], item: Item, *, repeatable: bool, found: Found | None = None
    ) -> Answer:
        if self._plan.form:
            headers, body = await self._form(headers, item)
        else:
            body = item.body if self._plan.body is None else self._made(self._plan.body, item)
        if self._plan.spec.idempotency is not None:
            headers = {**headers, self._plan.spec.idempotency.header: self._idempotency_key(method, url, item, body)}
        answer = await self._sender.send(Request(method, url, headers, body, repeatable))
        if not self._succeeded(answer, item):
            code = code_of(answer.body, self._all_of(item, body, found))
            raise RecordRefusedError("the destination refuses the record", http_status=answer.status, code=code)
        if self.keeps_answers and answer.body.strip():
            item.answer = _read(answer)
        return answer

    def _all_of(self, item: Item, sent: bytes, found: Found | None) -> bytes:
        """Return all that is known of a record on both sides, as JSON: a code that stands in it is no code but an echo."""
        if self._parent[0] is not item.parent:  # encoded once for all its parts, of which there may be very many
            self._parent = (item.parent, _encoded(item.parent))
        each = (item.source, item.mapped, item.looked, item.answer, found.record if found else None)
        return b"".join([sent, item.body, self._parent[1], *map(_encoded, each)])

    async def _form(self, headers: dict[str, str], item: Item) -> tuple[dict[str, str], bytes]:
        fields: list[tuple[str, str | File]] = []
        for name, made in self._plan.form.items():
            value = made(*scope(item))
            if value is not None:
                try:
                    fields.append((name, value if isinstance(value, File) else text(value) or ""))
                except MisfitError as misfit:
                    raise MappingError(f"form.{name}: {misfit}", stage="map", field=f"form.{name}") from None
        try:
            kind, body = await encode_form(fields)
        except ValueError:
            raise MappingError("a text of the form is not valid Unicode", stage="map", field="form") from None
        return {**headers, "Content-Type": kind}, body

    def _made(self, shape: Made, item: Item) -> bytes:
        try:
            return encode(shape(*scope(item)))
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
            return bool(self._plan.success(*scope(item), answer.status, made))
        except MappingError:
            return False

    def _idempotency_key(self, method: str, place: str, item: Item | None, body: bytes) -> str:
        """Return the key of a request, another one for each of a record's parts, whose content may be the same."""
        entity_id, part_key = (item.entity_id, item.part) if item is not None else ("", "")
        made = blake2b(key=self._key, digest_size=16)
        parts = (method.encode(), place.encode(), entity_id.encode(), body, *([part_key.encode()] if part_key else ()))
        for part in parts:
            made.update(len(part).to_bytes(4, "big"))
            made.update(part)
        return made.hexdigest()

    async def delete(self, item: Item, found: Found | None) -> Kind:
        """Delete the record; skipped when it is not there, or when a soft delete (a body) with `match.same` has been made before.

        Raises:
            RecordRefusedError: the destination does not let go of it.
        """
        template, spec = self._plan.delete, self._plan.spec.delete
        assert template is not None  # noqa: S101 - the engine deletes where the pipe says so
        assert spec is not None  # noqa: S101
        path, more = template.fill(*scope(item), found.id if found else "")
        if found is not None and self.deleted(item, found):
            return Kind.SKIPPED
        body = None if self._plan.delete_body is None else self._made(self._plan.delete_body, item)
        headers = {**(ACCEPT if body is None else JSON_HEADERS), **more}
        answer = await self._sender.send(Request(spec.method, self._egress.at(path), headers, body, spec.method != "POST"))
        if answer.status in _GONE:
            return Kind.SKIPPED
        if not 200 <= answer.status < 300:
            # Of a record that was only listed nothing else is known, so no code can be told from an echo of it.
            code = code_of(answer.body, self._all_of(item, body or b"", found)) if item.source else None
            raise RecordRefusedError("the destination refuses to delete the record", http_status=answer.status, code=code)
        return Kind.DELETED

    def deleted(self, item: Item, found: Found) -> bool:
        """Tell whether the record has all that a soft delete (a body) would write, where the pipe compares (`match.same`)."""
        match, body = self._plan.spec.match, self._plan.delete_body
        return body is not None and match is not None and bool(match.same) and same(body(*scope(item)), found.record)

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
            headers[plan.spec.idempotency.header] = self._idempotency_key(batch.method, path, None, body)
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
        return await self._sender.send(Request("GET", self._egress.at(path), ACCEPT))

    async def close(self) -> None:
        """Give connections back."""
        await self._sender.close()


def _encoded(value: Any) -> bytes:
    try:
        return encode(value)
    except ValueError:
        return b""  # it has no JSON form, so no answer in JSON can echo it whole


def _read(answer: Answer) -> Any:
    try:
        return exact.decode(answer.body)
    except (msgspec.MsgspecError, RecursionError):
        return None
