"""`integrator plan`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from integrator.commands.common import DAGS_OPTION, HOME_OPTION, JSON_OPTION, safe, say, show_json


@click.command("plan")
@click.argument("names", nargs=-1, metavar="[PATH | PROJECT | PROJECT/PIPE]...")
@click.option("--against", metavar="DIR|REVISION", help="What to compare with: a folder, or a git revision [default: git HEAD].")
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def command(names: tuple[str, ...], against: str | None, dags: Path, home: str | None, as_json: bool) -> None:
    """Say what changes against another state: DAGs, schedules, credentials, hosts, mappings, settings. Changes nothing.

    Exit code 0 whether or not there are changes; 2 when a pipe here has faults, or the other state cannot be read.
    """
    from integrator import settings
    from integrator.authoring.changed_functions import changed_functions
    from integrator.authoring.library import check_all, faults_of, transform_faults
    from integrator.commands.other_state import other_state, transforms_beside
    from integrator.commands.plan_shown import show

    here = check_all(dags)
    with other_state(dags, against) as other:
        functions = changed_functions(other.transforms, transforms_beside(dags))
        sides = _Sides(here, check_all(other.folder), functions, settings.environment(home))
        pipes = sides.planned([_wanted(name, dags) for name in names])
    told = {one["pipe"] for one in pipes}
    faults = [*transform_faults(dags), *faults_of(one for one in here if one.faults and _name(one) in told)]
    if as_json:
        listed = [{"file": f.file, "line": f.line, "path": f.path, "message": f.message, "cure": f.cure} for f in faults]
        show_json({"against": other.called, "pipes": pipes, "faults": listed, "notes": other.notes})
    else:
        for one in pipes:
            show(one)
        for fault in dict.fromkeys(faults):
            click.echo(safe(fault))
        for note in other.notes:
            say(safe(note))
        changed = sum(1 for one in pipes if one["change"] != "same_meaning")
        say(f"against {safe(other.called)}: {changed} pipe{'s' * (changed != 1)} with changes")
    if faults:
        sys.exit(2)


def _name(one: Any) -> str:
    return f"{one.project}/{one.name}"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What somebody named: a project, a pipe, or a path; either state may have it."""

    text: str
    paths: tuple[str, ...]

    def __contains__(self, one: object) -> bool:
        """Tell whether a checked pipe is meant."""
        assert hasattr(one, "dag_id") and hasattr(one, "shown")  # noqa: S101 - only checked pipes are asked for
        names = (_name(one), one.dag_id, _name(one).split("/", maxsplit=1)[0])
        file = Path(one.shown).as_posix()
        inside = any(path in (file, file.rsplit(".", 1)[0]) or file.startswith(f"{path}/") or path == "." for path in self.paths)
        return self.text in names or inside


def _wanted(text: str, dags: Path) -> _Wanted:
    """Read a name; a path counts as it stands, then below the dags folder, as in `integrator check`."""
    as_it_stands = os.path.relpath(Path(text).absolute(), dags.absolute())
    return _Wanted(text, tuple(Path(path).as_posix() for path in (as_it_stands, text) if not path.startswith("..")))


