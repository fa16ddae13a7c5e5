"""A record on its way through: never kept, never printed. Source: PRODUCT.md P1."""

from __future__ import annotations

from typing import Any

import msgspec


class Quiet(msgspec.Struct):
    """A struct whose repr shows no content."""

    def __repr__(self) -> str:
        """Return the class name only, so that no log or trace shows what flows through."""
        return f"<{type(self).__name__}>"


class File:
    """A file on its way through: only in memory, and for forms only; it has no JSON form and never prints."""

    __slots__ = ("content", "content_type", "name")

    def __init__(self, content: bytes, content_type: str, name: str) -> None:
        self.content, self.content_type, self.name = content, content_type, name


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
    held: dict[str, Held] | None = None  # of records that were asked for by ID as failures
    short: bool = False  # whether the list has ended before as many records came as it told
    sizes: list[int] | None = None  # of combined records: of how many rows each was made


class Item(Quiet):
    """One mapped record: `source` is the record as read (only the members in use), `mapped` what the mapping made.

    Both are empty where the destination needs no more than the body. `mark` is empty where none is kept. The rest is only
    there for flows with look-ups, parts or calls after the write; `mapped` and `body` are then made on the way.
    """

    entity_id: str
    source: dict[str, Any]
    mapped: Any
    body: bytes  # the mapped record as JSON
    page: int  # ordinal of its page in this run
    mark: bytes = b""
    looked: dict[str, Any] | None = None  # what look_up found
    parent: dict[str, Any] | None = None  # the record that this part is of
    part: str = ""  # the part's key
    answer: Any = None  # to the write; where nothing was written, the record that was found
    held: Held | None = None  # what is known of it, when it was asked for by ID
    follow: bool = False  # whether the calls after the write are due even if the record is found and left
    in_doubt: bool = False  # whether an attempt that was cut off may have done some of it
    parts: int = 0
    parts_failed: int = 0
    partly_sent: bool = False  # whether some of it was written while the rest waits, or when the run had to end
    left_open: bool = False  # whether a skip leaves an earlier failure as it is


class Held(Quiet):
    """What the journal knows of a failure that a run has taken to try again."""

    stage: str
    field: str | None
    parts: tuple[str, ...]  # keys of the parts that failed; none: the whole record


class Found(Quiet):
    """What the destination already has for a record."""

    id: str
    record: dict[str, Any]
