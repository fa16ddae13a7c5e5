"""Which files of a project make which pipes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from integrator.authoring.repeating import names_of


class Names:
    """The names of a project's pipes.

    A file is read only when its own name says that it could make the pipe that is asked for: `orders` alone can make
    `orders` and, by its `with:`, `orders_us`.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self._by_stem: dict[str, list[Path]] = {}
        self._made: dict[Path, list[str]] = {}
        for file in files:
            self._by_stem.setdefault(file.name.rsplit(".", 1)[0], []).append(file)

    def made_by(self, file: Path) -> list[str]:
        """Return the names of the pipes that a file makes."""
        if file not in self._made:
            self._made[file] = names_of(file)
        return self._made[file]

    def files_of(self, name: str) -> list[Path]:
        """Return the files that make a pipe of this name: one, when all is well."""
        parts = name.split("_")
        stems = ["_".join(parts[:length]) for length in range(len(parts), 0, -1)]
        return [file for stem in stems for file in self._by_stem.get(stem, ()) if name in self.made_by(file)]

    def repeated(self, stem: str) -> list[str]:
        """Return the pipes that the files of this name make."""
        return [name for file in self._by_stem.get(stem, ()) for name in self.made_by(file)]

    def __contains__(self, name: str) -> bool:
        """Tell whether a pipe has this name."""
        return bool(self.files_of(name))

    def __iter__(self) -> Iterator[str]:
        """Return all names; reads every file."""
        return (name for files in self._by_stem.values() for file in files for name in self.made_by(file))
