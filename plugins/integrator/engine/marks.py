"""Marks: keyed hashes by which a run that takes up another's work knows what was already dealt with, without any ID being kept."""

from __future__ import annotations

from hashlib import blake2b
from zlib import crc32

MARK_BYTES = 12
_ID_BYTES = 8


class Marker:
    """Makes marks with the installation's key."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        self._keyed = blake2b(key=key[:64], digest_size=_ID_BYTES)

    def of(self, entity_id: str, body: bytes = b"") -> bytes:
        """Return 12 bytes: a keyed hash of the ID, and a checksum of what was sent (0 when nothing was)."""
        return self._hashed(entity_id) + (crc32(body) if body else 0).to_bytes(4, "big")

    def version(self, entity_id: str, stamp: str) -> bytes:
        """Return 8 bytes: a keyed hash of the ID in one of its versions."""
        return self._hashed(f"{entity_id}\x00{stamp}")

    def _hashed(self, text: str) -> bytes:
        made = self._keyed.copy()  # cheaper than to begin with the key each time
        made.update(text.encode())
        return made.digest()


def read_marks(data: bytes) -> dict[bytes, bytes]:
    """Return hash of ID -> checksum from concatenated marks."""
    return {data[at : at + _ID_BYTES]: data[at + _ID_BYTES : at + MARK_BYTES] for at in range(0, len(data), MARK_BYTES)}


def read_versions(data: bytes) -> frozenset[bytes]:
    """Return the hashes from concatenated version marks."""
    return frozenset(data[at : at + _ID_BYTES] for at in range(0, len(data), _ID_BYTES))
