"""Another state of a dags folder to compare with: a folder, or a revision of the folder's git repository, read into a folder that goes away."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from integrator.errors import ConfigError

GIT_S = 30.0
FILE_BYTES_MAX = 1 << 20
_KEPT = (".yaml", ".yml")


@contextmanager
def other_state(dags: Path, against: str | None) -> Iterator[tuple[str, Path]]:
    """Yield how the other state is called, and a folder that holds it.

    Args:
        dags: the folder of the projects.
        against: a folder or a git revision; None for git's HEAD.

    Raises:
        ConfigError: there is no such folder, revision or repository; the message says what to do.
    """
    if against is not None and Path(against).is_dir():
        yield against, Path(against)
        return
    revision = against or "HEAD"
    if revision.startswith("-"):
        raise ConfigError(f"{revision!r} is neither a folder nor a git revision")
    root = _root(dags, against)
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise ConfigError(
            f"there is no folder and no git revision {revision!r}; name a folder, a branch, a tag or a commit with --against"
        )
    with tempfile.TemporaryDirectory(prefix="integrator-plan-") as place:
        folder = Path(place) / dags.resolve().name
        folder.mkdir()
        # The functions in include/transforms stay those of here: looking at another state must not run its code.
        _read_out(root, commit.decode().strip(), dags.resolve().relative_to(root).as_posix(), folder)
        yield f"git {revision}", folder


def _root(dags: Path, against: str | None) -> Path:
    found = _git(dags, "rev-parse", "--show-toplevel")
    if found is None:
        said = f"{against!r} is no folder, and " if against else ""
        raise ConfigError(f"{said}{dags} is not in a git repository; name another state's folder with --against")
    return Path(found.decode().strip()).resolve()


def _git(folder: Path, *words: str) -> bytes | None:
    """Return what git says, or None when it refuses."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, timeout=GIT_S, check=False)  # noqa: S607 - whichever git is installed
    except (OSError, subprocess.TimeoutExpired):
        raise ConfigError("git cannot be called here; name another state's folder with --against") from None
    return done.stdout if done.returncode == 0 else None


def _read_out(root: Path, commit: str, inside: str, goal: Path) -> None:
    """Write the pipe files of a folder in a commit below another one; links, and what leaves the folder, are left out."""
    packed = _git(root, "archive", "--format=tar", f"{commit}:{'' if inside == '.' else inside}")
    if packed is None:
        return  # the commit has no such folder
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            safe = member.isfile() and not path.is_absolute() and ".." not in path.parts and path.suffix in _KEPT
            content = archive.extractfile(member) if safe and member.size <= FILE_BYTES_MAX else None
            if content is not None:
                file = goal.joinpath(*path.parts)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content.read())
