"""The parts of a record on their way, and what is told of the record as a whole."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from integrator.authoring.step_plans import SplitStep
from integrator.engine.write import Outcome
from integrator.errors import MappingError, OutcomeUnknownError, RecordError, TryAgainError, WaitingError
from integrator.model.record import Held, Item
from integrator.model.run import PARTS_MAX, Kind

THEN = "then"
_BEST_FIRST = (Kind.CREATED, Kind.UPDATED, Kind.DELETED)


@dataclass(slots=True)
class Part:
    """What is written by itself: a part of a record, or the whole record."""

    item: Item
    key: str = ""
    outcome: Outcome | None = None  # None: not written yet, or a delete that is held
    to_delete: bool = False


@dataclass(slots=True)
class Work:
    """A record on its way."""

    item: Item
    parts: list[Part] = field(default_factory=list)
    outcome: Outcome | None = None  # of the whole, where it has no parts
    overtaken: bool = False  # whether a later state of the record came while its delete waited


def split_up(split: SplitStep, item: Item, *, repeat_safe: bool) -> list[Part]:
    """Return a record's parts that are to be written: all, or in a rerun those that failed.

    Where none of the parts that failed is there any more, all are written if that can be repeated: their key may be another one now.

    Raises:
        MappingError: there is no list of objects, or a part has no usable key.
    """
    listed = split.each(item.source)
    if listed is None:
        return []
    if not isinstance(listed, list) or not all(type(one) is dict for one in listed):
        raise MappingError("split.each gives no list of objects", stage="map", field="split.each", code="not_a_list")
    keyed = [(_key(split, one), one) for one in listed]
    only = set(item.held.parts) if item.held is not None else set()
    if only and (repeat_safe is False or any(key in only for key, _one in keyed)):
        keyed = [(key, one) for key, one in keyed if key in only]
    parts: list[Part] = []
    seen: set[str] = set()
    if item.held is not None:  # one of those with the key was written: which of them is not known
        seen |= {key for key, times in Counter(key for key, _one in keyed).items() if times > 1}
    for key, one in keyed:
        parts.append(Part(_part(item, one, key), key, _repeated() if key in seen else None))
        seen.add(key)
    return parts


def _key(split: SplitStep, part: dict[str, Any]) -> str:
    try:
        return split.key(part)
    except RecordError as fault:
        raise MappingError("a part has no usable key", stage="map", field="split.key", code=fault.code) from None


def _part(item: Item, part: dict[str, Any], key: str) -> Item:
    held = item.held
    # Of several parts that failed, the stage of one says nothing of the others: each is written by the match rule again,
    # and the calls of one that is there already may have been made.
    mixed = held is not None and len(held.parts) != 1
    in_doubt = held is not None and mixed and (held.stage == "then" or len(held.parts) > 1)
    return Item(
        item.entity_id, part, None, b"", item.page, parent=item.source, part=key, held=None if mixed else held,
        follow=item.follow, in_doubt=item.in_doubt or in_doubt,
    )  # fmt: skip


def _repeated() -> MappingError:
    return MappingError("two parts have one key; is split.key complete?", stage="map", field="split.key", code="repeated_part")


def whole(work: Work, *, split: bool, repeat_safe: bool) -> Outcome:
    """Return what became of a record as a whole: it has failed when one of its parts has.

    Where more failed than can be kept, all would be tried again; so it is unknown where some were written and cannot be twice.
    """
    item = work.item
    if not split:
        outcome = work.parts[0].outcome if work.parts else work.outcome
        assert outcome is not None  # noqa: S101 - held ones are told apart before
        return as_known(outcome, item.held)
    bad = [part for part in work.parts if not isinstance(part.outcome, Kind)]
    item.parts, item.parts_failed = len(work.parts), len(bad)
    if work.outcome is not None:
        return as_known(work.outcome, item.held)
    if not bad:
        kinds = {part.outcome for part in work.parts}
        return next((kind for kind in _BEST_FIRST if kind in kinds), Kind.SKIPPED)
    told = copy.copy(min((part.outcome for part in bad if part.outcome is not None), key=_gravest_first))
    if len(bad) > PARTS_MAX and len(bad) < len(work.parts) and not repeat_safe:
        told = OutcomeUnknownError("too many parts failed to tell, later on, which were written", code="too_many_parts")
    if isinstance(told, (RecordError, TryAgainError)):
        told.parts = tuple(part.key for part in bad)
    one = item.held is not None and len(item.held.parts) == 1  # of several it is not known which was how far
    return as_known(told, item.held) if one else told


def as_known(error: Outcome, held: Held | None) -> Outcome:
    """Return what a rerun that has done nothing of a record is to note: what failed now, and what was known to be done before.

    Without it the next rerun would write parts, and make calls, a second time.
    """
    if held is None or isinstance(error, (Kind, OutcomeUnknownError)) or error.stage == THEN:
        return error
    made = copy.copy(error)
    made.parts = made.parts or held.parts
    if held.stage == THEN:
        made.stage, made.field = held.stage, held.field
    return made


def _gravest_first(outcome: Outcome) -> int:
    if isinstance(outcome, OutcomeUnknownError):
        return 0
    return 3 if isinstance(outcome, WaitingError) else 1 if isinstance(outcome, RecordError) else 2


def outcomes_of(works: Sequence[Work]) -> list[Outcome | None]:
    """Return what became of all parts, and of records that have none."""
    return [part.outcome for work in works for part in work.parts] + [work.outcome for work in works if not work.parts]


def not_busy(works: Sequence[Work]) -> int:
    """Return how much of these records is settled before anything is written, and says nothing of the destination."""
    return sum(one is not None and not isinstance(one, TryAgainError) for one in outcomes_of(works))
