"""A record on its way through: never kept, never printed. Source: PRODUCT.md P1."""

from __future__ import annotations

from typing import Any

import msgspec


class Quiet(msgspec.Struct):
    """A struct whose repr shows no content."""

    def __repr__(self) -> str:
        """Return the class name only, so that no log or trace shows what flows through."""
        return f"<{type(self).__name__}>"


class Page(Quiet):
    """Records of one answer.

    `start` is the checkpoint that would read this page again, None where pages shift under the reader.
    `gone` and `broken` are only filled by a read by ID: IDs that no longer exist, and IDs with their error.
    """

    records: list[Any]
    start: dict[str, Any] | None = None
    bytes_read: int = 0
    gone: list[str] = []
    broken: dict[str, Exception] = {}


class Item(Quiet):
    """One mapped record: `source` is the record as read (only the members in use), `mapped` what the mapping made.

    Both are empty where the destination needs no more than the body. `mark` is empty where none is kept.
    """

    entity_id: str
    source: dict[str, Any]
    mapped: Any
    body: bytes  # the mapped record as JSON
    page: int  # ordinal of its page in this run
    mark: bytes = b""


class Found(Quiet):
    """What the destination already has for a record."""

    id: str
    record: dict[str, Any]
