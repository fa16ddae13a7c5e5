"""The home folder: secrets made once, settings that every part and every terminal reads, and the lock of its one launcher."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Mapping
from pathlib import Path

from integrator.errors import ConfigError
from integrator.settings import ENV_FILE, read_env_file

LOCK_WAIT_S = 15.0
"""How long a start waits for the parts of a launcher that was killed to end."""
_HEADER = "# Made by the launcher: settings and secrets of this installation. Keep it, and keep it to yourself.\n"


class Home:
    """One installation's folder. Only its user may look into it."""

    def __init__(self, path: Path) -> None:
        """Make the folder when it is new.

        Raises:
            ConfigError: it cannot be made or written.
        """
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.database = self.path / "airflow.db"
        self.env_file = self.path / ENV_FILE
        self._lock: int | None = None
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.logs.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(
                f"the home folder {self.path} cannot be used ({error.strerror}); name another one with --home"
            ) from None
        if not os.access(self.path, os.W_OK):
            raise ConfigError(f"the home folder {self.path} is not writable; name another one with --home")

    def variables(self) -> dict[str, str]:
        """Return what the env file holds."""
        return read_env_file(self.path)

    def keep(self, changes: Mapping[str, str | None]) -> None:
        """Write variables into the env file, mode 0600; None removes one. Other lines stay as they are."""
        left = dict(changes)
        lines = []
        for line in self.env_file.read_text("utf-8").splitlines() if self.env_file.is_file() else [_HEADER.rstrip()]:
            name = line.split("=", 1)[0].strip()
            if name not in changes or line.startswith("#"):
                lines.append(line)
            elif (value := left.pop(name, None)) is not None:
                lines.append(f"{name}={value}")
        lines += [f"{name}={value}" for name, value in left.items() if value is not None]
        self._replace(self.env_file, "\n".join(lines) + "\n")

    def write(self, name: str, text: str) -> Path:
        """Write a small file into the home folder, mode 0600; returns its path."""
        self._replace(self.path / name, text)
        return self.path / name

    def _replace(self, file: Path, text: str) -> None:
        new = file.with_name(f"{file.name}.new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        new.replace(file)

    def lock(self) -> int:
        """Take the home for this launcher; the lock ends with its last holder. Returns the lock's descriptor.

        Raises:
            ConfigError: another launcher runs on this home.
        """
        lock = os.open(self.path / "launcher.lock", os.O_RDWR | os.O_CREAT, 0o600)
        until = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pid = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
                if _lives(pid) or time.monotonic() > until:
                    os.close(lock)
                    raise ConfigError(
                        f"Integrator already runs on {self.path} (process {pid or 'unknown'}); "
                        "end that one first, or start another with --home OTHER_FOLDER"
                    ) from None
                time.sleep(0.2)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock
        return lock


def _lives(pid: str) -> bool:
    """Tell whether a process of that number runs; a launcher's parts may hold its lock a little longer than it lives."""
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
