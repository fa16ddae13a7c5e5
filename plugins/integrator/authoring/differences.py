"""What differs between two states of a pipe, by meaning: comments and the order of keys make no difference. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from integrator.authoring.reading import show_path
from integrator.model.pipe import Pipe

Path = tuple[str | int, ...]
Change = tuple[Any, Any]
"""Before and after; ABSENT where it is not there."""
SHOWN_MAX = 200  # characters of a value


class _Absent:
    """Stands for what is not there."""

    def __repr__(self) -> str:
        """Return a word for people."""
        return "(none)"


ABSENT = _Absent()
_WHEN = ("schedule", "timezone", "paused")


@dataclass(slots=True)
class Difference:
    """What changes in a pipe."""

    change: str  # added, removed, changed, same_meaning
    schedule: dict[str, Change] = field(default_factory=dict)
    mappings: dict[str, Change] = field(default_factory=dict)
    settings: dict[str, Change] = field(default_factory=dict)
    credentials: tuple[set[str], set[str]] = field(default_factory=lambda: (set(), set()))  # before, after
    flows: tuple[set[str], set[str]] = field(default_factory=lambda: (set(), set()))
    warnings: list[str] = field(default_factory=list)


def compare(old: Pipe | None, new: Pipe | None) -> Difference | None:
    """Return what changes from one state of a pipe to the other; None when neither is there."""
    if old is None and new is None:
        return None
    before, after = _leaves(old), _leaves(new)
    made = Difference("added" if old is None else "removed" if new is None else "changed")
    for path in [*before, *(path for path in after if path not in before)]:
        was, now = before.get(path, ABSENT), after.get(path, ABSENT)
        if was != now:
            _sort(made, path, (_short(was), _short(now)))
    if not (made.schedule or made.mappings or made.settings) and old is not None and new is not None:
        made.change = "same_meaning"
    made.credentials = (_credentials(before), _credentials(after))
    made.flows = (set(old.flows) if old else set(), set(new.flows) if new else set())
    if old is not None and new is not None:
        made.warnings = list(_warnings(before, after, made))
    elif old is not None:
        made.warnings = ["its DAGs go away; its runs, cursors and open failures stay in the journal under this name"]
    return made


def _leaves(pipe: Pipe | None) -> dict[Path, Any]:
    """Return every value of a pipe by its YAML path, defaults written out."""
    return dict(_walk(pipe.model_dump(mode="json"), ())) if pipe is not None else {}


def _walk(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _walk(inner, (*path, str(name)))
    elif isinstance(value, list) and value:
        for at, inner in enumerate(value):
            yield from _walk(inner, (*path, at))
    elif value not in (None, {}, []):  # what is left out is not there
        yield path, value


def _sort(made: Difference, path: Path, change: Change) -> None:
    if path[0] in _WHEN:
        made.schedule[show_path(path)] = change
    elif "map" in path[2:]:  # a flow may have that name too
        made.mappings[show_path(path)] = change
    else:
        made.settings[show_path(path)] = change


def _short(value: Any) -> Any:
    text = str(value)
    return value if value is ABSENT or len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "..."


def _credentials(leaves: Mapping[Path, Any]) -> set[str]:
    return {
        str(value) for path, value in leaves.items() if path[-1] == "credential" and path[0] == "flows" and "map" not in path[2:]
    }


def _warnings(before: Mapping[Path, Any], after: Mapping[Path, Any], made: Difference) -> Iterator[str]:
    was, now = made.flows
    for flow in sorted(was - now):
        yield f"flow {flow} goes away; its cursor and open failures stay in the journal under that name"
    for flow in sorted(was & now):
        yield from _of_flow(flow, _below(before, flow), _below(after, flow))


def _below(leaves: Mapping[Path, Any], flow: str) -> dict[str, Any]:
    """Return a flow's leaves by their path below it."""
    return {show_path(path[2:]): value for path, value in leaves.items() if path[:2] == ("flows", flow)}


def _of_flow(flow: str, was: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    def changed(pattern: str) -> bool:
        names = [name for name in {**was, **now} if re.match(pattern, name)]
        return any(was.get(name) != now.get(name) for name in names)

    if changed(r"(source\.entity_id|combine\.by|split\.key)"):
        yield f"flow {flow}: the entity ID changes, so open failures and what the cursor's edge remembers no longer fit"
    if changed(r"source\.since\.(field|format|zone)"):
        yield f"flow {flow}: since: changes and the cursor stays; look at it with `integrator cursor show`, set it with `integrator cursor set`"
    if any(name.startswith("destination.match.") for name in was) and not any(
        name.startswith("destination.match.") for name in now
    ):
        yield f"flow {flow}: without match:, what was written before is not found again, so it may be written twice"
    if was.get("shadow") is True and now.get("shadow") is not True:
        yield f"flow {flow}: the shadow ends; the next run writes"
    if changed(r"destination\.delete\."):
        yield f"flow {flow}: what is deleted changes; look first with `integrator preview`"
