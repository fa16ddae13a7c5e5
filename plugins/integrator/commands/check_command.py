"""`integrator check`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from integrator.commands.common import DAGS_OPTION, HOME_OPTION, JSON_OPTION, safe, show_json


@click.command("check")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def command(paths: tuple[Path, ...], dags: Path, home: str | None, as_json: bool) -> None:
    """Check pipe files, or all of them: every fault at once, as file:line, YAML path, what and cure."""
    from integrator.authoring.library import check_all, faults_of, transform_faults
    from integrator.errors import ConfigError

    del home  # nothing is read from it
    files = _files(paths, dags)
    if files is not None and paths and not files:
        raise ConfigError(f"no pipe file at {', '.join(map(str, paths))}")
    pipes = check_all(dags, files)
    faults = list(dict.fromkeys([*transform_faults(dags), *faults_of(pipes)]))
    if as_json:
        show_json(
            {
                "pipes": [one.dag_id for one in pipes if not one.faults],
                "faults": [
                    {"file": f.file, "line": f.line, "path": f.path, "message": f.message, "cure": f.cure} for f in faults
                ],
            }
        )
    else:
        for fault in faults:
            click.echo(safe(fault))
        good = sum(1 for one in pipes if not one.faults)
        click.echo(
            f"{len(pipes)} pipe{'s' * (len(pipes) != 1)}: {good} good, {len(faults)} fault{'s' * (len(faults) != 1)}", err=True
        )
    if faults:
        sys.exit(2)


def _files(paths: tuple[Path, ...], dags: Path) -> list[Path] | None:
    """Return the files to check, or None for all; a path is tried as it stands, then below the dags folder."""
    from integrator.authoring.library import ENDINGS, names_in, pipe_files
    from integrator.errors import ConfigError

    if not paths:
        return None
    known = list(pipe_files(dags)) if dags.is_dir() else []
    found: list[Path] = []
    for path in paths:
        places = [p.resolve() for p in (path, dags / path, dags / f"{path}.yaml") if p.exists()]
        if not places and len(path.parts) == 2:  # a pipe's name, where its file makes several
            places = [file.resolve() for file in names_in(path.parts[0], dags).files_of(path.parts[1])]
        if not places:
            raise ConfigError(f"no pipe file at {path}")
        inside = [file for file in known if file.resolve() == places[0] or places[0] in file.resolve().parents]
        if not inside and places[0].suffix in ENDINGS:
            raise ConfigError(f"{path} is not in a project folder of {dags}; say where the projects are with --dags")
        found += inside
    return found
