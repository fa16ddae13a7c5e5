"""Entity IDs: how a record is named, and named again when it is asked for by ID."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, unquote

from integrator.errors import RecordError
from integrator.mapping.expression import ExpressionError, path_steps
from integrator.mapping.shapes import ShapeFault, dotted
from integrator.model.run import ENTITY_ID_BYTES
from integrator.paging.pager import at

Steps = tuple[str | int, ...]
SYNTHETIC = "?"
"""First character of the name that a record without a usable ID gets in the journal; no real ID is taken with it."""


def steps_or_fault(written: str | None, place: Steps, faults: list[ShapeFault]) -> Steps:
    """Return where something stands in an answer, nowhere when nothing is written; a fault is added to the list."""
    try:
        return path_steps(written) if written else ()
    except ExpressionError as fault:
        faults.append(ShapeFault(place, str(fault)))
        return ()


def id_paths(entity_id: str | Sequence[str]) -> list[Steps]:
    """Return where the parts of an entity ID stand.

    Raises:
        ExpressionError: a part is not a path.
    """
    return [path_steps(part) for part in ([entity_id] if isinstance(entity_id, str) else entity_id)]


def reader(entity_id: str | Sequence[str]) -> Callable[[dict[str, Any]], str]:
    """Return a function that reads a record's entity ID.

    It raises RecordError, with a code that says why, when the record has no usable one.
    """
    paths = id_paths(entity_id)
    if isinstance(entity_id, str) and len(paths[0]) == 1:
        name = str(paths[0][0])

        def simple(record: dict[str, Any]) -> str:
            value = record.get(name)
            if type(value) is str and 0 < len(value) <= 64 and value.isascii() and value.isprintable() and value[0] != SYNTHETIC:
                return value
            return _part(value, name)

        return simple

    def composite(record: dict[str, Any]) -> str:
        made = "/".join(quote(_part(at(record, path), dotted(path)), safe="") for path in paths)
        return _fits(made, dotted(paths[0]))

    def nested(record: dict[str, Any]) -> str:
        return _part(at(record, paths[0]), dotted(paths[0]))

    return nested if isinstance(entity_id, str) else composite


def _part(value: Any, name: str) -> str:
    if type(value) is int:
        return _fits(str(value), name)
    if type(value) is str:
        if not value:
            raise _unusable(name, "empty", "entity_id_missing")
        return _fits(value, name)
    if value is None:
        raise _unusable(name, "missing", "entity_id_missing")
    raise _unusable(name, "neither a text nor a whole number", "entity_id_kind")


def _fits(made: str, name: str) -> str:
    try:
        long = len(made.encode()) > ENTITY_ID_BYTES
    except UnicodeEncodeError:
        raise _unusable(name, "not valid Unicode", "entity_id_unicode") from None
    if long:
        raise _unusable(name, f"longer than {ENTITY_ID_BYTES} bytes", "entity_id_long")
    if "\x00" in made or made[0] == SYNTHETIC:
        raise _unusable(name, "not one that can be kept (NUL inside, or ? in front)", "entity_id_sign")
    return made


def can_be_kept(name: str) -> bool:
    """Tell whether a text can stand for a record in the journal."""
    try:
        return bool(name) and bool(_fits(name, "key"))
    except RecordError:
        return False


def _unusable(name: str, why: str, code: str) -> RecordError:
    return RecordError(f"the entity ID ({name}) is {why}", stage="fetch", code=code, field=name)


def parts_of(entity_id: str, spec: str | Sequence[str]) -> dict[str, Any]:
    """Return the parts of an ID by the names of their members, for a by_id template."""
    if isinstance(spec, str):
        return {dotted(path_steps(spec)).split(".")[-1]: entity_id}
    names = [dotted(path).split(".")[-1] for path in id_paths(spec)]
    values = [unquote(part) for part in entity_id.split("/")]
    return dict(zip(names, values, strict=False))
