"""Another state of a dags folder to compare with: a folder, or a revision of the folder's git repository, read into a folder that goes away.

Only pipe files are put there, so nothing of the other state can run: the code of include/transforms is handed over as text.
"""

from __future__ import annotations

import io
import os
import posixpath
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from integrator.authoring.library import ENDINGS, pipe_files
from integrator.errors import ConfigError

GIT_S = 30.0
FILE_BYTES_MAX = 1 << 20
_ELSEWHERE = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})
"""Variables that git sets in a hook, and that would lead it away from the folder's own repository."""
TRANSFORMS = ("include", "transforms")
"""Where deployed functions are, beside the dags folder."""


@dataclass(slots=True)
class OtherState:
    """A state that was read: what it is called, where its pipe files are, its deployed functions, and what was left out."""

    called: str
    folder: Path
    transforms: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@contextmanager
def other_state(dags: Path, against: str | None) -> Iterator[OtherState]:
    """Yield the other state; its folder is removed afterwards.

    Args:
        dags: the folder of the projects.
        against: a folder or a git revision; None for git's HEAD.

    Raises:
        ConfigError: there is no such folder, revision or repository; the message says what to do.
    """
    if against is not None and against.startswith("-"):
        raise ConfigError(f"{against!r} is neither a folder nor a git revision")
    with tempfile.TemporaryDirectory(prefix="integrator-plan-") as place:
        folder = Path(place) / "dags"
        folder.mkdir()
        if against is not None and Path(against).is_dir():
            made = OtherState(against, folder, transforms_beside(Path(against)))
            _copy(Path(against), made)
        else:
            made = OtherState(f"git {against or 'HEAD'}", folder)
            _from_git(dags.resolve(), against, made)
        yield made


def transforms_beside(dags: Path) -> dict[str, bytes]:
    """Return the code of the deployed functions beside a dags folder, by file."""
    folder = dags.resolve().parent.joinpath(*TRANSFORMS)
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*.py")) if _deploys(file.name)}


def _deploys(name: str) -> bool:
    return name.endswith(".py") and not name.startswith("_")


def _copy(source: Path, made: OtherState) -> None:
    try:
        for file in pipe_files(source):
            if file.stat().st_size > FILE_BYTES_MAX:
                made.notes.append(f"left out {file}: it is larger than a pipe may be")
            else:
                _put(made, file.relative_to(source).as_posix(), file.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"{error.filename or source} cannot be read ({error.strerror}); name another folder with --against"
        ) from None


def _put(made: OtherState, path: str, content: bytes) -> None:
    file = made.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _from_git(dags: Path, against: str | None, made: OtherState) -> None:
    root, revision = _root(dags, against), against or "HEAD"
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise ConfigError(
            f"there is no folder and no git revision {revision!r}; name a folder, a branch, a tag or a commit with --against "
            "(in a shallow clone, fetch it first)"
        )
    name = commit.decode().strip()
    links: dict[str, str] = {}
    packed = _packed(root, name, dags)
    if packed is None:
        made.notes.append(f"{made.called} has no folder {dags.name}, so every pipe is told as added")
    made.notes += _submodules(root, name, dags)
    for path, content in _unpacked(packed, ENDINGS, made, links):
        _put(made, path, content)
    _follow(made, links)
    beside = dags.parent.joinpath(*TRANSFORMS)
    if beside.is_relative_to(root):
        code = _unpacked(_packed(root, name, beside), (".py",), made, {})
        made.transforms = {path: content for path, content in code if "/" not in path and _deploys(path)}


def _root(dags: Path, against: str | None) -> Path:
    found = _git(dags, "rev-parse", "--show-toplevel")
    if found is None:
        said = f"{against!r} is no folder, and " if against else ""
        raise ConfigError(f"{said}{dags} is not in a git repository; name another state's folder with --against")
    return Path(found.decode().removesuffix("\n")).resolve()


def _git(folder: Path, *words: str) -> bytes | None:
    """Return what git says, or None when it refuses."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],  # noqa: S607 - whichever git is installed
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_S,
            check=False,
            env={**{name: value for name, value in os.environ.items() if name not in _ELSEWHERE}, "GIT_TERMINAL_PROMPT": "0"},
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"git did not answer within {GIT_S:g} s; name another state's folder with --against") from None
    except OSError:
        raise ConfigError("git cannot be called here; name another state's folder with --against") from None
    if done.returncode and b"safe.directory" in done.stderr:
        raise ConfigError(
            f"git does not trust {folder}, which belongs to another user; allow it with git's setting safe.directory, "
            "or name another state's folder with --against"
        )
    return done.stdout if done.returncode == 0 else None


def _submodules(root: Path, commit: str, folder: Path) -> list[str]:
    """Return what to say of other repositories inside the folder, which are not looked into."""
    inside = folder.relative_to(root).as_posix()
    listed = _git(root, "ls-tree", "-r", "-z", commit, *([] if inside == "." else ["--", f"{inside}/"])) or b""
    paths = [line.split("\t", 1)[1] for line in listed.decode("utf-8", "replace").split("\0") if line.startswith("160000 ")]
    return [f"left out {path}: it is a submodule" for path in paths]


def _packed(root: Path, commit: str, folder: Path) -> bytes | None:
    """Return a folder of a commit as an archive; None when the commit has none."""
    inside = folder.relative_to(root).as_posix()
    tree = f"{commit}:{'' if inside == '.' else inside}"
    if _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", tree) is None:
        return None
    packed = _git(root, "archive", "--format=tar", tree)
    if packed is None:
        raise ConfigError(f"git cannot read {inside} of {commit[:12]}; name another state's folder with --against")
    return packed


def _unpacked(
    packed: bytes | None, endings: tuple[str, ...], made: OtherState, links: dict[str, str]
) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of an archive's files; links are noted, and what leaves the folder is left out."""
    if packed is None:
        return
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if path.suffix not in endings or path.is_absolute() or ".." in path.parts:
                continue
            if member.issym():
                links[member.name] = member.linkname
            elif member.isfile() and member.size > FILE_BYTES_MAX:
                made.notes.append(f"left out {member.name}: it is larger than a pipe may be")
            elif member.isfile() and (content := archive.extractfile(member)) is not None:
                yield member.name, content.read()


def _follow(made: OtherState, links: dict[str, str]) -> None:
    """Put a copy in the place of each link to a pipe file of the same folder; other links are left out, and that is said."""
    for path, goal in links.items():
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(path), goal))
        leaves = posixpath.isabs(inside) or inside.split("/")[0] == ".."
        file = made.folder / inside
        if leaves or not file.is_file():
            made.notes.append(f"left out {path}: it is a link to what is no pipe file of that state")
        else:
            _put(made, path, file.read_bytes())
