"""`with:` at the top of a file: one file makes several pipes, each with its own values in place of `{with.<name>}`.

The values are put in as text before a pipe is checked, so they may stand in any string of the file; they are made of
a name's letters only, so that none can change the shape of an expression or a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from integrator.authoring.reading import Document, Fault, YamlPath, read, show_path
from integrator.model.names import NAME
from integrator.registry import near

WITH = "with"
PIPES_MAX = 200
"""Most pipes that one file makes."""
KEYS_MAX = 5
NAME_MAX = 64  # characters
_PLACE = re.compile(r"(?<!\{)((?:\{\{)*)\{\s*with\.(\w+)\s*\}")
_VALUE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*\Z")
_MAY_REPEAT = re.compile(rb"""(?m)^[ \t{"'?]*with\b""")
_CURE = "lower case letters, digits and single underscores, such as with: {shop: [us, eu]}"
STANDS_FOR_ANY = "x"
"""What is put in where the values are not known, so that the rest of a faulty file can be looked at."""


@dataclass(slots=True)
class Repeats:
    """What a file's `with:` says: the pipes it makes and their values, or its faults."""

    pipes: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: list[tuple[YamlPath, str, str]] = field(default_factory=list)


def repeats(data: Any, stem: str) -> Repeats | None:
    """Return what a file makes, or None for the usual file, which makes one pipe of its own name."""
    if not isinstance(data, dict) or WITH not in data:
        return None
    made, given = Repeats(), data[WITH]
    if not isinstance(given, dict) or not given or len(given) > KEYS_MAX:
        made.faults.append(((WITH,), f"with: has 1 to {KEYS_MAX} names, each with a list of values", _CURE))
        return made
    for key, values in given.items():
        _check_values(made, key, values)
    if made.faults:
        return made
    if (pipes := prod(len(values) for values in given.values())) > PIPES_MAX:
        made.faults.append(((WITH,), f"this makes {pipes:,} pipes; a file makes at most {PIPES_MAX}", "use several files"))
        return made
    for values in product(*given.values()):
        texts = {key: str(value) for key, value in zip(given, values, strict=True)}
        name = "_".join([stem, *texts.values()])
        if name in made.pipes or len(name) > NAME_MAX:
            said = (
                f"two combinations make one pipe, {name!r}" if name in made.pipes else f"{name!r} is too long for a pipe's name"
            )
            return Repeats(faults=[((WITH,), said, "change one of the values")])
        made.pipes[name] = texts
    return made


def _check_values(made: Repeats, key: str, values: Any) -> None:
    if not re.fullmatch(NAME, key):
        made.faults.append(((WITH, key), f"{key!r} is no name", _CURE))
    if not isinstance(values, list) or not values:
        made.faults.append(((WITH, key), "a list of values is expected here", _CURE))
        return
    seen: set[str] = set()
    for at, value in enumerate(values):
        plain = isinstance(value, (str, int)) and not isinstance(value, bool)
        if not plain or not _VALUE.match(str(value)):
            said = (
                f"{value!r} cannot be part of a pipe's name" if plain else "a value is a text that can be part of a pipe's name"
            )
            made.faults.append(((WITH, key, at), said, _CURE))
        elif str(value) in seen:
            made.faults.append(((WITH, key, at), f"{value!r} stands twice", "remove one"))
        seen.add(str(value))


def names_of(file: Path) -> list[str]:
    """Return the names of the pipes that a file makes; it is read as YAML only when it seems to have a `with:`."""
    stem = file.name.rsplit(".", 1)[0]
    try:
        text = file.read_bytes()
    except OSError:
        return [stem]  # checking it tells
    if not _MAY_REPEAT.search(text):
        return [stem]
    found = repeats(read(file, file.name).data, stem)
    return [stem] if found is None or found.faults else list(found.pipes)


def copies(document: Document, stem: str, shown: str) -> Iterator[tuple[str, Document]]:
    """Yield name and document of each pipe that a file makes; of one with a faulty `with:`, a single one that holds the faults."""
    found = repeats(document.data, stem)
    if found is None:
        yield stem, document
        return
    for name, values in (found.pipes if not found.faults else {stem: {}}).items():
        copy = Document(None, document.lines, list(document.faults))
        copy.faults += [_fault(document, shown, *fault) for fault in found.faults]
        filling = _Filling(copy, shown, None if found.faults else values)
        copy.data = {key: filling.value(part, (key,)) for key, part in document.data.items() if key != WITH}
        yield name, copy


def _fault(document: Document, shown: str, path: YamlPath, message: str, cure: str) -> Fault:
    return Fault(shown, document.line_of(path), show_path(path), message, cure)


class _Filling:
    """Puts one pipe's values in; `values` None puts in a text that stands for any."""

    def __init__(self, document: Document, shown: str, values: dict[str, str] | None) -> None:
        self._document, self._shown, self._values = document, shown, values

    def value(self, part: Any, path: YamlPath) -> Any:
        if isinstance(part, dict):
            for key in part:
                if _PLACE.search(key):
                    self._fault((*path, key), "a key is not filled in", "put {with...} into values only")
            return {key: self.value(one, (*path, key)) for key, one in part.items()}
        if isinstance(part, list):
            return [self.value(one, (*path, at)) for at, one in enumerate(part)]
        if not isinstance(part, str) or "with." not in part:
            return part
        if (whole := _PLACE.fullmatch(part.strip())) and path[0] == "flows" and path[2:3] == ("map",) and path[-1] != "text":
            name = whole[2]
            self._fault(
                path,
                f"alone, {{with.{name}}} would read a member of the record that has the value's name",
                f'write {{text: "{{with.{name}}}"}} for the value itself',
            )
        return _PLACE.sub(lambda place: place[1] + self._text(place[2], path), part)

    def _text(self, name: str, path: YamlPath) -> str:
        if self._values is None:
            return STANDS_FOR_ANY
        if name not in self._values:
            self._fault(path, f"no {name!r} in with:", near(name, self._values))
        return self._values.get(name, STANDS_FOR_ANY)

    def _fault(self, path: YamlPath, message: str, cure: str) -> None:
        self._document.faults.append(_fault(self._document, self._shown, path, message, cure))
