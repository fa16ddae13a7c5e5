"""Which deployed functions differ between two states of include/transforms, and which pipes call them. Reads code, never runs it. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from integrator.model.pipe import Pipe

_CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
Code = Mapping[str, bytes]
"""The files of include/transforms by their names."""


def changed_functions(old: Code, new: Code) -> dict[str, str]:
    """Return each function that may do something else than before, and its file; remarks make no difference.

    What else a file holds (constants, imports, private functions) may be used by all of its functions.
    """
    changed: dict[str, str] = {}
    for file in sorted({*old, *new}):
        before, after = (_functions(side[file]) if file in side else {} for side in (old, new))
        rest = before.get("") != after.get("")
        changed |= {name: file for name in {**before, **after} if name and (rest or before.get(name) != after.get(name))}
    return changed


def _functions(code: bytes) -> dict[str, str]:
    """Return the public functions of a file as text that tells them apart, and under no name what else it holds."""
    try:
        parts = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        text = code.decode("utf-8", "replace")
        return {"": text, **dict.fromkeys(re.findall(r"^(?:async )?def ([A-Za-z]\w*)", text, re.MULTILINE), "")}
    found = {"": ""}
    for part in parts:
        public = isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)) and not part.name.startswith("_")
        name = part.name if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)) and public else ""
        found[name] = found.get(name, "") + ast.dump(part)
    return found


def called(pipe: Pipe) -> set[str]:
    """Return the names of all functions that a pipe's expressions call; those that a text only seems to call are among them."""
    return {name for text in _texts(pipe.model_dump(include={"flows"})) for name in _CALL.findall(text)}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for inner in value.values() for text in _texts(inner))
    elif isinstance(value, list):
        yield from (text for inner in value for text in _texts(inner))
