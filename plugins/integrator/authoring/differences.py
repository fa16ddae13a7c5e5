"""What differs between two states of a pipe, by meaning: comments and the order of keys make no difference. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from integrator.authoring.consequences import consequences
from integrator.authoring.reading import YamlPath, show_path
from integrator.model.pipe import Pipe

Change = tuple[Any, Any]
"""Before and after; ABSENT where it is not there."""
SHOWN_MAX = 200  # characters of a value
_BEFORE_MAX = 40  # characters that are shown before the first that differs, where a text is cut


class _Absent:
    """Stands for what is not there."""

    def __repr__(self) -> str:
        """Return a word for people."""
        return "(none)"


ABSENT = _Absent()
_WHEN = ("schedule", "timezone", "paused")
_UNITS = ((604_800_000, "w"), (86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms"))
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class State:
    """A pipe in one of two states, and the plain data of its file, so that values are told as they were written."""

    pipe: Pipe
    written: Any = None


@dataclass(slots=True)
class Difference:
    """What changes in a pipe."""

    change: str  # added, removed, changed, same_meaning
    schedule: Change = (ABSENT, ABSENT)
    """When it runs, before and after: schedule, timezone, paused; told whether or not it changes."""
    mappings: dict[str, Change] = field(default_factory=dict)
    settings: dict[str, Change] = field(default_factory=dict)
    credentials: tuple[set[str], set[str]] = field(default_factory=lambda: (set(), set()))  # before, after
    flows: tuple[set[str], set[str]] = field(default_factory=lambda: (set(), set()))
    warnings: list[str] = field(default_factory=list)

    @property
    def reschedules(self) -> bool:
        """Whether it runs at other times than before."""
        return bool(self.schedule[0] != self.schedule[1])


def compare(old: State | None, new: State | None) -> Difference | None:
    """Return what changes from one state of a pipe to the other; None when neither is there."""
    if old is None and new is None:
        return None
    before, after = _leaves(old), _leaves(new)
    made = Difference("added" if old is None else "removed" if new is None else "changed")
    for path in [*before, *(path for path in after if path not in before)]:
        was, now = before.get(path, ABSENT), after.get(path, ABSENT)
        if path[0] not in _WHEN and _meaning(was) != _meaning(now):
            kind = made.mappings if _maps(path) else made.settings
            kind[show_path(path)] = _bounded(_told(path, was, old), _told(path, now, new))
    made.schedule = (_when(old), _when(new))
    same_times = old is not None and new is not None and _times(old.pipe) == _times(new.pipe)
    if same_times:
        made.schedule = (made.schedule[1], made.schedule[1])  # 60s and 1m are the same
        if not (made.mappings or made.settings):
            made.change = "same_meaning"
    made.credentials = (_credentials(old), _credentials(new))
    made.flows = (set(old.pipe.flows) if old else set(), set(new.pipe.flows) if new else set())
    made.warnings = list(consequences(old.pipe if old else None, new.pipe if new else None))
    return made


def _leaves(state: State | None) -> dict[YamlPath, Any]:
    """Return every value of a pipe by its YAML path, defaults written out."""
    return dict(_walk(state.pipe.model_dump(exclude={"with_"}), ())) if state is not None else {}


def _walk(value: Any, path: YamlPath) -> Iterator[tuple[YamlPath, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _walk(inner, (*path, str(name)))
    elif isinstance(value, list) and value:
        for at, inner in enumerate(value):
            yield from _walk(inner, (*path, at))
    elif path[2:3] == ("look_up",) and path[4:] == ("missing",):
        yield path, "null" if value is None else value  # one word for both
    elif not (value is None or value in ({}, [])) or _may_be_null(path):
        yield path, value


def _may_be_null(path: YamlPath) -> bool:
    """Tell whether null, or nothing in brackets, is a value here; elsewhere it is what is left out."""
    return _maps(path) or path[0] == "tables" or "body" in path[3:-1]


def _maps(path: YamlPath) -> bool:
    """Tell whether a path lies in a mapping; a flow, a look-up or a member may be called map, too."""
    below = path[2:] if path[0] == "flows" else ()
    of_look_up = below[:1] == ("look_up",) and below[2:5] == ("missing", "create", "map")
    return below[:1] == ("map",) or (below[:1] == ("then",) and below[2:3] == ("map",)) or of_look_up


def _meaning(value: Any) -> tuple[str, Any]:
    """Return what tells a value from others: true is not 1, and 1.0 is not 1.00."""
    return type(value).__name__, str(value) if isinstance(value, Decimal) else value


def _told(path: YamlPath, value: Any, state: State | None) -> Any:
    """Return a value as it was written; a default as one would write it."""
    if value is ABSENT or state is None:
        return ABSENT
    here = state.written
    try:
        for step in path:
            here = here[step]
    except (KeyError, IndexError, TypeError):
        here = value
    return _plain(value if isinstance(here, (dict, list)) and here else here)


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        count = value // _MILLISECOND
        size, unit = next(((size, unit) for size, unit in _UNITS if count % size == 0 and count), (1, "ms"))
        return f"{count // size}{unit}" if count else "0s"
    return value if value is None or isinstance(value, (str, int, bool, _Absent)) else str(value)


def _bounded(was: Any, now: Any) -> Change:
    """Return both with long texts cut, where they begin to differ."""
    if not (isinstance(was, str) and isinstance(now, str)) or max(len(was), len(now)) <= SHOWN_MAX:
        return _cut(was, 0), _cut(now, 0)
    same = next((at for at, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
    start = max(0, same - _BEFORE_MAX)
    return _cut(was, start), _cut(now, start)


def _cut(value: Any, start: int) -> Any:
    if not isinstance(value, str) or (len(value) <= SHOWN_MAX and not start):
        return value
    end = start + SHOWN_MAX
    return f"{'...' if start else ''}{value[start:end]}{'...' if len(value) > end else ''}"


def _times(pipe: Pipe) -> tuple[Any, ...]:
    return pipe.schedule, pipe.timezone, pipe.paused


def _when(state: State | None) -> Any:
    if state is None:
        return ABSENT
    schedule = state.pipe.model_dump(include={"schedule"})["schedule"]
    if isinstance(schedule, dict) and "every" in schedule:
        schedule = {"every": _told(("schedule", "every"), schedule["every"], state)}
    return {"schedule": schedule, "timezone": state.pipe.timezone, "paused": state.pipe.paused}


def _credentials(state: State | None) -> set[str]:
    """Return the credentials that its calls are made with; a look-up's and a destination's other calls use their own."""
    found: set[str | None] = set()
    for flow in state.pipe.flows.values() if state else ():
        found |= {flow.source.credential, flow.destination.credential}
        found |= {one.credential for one in flow.look_up.values()} | {call.credential for call in flow.then}
    return {name for name in found if name}
