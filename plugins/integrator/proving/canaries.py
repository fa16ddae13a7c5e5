"""Marked values: words, numbers and dates that occur nowhere else, and every form in which they might lie somewhere."""

from __future__ import annotations

import gzip
import secrets
import zlib
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

LONGEST = 256
"""Bytes of the longest form; chunks that are searched overlap by so much."""


class Canaries:
    """Makes records in which everything but the ID is marked."""

    def __init__(self) -> None:
        self._of = secrets.token_hex(5)
        self.words: set[str] = set()

    def word(self, place: str) -> str:
        """Return a new marked word."""
        made = f"zq{self._of}{place}{secrets.token_hex(3)}qz"
        self.words.add(made)
        return made

    def number(self) -> int:
        """Return a new marked number of 15 digits."""
        made = 900_000_000_000_000 + secrets.randbelow(10**14)
        self.words.add(str(made))
        return made

    def record(self, number: int) -> dict[str, Any]:
        """Return a record: an ID without a mark, and marks in every kind of place beside it."""
        deep = self.word("deep")
        return {
            "id": f"r{number}",
            "id_note": self.word("beside"),
            "name": self.word("name"),
            "email": f"{self.word('mail')}@example.com",
            self.word("key"): self.word("ofkey"),
            "number": self.number(),
            "amount": f"{self.number()}.25",
            "updated_at": f"2026-01-01T00:00:{number % 60:02}Z",
            "code": self.word("code"),
            "error": {"code": self.word("error"), "message": self.word("message")},
            "lines": [{"sku": self.word("sku"), "more": [[deep, {"x": [deep]}]]}],
            "packed": b64encode(self.word("packed").encode()).decode(),
            "zipped": b64encode(gzip.compress(self.word("zipped").encode() * 3)).decode(),
        }

    def forms(self) -> list[bytes]:
        """Return every form to search for: as it is, in UTF-16, in hexadecimal, and in base64 whatever stands before it."""
        return sorted({form for word in self.words for form in forms_of(word)})


def forms_of(word: str) -> Iterable[bytes]:
    """Return the forms of one word that a search looks for."""
    raw = word.encode()
    yield raw
    yield word.encode("utf-16-le")
    yield raw.hex().encode()
    for before in range(3):
        packed = b64encode(b"\0" * before + raw)
        start = (0, 2, 3)[before]
        yield packed[start : len(packed) - 4]


def unpacked(data: bytes) -> bytes:
    """Return what a gzip or zlib stream holds; empty where it is none, or is broken off."""
    if data[:2] != b"\x1f\x8b" and data[:2] not in (b"\x78\x9c", b"\x78\x01", b"\x78\xda"):
        return b""
    try:
        return zlib.decompressobj(47).decompress(data, 64 << 20)
    except zlib.error:
        return b""
