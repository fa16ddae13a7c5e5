"""Reads records from an HTTP API, page by page or by ID, and guards against answers that make no sense."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import msgspec

from integrator.connectors.entity import id_paths, parts_of, reader
from integrator.errors import ConfigError, RecordError, RecordRefusedError, SourceBrokenError
from integrator.mapping.casts import Moment
from integrator.mapping.compile import Paths, Tables
from integrator.mapping.expression import ExpressionError, path_steps
from integrator.mapping.generate import EACH
from integrator.mapping.projection import Reading
from integrator.mapping.shapes import ShapeFault
from integrator.mapping.templates import RequestTemplate, compile_request
from integrator.model import pipe
from integrator.model.record import Page
from integrator.paging.pager import Ask, Got, Pager, dig, pager_of
from integrator.registry import near
from integrator.settings import Settings
from integrator.wire.egress import Egress
from integrator.wire.message import Answer, Request
from integrator.wire.sending import Sender

ACCEPT = {"Accept": "application/json"}
GONE = frozenset({404, 410})
_NOTHING = frozenset({b"", b"{}", b"[]", b"null"})
"""Bodies by which systems say, with status 200, that a record is not there."""
_BY_ID_AT_ONCE = 8  # calls
_DIGITS_MAX = 400


@dataclass(slots=True)
class RestSourcePlan:
    """What a pipe says of a REST source, compiled."""

    spec: pipe.Source
    listing: RequestTemplate
    by_id: RequestTemplate | None
    pager: Pager | None
    records: tuple[str | int, ...]
    by_id_records: tuple[str | int, ...] | None
    faults: list[ShapeFault] = field(default_factory=list)


def compile_source(spec: pipe.Source, tables: Tables) -> RestSourcePlan:
    """Compile; faults are listed, not raised."""
    faults: list[ShapeFault] = []
    listing = compile_request(
        spec.path, spec.params, spec.headers, ["_since"], members=None, named={"since": "_since"}, tables=tables
    )
    faults += listing.faults
    if "_since" in listing.used and spec.since is None:
        faults.append(ShapeFault(("params",), "{since} is used, and the source has no since: that says which member it compares"))
    if spec.since is not None and "_since" not in listing.used:
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
    records = _steps(spec.records, ("records",), faults)
    inner = _steps(spec.by_id.records, ("by_id", "records"), faults) if spec.by_id and spec.by_id.records else None
    try:
        id_paths(spec.entity_id)
    except ExpressionError as fault:
        faults.append(ShapeFault(("entity_id",), str(fault)))
    return RestSourcePlan(spec, listing, by_id, pager, records, inner, faults)


def _steps(text: str | None, place: tuple[str | int, ...], faults: list[ShapeFault]) -> tuple[str | int, ...]:
    try:
        return path_steps(text) if text else ()
    except ExpressionError as fault:
        faults.append(ShapeFault(place, str(fault)))
        return ()


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


class RestSource:
    """Fits the engine's `Source`."""

    def __init__(
        self, plan: RestSourcePlan, paths: Paths, carried: Paths, sender: Sender, egress: Egress, settings: Settings
    ) -> None:
        if plan.pager is None:
            raise ConfigError("the source has faults")
        self._plan, self._sender, self._egress, self._settings = plan, sender, egress, settings
        self._pager = plan.pager
        inner = plan.by_id_records
        self._list = Reading.of((*plan.records, EACH), paths, carried, self._pager.paths())
        self._one = Reading.of((*inner, EACH) if inner is not None else (), paths, carried)
        self._id_of = reader(plan.spec.entity_id)

    async def pages(self, since: Moment | int | Decimal | str | None, start: Ask | None) -> AsyncIterator[Page]:
        """Yield pages until the pager sees the end; stops the run when answers repeat or never end."""
        listing, headers = self._plan.listing.fill(since)
        ask: Ask | None = start or self._pager.first()
        current, asked, last, first_size = self._egress.at(listing), set[bytes](), list[Any](), 0
        while ask is not None:
            key = msgspec.json.encode(ask, order="sorted")
            if key in asked or len(asked) >= self._settings.pages_max:
                raise SourceBrokenError(
                    f"{self._sender.name}: page {len(asked) + 1} asks for a page that was read already; the list never ends"
                )
            asked.add(key)
            current = self._url(listing, ask, current)
            answer = await self._get(current, headers)
            if answer.status == 404 and len(asked) > 1 and self._pager.shifts:
                return  # some systems have no page behind the last one
            envelope, records = self._decode(answer)
            if records and records == last:
                if len(records) < first_size:
                    return  # asked past the end, some systems give the last page again
                raise SourceBrokenError(
                    f"{self._sender.name}: page {len(asked)} repeats the one before; does it know the parameters of pages:? A total: tells where the list ends"
                )
            last, first_size = records, first_size or len(records)
            yield Page(records, None if self._pager.shifts and "url" not in ask else ask, len(answer.body))
            ask = self._pager.after(ask, Got(len(records), envelope, answer.headers))

    def _url(self, listing: str, ask: Ask, current: str) -> str:
        if "url" in ask:
            return self._egress.follow(current, ask["url"])
        params = urlencode(ask["params"])
        return self._egress.at(listing + (("&" if "?" in listing else "?") + params if params else ""))

    async def _get(self, url: str, headers: dict[str, str]) -> Answer:
        for _hop in range(5):
            answer = await self._sender.send(Request("GET", url, {**ACCEPT, **headers}))
            if answer.status not in (301, 302, 303, 307, 308) or "Location" not in answer.headers:
                return answer
            url = self._egress.follow(url, answer.headers["Location"])
        raise SourceBrokenError(f"{self._sender.name}: the list is redirected again and again")

    def _decode(self, answer: Answer) -> tuple[Any, list[Any]]:
        name, status = self._sender.name, answer.status
        if status == 204 or (status == 200 and not answer.body.strip()):
            return None, []
        if not 200 <= status < 300:
            said = (
                "not found: is the path right?"
                if status == 404
                else "is the credential allowed to read this?"
                if status == 403
                else "refused"
            )
            raise SourceBrokenError(f"{name}: the list answers {status}; {said}")
        envelope = self._json(answer, self._list)
        records = dig(envelope, self._plan.records)
        if records is None:
            return envelope, []
        if not isinstance(records, list):
            where = self._plan.spec.records or "the answer itself"
            raise SourceBrokenError(
                f"{name}: no list of records at {where}; say where it stands with records: (integrator preview shows the answer's shape)"
            )
        return envelope, records

    def _json(self, answer: Answer, reading: Reading) -> Any:
        try:
            return reading.decode(answer.body)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            pass
        try:
            # Some systems write half a surrogate pair in one record; the strict decoder would refuse the whole page for it.
            return json.loads(answer.body, parse_float=Decimal, parse_int=_integer, parse_constant=_Unusable)
        except (ValueError, RecursionError):
            kind = answer.headers.get("Content-Type", "no content type").split(";")[0].strip()[:60]
            raise SourceBrokenError(
                f"{self._sender.name}: an answer ({answer.status}, {kind}) is not JSON, or is nested too deep"
            ) from None

    async def by_ids(self, entity_ids: Sequence[str]) -> AsyncIterator[Page]:
        """Yield these records, read afresh."""
        by_id = self._plan.spec.by_id
        if by_id is None:
            raise ConfigError(
                'this flow\'s source has no by_id:, so failed records cannot be read again; add by_id: {path: "/orders/{entity_id}"}'
            )
        chunks = [entity_ids[at : at + by_id.up_to] for at in range(0, len(entity_ids), by_id.up_to)]
        for at_once in range(0, len(chunks), _BY_ID_AT_ONCE):
            page = Page([], gone=[], broken={})
            await asyncio.gather(*(self._fetch(list(chunk), page) for chunk in chunks[at_once : at_once + _BY_ID_AT_ONCE]))
            yield page

    async def _fetch(self, ids: list[str], page: Page) -> None:
        assert self._plan.by_id is not None  # noqa: S101 - by_ids has looked
        try:
            path, headers = self._plan.by_id.fill(parts_of(ids[0], self._plan.spec.entity_id), ids[0], ids)
            answer = await self._get(self._egress.at(path), headers)
            page.bytes_read += len(answer.body)
            records = self._found(answer, ids)
        except RecordError as error:
            error.stage = "fetch"
            page.broken.update(dict.fromkeys(ids, error))
            return
        asked = len(ids)
        for record in records:
            self._take(record, ids, page)
        left = [one for one in ids if one not in page.broken]
        if asked == 1:
            page.gone += left
        else:
            # An answer for many may leave some out for reasons of its own; only a lone question proves that one is gone.
            for one in left:
                await self._fetch([one], page)

    def _take(self, record: Any, ids: list[str], page: Page) -> None:
        """Put a record on the page if it is one that was asked for; strike its ID off the list."""
        try:
            own = self._id_of(record) if isinstance(record, dict) else None
        except RecordError:
            own = None
        if own in ids:
            ids.remove(own)
            page.records.append(record)
        elif len(ids) == 1 and self._plan.by_id_records is None:
            error = RecordRefusedError(
                "the answer holds another record than the one asked for", stage="fetch", code="other_entity"
            )
            page.broken[ids[0]] = error

    def _found(self, answer: Answer, ids: Sequence[str]) -> list[Any]:
        if answer.status in GONE or answer.status == 204 or not answer.body:
            return []
        if not 200 <= answer.status < 300:
            raise RecordRefusedError("the source refuses to give the record", stage="fetch", http_status=answer.status)
        try:
            made = self._json(answer, self._one)
        except SourceBrokenError:
            raise RecordRefusedError(
                "the answer is not JSON", stage="fetch", http_status=answer.status, code="not_json"
            ) from None
        if self._plan.by_id_records is not None:
            records = dig(made, self._plan.by_id_records)
            if records is not None and not isinstance(records, list):
                raise RecordRefusedError(
                    "no list of records at by_id.records", stage="fetch", http_status=answer.status, code="no_list"
                )
            return records or []
        if answer.body.strip() in _NOTHING:
            return []
        return made if isinstance(made, list) and len(made) == 1 else [made]

    async def close(self) -> None:
        """Give connections back."""
        await self._sender.close()


class _Unusable:
    """Stands for what JSON cannot hold (NaN, a number of thousands of digits): the one record that has it cannot be mapped or written."""

    def __init__(self, written: str) -> None:
        del written


def _integer(written: str) -> Any:
    return int(written) if len(written) <= _DIGITS_MAX else _Unusable(written)
