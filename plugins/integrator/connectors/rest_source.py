"""Reads records from an HTTP API, page by page or by ID, and guards against answers that make no sense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import msgspec

from integrator.connectors.entity import parts_of, reader
from integrator.connectors.rest_answers import decode_json, refuse
from integrator.connectors.rest_questions import ACCEPT
from integrator.connectors.rest_source_plan import RestSourcePlan
from integrator.errors import ConfigError, RecordError, RecordRefusedError, SourceBrokenError, WindowFullError
from integrator.mapping.casts import Moment
from integrator.mapping.compile import Paths
from integrator.mapping.generate import EACH
from integrator.mapping.projection import Reading
from integrator.model.record import Page
from integrator.paging.pager import Ask, Got, Pager, dig, total_of
from integrator.paging.pager import steps as path_of
from integrator.settings import Settings
from integrator.wire.egress import Egress
from integrator.wire.message import Answer, Request
from integrator.wire.sending import Sender

GONE = frozenset({404, 410})
_NOTHING = frozenset({b"", b"{}", b"[]", b"null"})
"""Bodies by which systems say, with status 200, that a record is not there."""
_BY_ID_AT_ONCE = 8  # calls


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
        if plan.refetch_pager is not None:
            self._rows = Reading.of((*plan.refetch_records, EACH), paths, carried, plan.refetch_pager.paths())
        self._one = Reading.of((*inner, EACH) if inner is not None else (), paths, carried)
        self._id_of = reader(plan.spec.entity_id)

    async def pages(
        self, since: Moment | int | Decimal | str | None, start: Ask | None, until: Moment | int | None = None
    ) -> AsyncIterator[Page]:
        """Yield pages until the pager sees the end; stops the run when answers repeat or never end.

        Raises:
            WindowFullError: the other system gives no more than `pages.most` for one question, and this one asks for more.
        """
        listing, headers = self._plan.listing.fill(since, until)
        async for page in self._walk(listing, headers, self._pager, self._list, self._plan.records, start):
            yield page

    async def rows(self, entity_id: str) -> AsyncIterator[Page]:
        """Yield all rows of one key, read afresh; no page where there is none.

        Raises:
            RecordRefusedError: they cannot be read, which says nothing of other keys.
        """
        plan = self._plan
        if plan.combine is None or plan.refetch is None or plan.refetch_pager is None:
            raise ConfigError("this flow combines rows and has no refetch:, so those of one key cannot be read again")
        path, headers = plan.refetch.fill(parts_of(entity_id, plan.combine.by), entity_id)
        try:
            async for page in self._walk(path, headers, plan.refetch_pager, self._rows, plan.refetch_records, None):
                yield page
        except SourceBrokenError as broken:
            status = broken.http_status
            raise RecordRefusedError(
                "the key's rows cannot be read", stage="fetch", http_status=status, code="rows_unread"
            ) from None

    async def _walk(
        self,
        listing: str,
        headers: dict[str, str],
        pager: Pager,
        reading: Reading,
        place: tuple[str | int, ...],
        start: Ask | None,
    ) -> AsyncIterator[Page]:
        ask: Ask | None = start or pager.first()
        current, asked, last, first_size, count = self._egress.at(listing), set[bytes](), list[Any](), 0, 0
        told: int | None = None  # the most records that an answer said there are
        while ask is not None:
            key = msgspec.json.encode(ask, order="sorted")
            if key in asked or len(asked) >= self._settings.pages_max:
                raise SourceBrokenError(
                    f"{self._sender.name}: page {len(asked) + 1} asks for a page that was read already; the list never ends"
                )
            asked.add(key)
            current = self._url(listing, ask, current)
            answer = await self._get(current, headers)
            if answer.status == 404 and len(asked) > 1 and pager.shifts:
                yield Page([], short=self._is_short(told, ask, count))
                return  # some systems have no page behind the last one
            envelope, records = self._decode(answer, reading, place)
            told = self._most_told(told, envelope)
            if records and records == last:
                if len(records) < first_size:
                    yield Page([], short=self._is_short(told, ask, count))
                    return  # asked past the end, some systems give the last page again
                raise SourceBrokenError(
                    f"{self._sender.name}: page {len(asked)} repeats the one before; does it know the parameters of pages:? A total: tells where the list ends"
                )
            last, first_size, count = records, first_size or len(records), count + len(records)
            self._refuse_above_most(envelope, count)
            following = pager.after(ask, Got(len(records), envelope, answer.headers))
            page = Page(records, None if pager.shifts and "url" not in ask else ask, len(answer.body))
            page.short = following is None and self._is_short(told, ask, count)
            yield page
            ask = following

    def _most_told(self, told: int | None, envelope: Any) -> int | None:
        pages = self._plan.spec.pages
        total = total_of(envelope, path_of(pages.total)) if pages.total else None
        return total if told is None else max(told, total or 0)

    @staticmethod
    def _is_short(told: int | None, ask: Ask, count: int) -> bool:
        """Tell whether fewer records came than an answer told; one that goes away meanwhile moves another to a page that was read."""
        return told is not None and max(count, ask.get("seen", 0)) < told

    def _refuse_above_most(self, envelope: Any, count: int) -> None:
        pages = self._plan.spec.pages
        if pages.most is None:
            return
        total = total_of(envelope, path_of(pages.total)) if pages.total else None
        if (total or 0) > pages.most or (total is None and count >= pages.most):
            raise WindowFullError(
                f"{self._sender.name} gives at most {pages.most:,} records for one question; read in windows: since: {{window: 1d}}"
            )

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

    def _decode(self, answer: Answer, reading: Reading, place: tuple[str | int, ...]) -> tuple[Any, list[Any]]:
        if answer.status == 204 or (answer.status == 200 and not answer.body.strip()):
            return None, []
        refuse(self._sender.name, answer.status)
        envelope = decode_json(answer, reading, self._sender.name)
        records = dig(envelope, place)
        if records is None:
            return envelope, []
        if not isinstance(records, list):
            where = self._plan.spec.records or "the answer itself"
            raise SourceBrokenError(
                f"{self._sender.name}: no list of records at {where}; say where it stands with records: (integrator preview shows the answer's shape)"
            )
        return envelope, records

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
        if answer.status in GONE:
            return []
        if not 200 <= answer.status < 300:
            raise RecordRefusedError("the source refuses to give the record", stage="fetch", http_status=answer.status)
        if answer.status == 204 or not answer.body.strip():
            return []
        try:
            made = decode_json(answer, self._one, self._sender.name)
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
