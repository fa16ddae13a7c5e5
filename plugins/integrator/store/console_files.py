"""Where console logs lie: a folder of this machine, or a bucket. Both fit `Objects`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from integrator.errors import StopRunError


class Objects(Protocol):
    """Keeps objects by name. Blocking. Each raises StopRunError when it cannot."""

    def put(self, key: str, data: bytes) -> None:
        """Keep an object, whole or not at all."""

    def get(self, key: str) -> bytes:
        """Return an object; raises KeyError when there is none."""

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names that begin so, versions and unfinished uploads among them."""

    def delete(self, prefix: str) -> int:
        """Delete whatever begins so, in every version; returns how much there was."""


class FolderObjects:
    """A folder that only this user may read.

    Args:
        folder: made when it is first written to, mode 0700.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, key: str, data: bytes) -> None:
        """Keep an object, mode 0600."""
        path = self._path(key)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._folder.chmod(0o700)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = path.with_name(f".{path.name}.new")
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                out.write(data)
            new.replace(path)
        except OSError as error:
            raise StopRunError(f"the console log cannot be written to {self._folder}: {error.strerror}") from None

    def get(self, key: str) -> bytes:
        """Return an object."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            raise KeyError(key) from None
        except OSError as error:
            raise StopRunError(f"the console log cannot be read from {self._folder}: {error.strerror}") from None

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names that begin so; a half-written file is among them."""
        if not self._folder.is_dir():
            return
        for path in sorted(self._folder.rglob("*")):
            name = path.relative_to(self._folder).as_posix()
            whole = f"{path.parent.relative_to(self._folder).as_posix()}/{path.name.removeprefix('.').removesuffix('.new')}"
            if path.is_file() and (name.startswith(prefix) or whole.startswith(prefix)):
                yield name

    def delete(self, prefix: str) -> int:
        """Delete whatever begins so, and folders that are empty then."""
        found = list(self.names(prefix))
        try:
            for name in found:
                (self._folder / name).unlink(missing_ok=True)
            for name in found:
                self._tidy((self._folder / name).parent)
        except OSError as error:
            raise StopRunError(f"the console log cannot be deleted from {self._folder}: {error.strerror}") from None
        return len(found)

    def _tidy(self, folder: Path) -> None:
        while folder != self._folder and folder.is_dir() and not any(folder.iterdir()):
            shutil.rmtree(folder)
            folder = folder.parent

    def _path(self, key: str) -> Path:
        path = (self._folder / key).resolve()
        if not path.is_relative_to(self._folder.resolve()) or ".." in key.split("/"):
            raise StopRunError("a console log's name leads out of its folder")
        return path
