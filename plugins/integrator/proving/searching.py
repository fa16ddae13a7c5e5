"""Searches bytes for marks, wherever they come from, and tells what was searched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from integrator.errors import IntegratorError
from integrator.proving.canaries import LONGEST, unpacked
from integrator.store.dumping import every_row, shown

_CHUNK = 4 << 20


@dataclass(slots=True)
class Searched:
    """One place that was searched.

    Attributes:
        hits: how often a mark was found.
        found: which marks, without saying more of them than where they came from.
        fault: why it could not be searched, in words.
    """

    place: str
    bytes: int = 0
    hits: int = 0
    where: list[str] = field(default_factory=list)
    fault: str | None = None


class Search:
    """Looks for any of these forms."""

    def __init__(self, forms: Iterable[bytes]) -> None:
        self._pattern = re.compile(b"|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))

    def count(self, data: bytes) -> int:
        """Return how often a mark stands in some bytes, and in what they unpack to."""
        inner = unpacked(data)
        return sum(1 for _ in self._pattern.finditer(data)) + (sum(1 for _ in self._pattern.finditer(inner)) if inner else 0)

    def text(self, place: str, data: bytes) -> Searched:
        """Search some bytes."""
        hits = self.count(data)
        return Searched(place, len(data), hits, [place] if hits else [])

    def file(self, path: Path) -> tuple[int, int]:
        """Return size and hits of a file, read in overlapping chunks."""
        size = hits = 0
        with path.open("rb") as file:
            kept = b""
            while chunk := file.read(_CHUNK):
                hits += self.count(chunk) if size == 0 else self._in_chunk(kept, chunk)
                size, kept = size + len(chunk), chunk[-LONGEST:]
        return size, hits

    def _in_chunk(self, kept: bytes, chunk: bytes) -> int:
        both = kept + chunk
        return sum(1 for found in self._pattern.finditer(both) if found.end() > len(kept))

    def folder(self, place: str, folder: Path, without: tuple[Path, ...] = ()) -> Searched:
        """Search every file below a folder."""
        return self.files(place, _files(folder, without))

    def files(self, place: str, paths: Iterable[Path]) -> Searched:
        """Search some files; what is no file is passed over."""
        told = Searched(place)
        for path in paths:
            if not path.is_file():
                continue
            try:
                size, hits = self.file(path)
            except OSError as error:
                told.fault = f"{path}: {error.strerror}"
                continue
            told.bytes += size
            told.hits += hits
            told.where += [str(path)] if hits else []
        return told

    def database(self, url: str) -> Searched:
        """Search every row of every table."""
        told = Searched(f"database {shown(url)}")
        try:
            for table, data in every_row(url):
                hits = sum(self.count(line) for line in (data,))
                told.bytes += len(data)
                told.hits += hits
                told.where += [f"table {table}"] if hits else []
        except IntegratorError as fault:
            told.fault = str(fault)
        return told


def _files(folder: Path, without: tuple[Path, ...]) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and not any(path.is_relative_to(one) for one in without):
            yield path
