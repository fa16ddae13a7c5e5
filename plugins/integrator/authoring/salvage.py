"""What is left of a faulty pipe once its faulty parts are taken out, so that the rest can be looked at too."""

from __future__ import annotations

import copy
from typing import Any

from pydantic import ValidationError

from integrator.authoring.reading import YamlPath
from integrator.model.pipe import Pipe

ROUNDS = 6


def plain_loc(loc: tuple[Any, ...], data: Any) -> YamlPath:
    """Return pydantic's location without the names of the branches it tried: only steps that the file has, and a missing last one."""
    path: list[str | int] = []
    here = data
    for at, step in enumerate(loc):
        last = at == len(loc) - 1
        if isinstance(step, str) and step.startswith("literal["):
            continue  # a branch of "this word or that object"
        if (isinstance(here, dict) and step in here) or (isinstance(here, list) and isinstance(step, int) and step < len(here)):
            path.append(step)
            here = here[step]
        elif last and (step == "[key]" or isinstance(here, dict)):
            path.append(step)
    return tuple(path)


def salvage(data: Any) -> tuple[Pipe | None, list[YamlPath]]:
    """Return a pipe made of the parts that can stand, and the paths that were taken out; None when nothing can."""
    left, removed = copy.deepcopy(data), list[YamlPath]()
    for _round in range(ROUNDS):
        try:
            return Pipe.model_validate(left), removed
        except ValidationError as error:
            for one in error.errors(include_url=False, include_input=False):
                path = plain_loc(one["loc"], left)
                if one["type"] == "missing" or (path and path[-1] == "[key]"):
                    path = path[:-1]
                if not path or path == ("flows",):
                    return None, removed
                _remove(left, path)
                removed.append(path)
    return None, removed


def _remove(data: Any, path: YamlPath) -> None:
    for step in path[:-1]:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return  # a part above it is gone already
    if isinstance(data, dict):
        data.pop(path[-1], None)
    elif isinstance(data, list) and isinstance(path[-1], int) and path[-1] < len(data):
        del data[path[-1]]
