"""Deployed functions: Python files of include/transforms whose public functions a mapping may call by name.

Code comes only from files that were deployed beside the pipes, never from a pipe.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from integrator.errors import ConfigError
from integrator.mapping.casts import MisfitError
from integrator.mapping.functions import BUILT_IN, FUNCTIONS, Function

MANY = 100
_loaded: dict[Path, tuple[int, int]] = {}


def load_transforms(folder: Path) -> list[tuple[str, str]]:
    """Make the public functions of a folder's files callable in expressions; a file that has not changed is not run again.

    Returns:
        File name and fault of each file that could not be taken; its functions are not known then.
    """
    faults: list[tuple[str, str]] = []
    for file in sorted(folder.glob("*.py")) if folder.is_dir() else ():
        stat = file.stat()
        if file.name.startswith("_") or _loaded.get(file) == (stat.st_mtime_ns, stat.st_size):
            continue
        try:
            _load(file)
        except ConfigError as fault:
            faults.append((file.name, str(fault)))
        else:
            _loaded[file] = (stat.st_mtime_ns, stat.st_size)
    return faults


def _load(file: Path) -> None:
    functions = _public(file)
    for name in functions:
        if name in BUILT_IN:
            raise ConfigError(f"{name}() is a function of the language already; call it something else")
    FUNCTIONS.update({name: _described(name, function, file) for name, function in functions.items()})


def _public(file: Path) -> dict[str, Callable[..., Any]]:
    spec = importlib.util.spec_from_file_location(f"integrator_transforms_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ConfigError("is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as fault:  # noqa: BLE001 - people's code may raise anything
        raise ConfigError(f"cannot be run ({type(fault).__name__}); run it with python to see why") from None
    found = inspect.getmembers(module, inspect.isfunction)
    return {name: function for name, function in found if function.__module__ == module.__name__ and not name.startswith("_")}


def _described(name: str, function: Callable[..., Any], file: Path) -> Function:
    places = [
        p for p in inspect.signature(function).parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    least = sum(1 for p in places if p.default is p.empty)
    many = any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(function).parameters.values())
    meaning = (inspect.getdoc(function) or f"of {file.name}").splitlines()[0]
    return Function(_guarded(name, function), least, MANY if many else len(places), meaning)


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def guarded(*values: Any) -> Any:
        try:
            return function(*values)
        except Exception as fault:  # noqa: BLE001 - its text may hold the record
            raise MisfitError(f"{name}() failed ({type(fault).__name__})") from None

    return guarded