@dataclass(frozen=True, slots=True)
class _Sides:
    """Both states, checked, and what is known beside them."""

    here: list[Any]
    there: list[Any]
    functions: dict[str, str]
    environ: dict[str, str]

    def planned(self, wanted: list[_Wanted]) -> list[dict[str, Any]]:
        """Return the plan of each pipe that is meant and that changes.

        Raises:
            ConfigError: a name means no pipe of either state.
        """
        from integrator.errors import ConfigError
        from integrator.registry import near

        now, was = ({_name(one): one for one in side} for side in (self.here, self.there))
        for one in wanted:
            if not any(pipe in one for pipe in (*was.values(), *now.values())):
                raise ConfigError(
                    f"{one.text!r} is no project, no pipe and no pipe file, here or there; {near(one.text, {**was, **now})}"
                )
        names = [
            name
            for name in sorted({**was, **now})
            if not wanted or any(pipe in one for one in wanted for pipe in (was.get(name), now.get(name)) if pipe is not None)
        ]
        made = (self._plan(name, was.get(name), now.get(name)) for name in names)
        return [one for one in made if one is not None]

    def _plan(self, name: str, was: Any, now: Any) -> dict[str, Any] | None:
        """Return a pipe's plan; None when its file says the same, byte for byte, and so do the functions that it calls."""
        from integrator.authoring.changed_functions import called
        from integrator.authoring.differences import Difference, State, compare

        old = State(was.pipe, was.document.data) if was is not None and was.pipe is not None else None
        new = State(now.pipe, now.document.data) if now is not None and now.pipe is not None and not now.faults else None
        sides = [one for one in (old, new) if one is not None and self.functions]
        calls = {call: self.functions[call] for one in sides for call in called(one.pipe) & set(self.functions)}
        faulty_here = now is not None and new is None
        faulty_there = was is not None and self._faulty(was)
        same_file = was is not None and now is not None and was.file.read_bytes() == now.file.read_bytes()
        if same_file and not calls and not faulty_here and not faulty_there:
            return None
        found = compare(old, new) or Difference("removed" if now is None else "changed")
        if faulty_here:
            found.change, found.warnings = (
                "faulty",
                ["it has faults here, so its DAGs only say so; `integrator check` lists them"],
            )
            found.mappings, found.settings = {}, {}
        elif was is not None and now is not None and (calls or old is None or faulty_there):
            found.change = "changed"
        if faulty_there:
            found.warnings.append(
                "it had faults in the other state" + ("" if old else ", so all that is here is told as new" if now else "")
            )
        if calls and was is not None and not faulty_here:
            found.warnings.append(
                f"it calls what changes in include/transforms: {', '.join(f'{call}()' for call in sorted(calls))}"
            )
        return {
            "pipe": name,
            "change": found.change,
            "faulty_before": faulty_there,
            "dags": _dags(name, was, now),
            **self._details(name.split("/", maxsplit=1)[0], found),
            "functions": [{"name": call, "file": f"include/transforms/{file}"} for call, file in sorted(calls.items())],
            "warnings": found.warnings,
        }

    def _faulty(self, was: Any) -> bool:
        """Tell whether a pipe had faults; a function that was taken away since is none of them."""
        gone = [f"no function {name!r}" for name in self.functions]
        return any(not any(said in fault.message for said in gone) for fault in was.faults)

    def _details(self, project: str, found: Any) -> dict[str, Any]:
        from integrator.authoring.differences import ABSENT

        before, after = found.credentials
        hosts = {name: host for name in before | after if (host := _host(self.environ, project, name))}
        was, now = (None if when is ABSENT else when for when in found.schedule)
        return {
            "flows": _sides(*found.flows),
            "schedule": {"changed": found.reschedules, "from": was, "to": now},
            "credentials": _sides(before, after),
            "hosts": {**_sides(*({hosts[n] for n in side if n in hosts} for side in (before, after))), "of": hosts},
            "mappings": _changes(found.mappings),
            "settings": _changes(found.settings),
        }


def _dags(name: str, was: Any, now: Any) -> dict[str, list[str]]:
    dag_id = name.replace("/", ".")
    ids = {dag_id, f"{dag_id}.rerun"}
    return _sides(ids if was is not None else set(), ids if now is not None else set())


def _sides(before: set[str], after: set[str]) -> dict[str, list[str]]:
    return {"added": sorted(after - before), "removed": sorted(before - after), "kept": sorted(before & after)}


def _changes(changes: Any) -> list[dict[str, Any]]:
    from integrator.authoring.differences import ABSENT

    return [
        {
            "path": path,
            "change": "added" if was is ABSENT else "removed" if now is ABSENT else "changed",
            **{side: value for side, value in (("from", was), ("to", now)) if value is not ABSENT},
        }
        for path, (was, now) in changes.items()
    ]


def _host(environ: dict[str, str], project: str, name: str) -> str | None:
    """Return the host of a credential that the environment tells, and its port; None where that is not plain to see."""
    from urllib.parse import urlsplit

    from integrator.auth.connections import from_environment
    from integrator.errors import ConfigError

    try:
        found = from_environment(environ, project, name)
        address = found.base_url if found is not None else ""
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except (ConfigError, ValueError, TypeError, AttributeError):
        return None  # `integrator run` says what is wrong with it
    if not host or "@" in address.replace(parts.netloc, "", 1):
        return None  # a password with a slash in it would be taken for the host
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"
