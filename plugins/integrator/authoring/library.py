"""The pipes of a dags folder: which files there are, to which project each belongs, and what is wrong across them.

A folder below the dags folder is a project; folders inside it are only for order.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from integrator.authoring.checking import CheckedPipe, check
from integrator.authoring.naming import Names
from integrator.authoring.reading import Document, Fault, read
from integrator.authoring.repeating import copies
from integrator.errors import ConfigError, PipeFaultsError
from integrator.mapping.transforms import load_transforms
from integrator.model.names import NAME
from integrator.registry import near

ENDINGS = (".yaml", ".yml")
RERUN = "rerun"
OURS = "integrator"


def project_of(file: Path, dags: Path) -> str:
    """Return the project of a file: the first folder below the dags folder."""
    return file.relative_to(dags).parts[0]


def pipe_files(dags: Path, folder: Path | None = None) -> Iterator[Path]:
    """Yield the pipe files of a dags folder, or of one folder in it without its sub-folders, in a steady order."""
    if folder is not None:
        yield from sorted(
            Path(one.path)
            for one in os.scandir(folder)
            if one.is_file() and one.name.endswith(ENDINGS) and one.name[0] not in "._"
        )
        return
    yield from (file for file in _walk(dags) if file.parent != dags)


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "_")))
        yield from (Path(root) / name for name in sorted(names) if name.endswith(ENDINGS) and name[0] not in "._")


def check_file(file: Path, dags: Path, only: Collection[str] | None = None) -> list[CheckedPipe]:
    """Read and check one file; returns the pipes it makes: one, or several where it has `with:`.

    Args:
        file: where it is.
        dags: the folder of the projects.
        only: names of the pipes that are wanted of it; the others are not looked at.
    """
    shown, stem = os.path.relpath(file, dags), file.name.rsplit(".", 1)[0]
    document = read(file, shown)
    return [
        _check_one(CheckedPipe(project_of(file, dags), name, file, shown), copy)
        for name, copy in copies(document, stem, shown)
        if only is None or name in only
    ]


def _check_one(checked: CheckedPipe, document: Document) -> CheckedPipe:
    if not re.fullmatch(NAME, checked.project):
        checked.fault(
            (), f"{checked.project!r} is no project name", "name the folder in lower case, digits and single underscores"
        )
    if checked.project == OURS:
        checked.fault((), f"a project cannot be called {OURS}: that is the name of the platform's own DAGs", "rename the folder")
    try:
        return check(checked, document)
    except Exception as fault:  # noqa: BLE001 - one file that nobody thought of must not hide all the others
        checked.pipe = None
        checked.fault((), f"cannot be checked ({type(fault).__name__})", "this is a bug in Integrator; please report the file")
        return checked


def transform_faults(dags: Path) -> list[Fault]:
    """Load the functions deployed in include/transforms beside the dags folder; return what is wrong with their files."""
    found = load_transforms(dags.resolve().parent / "include" / "transforms")
    return [Fault(f"include/transforms/{file}", 1, "", said, "until then no pipe can call its functions") for file, said in found]


def faults_of(pipes: Iterable[CheckedPipe]) -> list[Fault]:
    """Return what is wrong with pipes; what stands in a file once is told once, however many pipes the file makes."""
    return list(dict.fromkeys(fault for one in pipes for fault in one.faults))


def check_all(dags: Path, files: list[Path] | None = None, only: Collection[str] | None = None) -> list[CheckedPipe]:
    """Check every pipe, or those of these files, and what can only be seen across them.

    Args:
        dags: the folder of the projects.
        files: where to look; None for everywhere.
        only: names of the pipes that are wanted of these files; None for all.

    Raises:
        ConfigError: there is no such folder.
    """
    if not dags.is_dir():
        raise ConfigError(f"no folder {dags}; say where the pipes are with --dags, or make one with `integrator init`")
    of_transforms = transform_faults(dags)
    pipes = [one for file in (files if files is not None else pipe_files(dags)) for one in check_file(file, dags, only)]
    known = {project: names_in(project, dags) for project in {one.project for one in pipes}}
    for one in pipes:
        twins = [os.path.relpath(twin, dags) for twin in known[one.project].files_of(one.name) if twin != one.file]
        if twins:
            one.fault(
                (),
                f"the name {one.name!r} is taken in this project by {twins[0]}",
                "pipe names are unique in a project; rename one of the files",
            )
        _check_after(one, known[one.project])
        if any("no function" in fault.message for fault in one.faults):
            one.faults += of_transforms
    return pipes


def names_in(project: str, dags: Path) -> Names:
    """Return the names of a project's pipes."""
    return Names(_walk(dags / project))


def _check_after(one: CheckedPipe, names: Names) -> None:
    after = getattr(one.pipe.schedule, "after", []) if one.pipe else []
    for at, name in enumerate(after):
        if name not in names:
            one.fault(("schedule", "after", at), f"no pipe {name!r} in project {one.project}", _meant(name, names))


def _meant(name: str, names: Names) -> str:
    repeated = names.repeated(name)
    return f"its file makes {', '.join(repeated[:5])}{' ...' if len(repeated) > 5 else ''}" if repeated else near(name, names)


def find_pipe(dags: Path, project: str, name: str) -> CheckedPipe:
    """Return one pipe that may run.

    Raises:
        ConfigError: there is no such pipe; the message says which there are.
        PipeFaultsError: it has faults.
    """
    folder = dags / project
    if not dags.is_dir() or not folder.is_dir():
        known = [p.name for p in dags.iterdir() if p.is_dir()] if dags.is_dir() else []
        raise ConfigError(
            f"no project {project!r} in {dags}; {near(project, known) if known else 'there is none yet: integrator init'}"
        )
    names = names_in(project, dags)
    found = names.files_of(name)
    if not found:
        raise ConfigError(f"no pipe {name!r} in project {project!r}; {_meant(name, names) if any(names) else 'it has none yet'}")
    checked = next(iter(check_all(dags, found[:1], {name})))
    if checked.faults or checked.pipe is None:
        raise PipeFaultsError("\n".join(str(fault) for fault in checked.faults))
    return checked


def version_of(file: Path) -> str:
    """Return a short fingerprint of a pipe file, noted with each run."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
