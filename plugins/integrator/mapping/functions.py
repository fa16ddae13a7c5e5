"""The functions an expression may call. One table: docs/reference/expressions.md is made from it.

Null goes through: a function of null is null, except `default`, `coalesce`, `length`, `join` and `boolean` tests.
"""

from __future__ import annotations

import base64 as _base64
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as sre_parser  # type: ignore[attr-defined]
from typing import Any

from integrator.mapping import casts
from integrator.mapping.casts import MisfitError

PATTERN_INPUT_MAX = 10_000  # characters that `matches` looks at
_UUID5 = uuid.UUID("6f1d1c1e-5a0e-5b0a-9d0e-1f6c6a4d9b11")
_MANY = (sre.MAX_REPEAT, sre.MIN_REPEAT)


@dataclass(frozen=True, slots=True)
class Function:
    """What the language knows of a function.

    `literal` are places of arguments that must be written out; `check` looks at written-out arguments at check time.
    """

    call: Callable[..., Any]
    least: int
    most: int
    meaning: str
    literal: tuple[int, ...] = ()
    check: Callable[[Sequence[Any]], None] | None = None

    def takes(self) -> str:
        """Return how many arguments it takes, in words."""
        if self.most >= 100:
            return f"{self.least} or more arguments"
        numbers = f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"
        return f"{numbers} argument{'s' if self.most != 1 else ''}"


def _text_only(value: object, name: str) -> str | None:
    if value is None or type(value) is str:
        return value
    raise MisfitError(f"{name}() takes text, not {casts.kind(value)}; text(x) makes it")


def _items(value: object, name: str) -> list[Any]:
    if value is None:
        return []
    if type(value) is list:
        return value
    raise MisfitError(f"{name}() takes a list, not {casts.kind(value)}")


def lower(value: object) -> str | None:
    made = _text_only(value, "lower")
    return None if made is None else made.lower()


def upper(value: object) -> str | None:
    made = _text_only(value, "upper")
    return None if made is None else casts.short(made.upper())


def strip(value: object, characters: str | None = None) -> str | None:
    made = _text_only(value, "strip")
    return None if made is None else made.strip(characters)


def join(value: object, between: str = "") -> str:
    parts = [one if type(one) is str else casts.text(one) or "" for one in _items(value, "join") if one is not None]
    if sum(map(len, parts)) + len(between) * len(parts) > casts.TEXT_MAX:
        raise MisfitError(f"the text would have more than {casts.TEXT_MAX:,} characters")
    return between.join(parts)


def split(value: object, at: str) -> list[str] | None:
    made = _text_only(value, "split")
    if not at:
        raise MisfitError("split() needs a text to split at")
    return None if made is None else made.split(at)


def replace(value: object, old: str, new: str) -> str | None:
    made = _text_only(value, "replace")
    if made is None:
        return None
    if not old:
        raise MisfitError("replace() needs a text to replace")
    if len(new) > len(old) and len(made) + made.count(old) * (len(new) - len(old)) > casts.TEXT_MAX:
        raise MisfitError(f"the text would have more than {casts.TEXT_MAX:,} characters")
    return made.replace(old, new)


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


def _check_pattern(arguments: Sequence[Any]) -> None:
    """Refuse a pattern that cannot be read, or whose time could explode on a hostile text."""
    if len(arguments) < 2 or not isinstance(arguments[1], str):
        return
    if len(arguments[1]) > 500:
        raise ValueError("matches(): a pattern has at most 500 characters")
    try:
        tree = sre_parser.parse(arguments[1])
    except re.error as fault:
        raise ValueError(f"matches(): not a pattern: {fault.msg}") from None
    if _nested(tree, inside=False):
        raise ValueError(
            "matches(): a repeat or a choice inside a repeat, such as (a+)+ or (a|b)*, can take for ever; write it with one repeat or [ab]*"
        )


def _nested(tree: Any, *, inside: bool) -> bool:
    for op, value in tree:
        many = op in _MANY and value[1] > 20
        if (many or op is sre.BRANCH) and inside:
            return True
        for part in value if isinstance(value, (tuple, list)) else (value,):
            for one in part if isinstance(part, list) else (part,):
                if isinstance(one, sre_parser.SubPattern) and _nested(one, inside=inside or many):
                    return True
    return False


def matches(value: object, pattern: str) -> bool:
    made = _text_only(value, "matches")
    if made is not None and len(made) > PATTERN_INPUT_MAX:
        raise MisfitError(f"matches() looks at texts up to {PATTERN_INPUT_MAX:,} characters")
    return made is not None and _pattern(pattern).search(made) is not None


def default(value: object, otherwise: object) -> object:
    return otherwise if value is None else value


def coalesce(*values: object) -> object:
    return next((v for v in values if v is not None and v != ""), None)


def length(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, (str, list, dict)):
        return len(value)
    raise MisfitError(f"length() takes text, a list or an object, not {casts.kind(value)}")


def first(value: object) -> object:
    return next(iter(_items(value, "first")), None)


def last(value: object) -> object:
    return next(reversed(_items(value, "last")), None)


def total(value: object, member: str | None = None) -> Decimal | int:
    result: Decimal | int = 0
    for one in _items(value, "sum"):
        amount = casts.number(one.get(member) if member and type(one) is dict else one)
        result = result if amount is None else result + amount
    return result


def _pick(name: str, choose: Callable[[Any], Any]) -> Callable[..., Any]:
    def pick(*values: object) -> Any:
        given = _items(values[0], name) if len(values) == 1 else values
        known = [v for v in given if v is not None]
        try:
            return choose(known) if known else None
        except TypeError:
            raise MisfitError(f"{name}() compares values of one kind") from None

    return pick


def round_(value: object, digits: int = 0) -> Decimal | int | None:
    made = casts.decimal(value, digits)
    return int(made) if made is not None and digits == 0 else made


def uuid5(*parts: object) -> str:
    return str(uuid.uuid5(_UUID5, "\x1f".join(casts.text(p) or "" for p in parts)))


def base64(value: object) -> str | None:
    made = casts.text(value)
    return None if made is None else _base64.b64encode(made.encode()).decode()


def odata(value: object) -> str:
    """Quote for an OData filter, so that no value can change the filter's shape."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal, date)):
        made = value.astimezone(UTC) if isinstance(value, datetime) else value
        return casts.text(made) or ""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    raise MisfitError(f"{casts.kind(value)} cannot stand in a filter")


def _placed(*_arguments: object) -> object:
    """Stand for a function that `generate.py` writes out itself."""
    raise MisfitError("not a function of its own")


def _check_zone(place: int) -> Callable[[Sequence[Any]], None]:
    def check(arguments: Sequence[Any]) -> None:
        if len(arguments) > place and isinstance(arguments[place], str):
            casts.zone(arguments[place])

    return check


FUNCTIONS: dict[str, Function] = {
    "text": Function(casts.text, 1, 2, "as text; a time by a strftime format"),
    "integer": Function(casts.integer, 1, 1, "as a whole number"),
    "decimal": Function(casts.decimal, 1, 2, "as a decimal number, rounded half up to so many digits"),
    "number": Function(casts.number, 1, 1, "as a number, digits kept"),
    "boolean": Function(casts.boolean, 1, 1, "as true or false"),
    "date": Function(casts.as_date, 1, 2, "as a date, read by a strptime format"),
    "datetime": Function(
        casts.as_datetime,
        1,
        3,
        "as an instant, read by a strptime format, iso, epoch or epoch_ms, in a zone",
        check=_check_zone(2),
    ),
    "money": Function(casts.money, 1, 2, "minor units to major ones: 1999 is 19.99"),
    "lower": Function(lower, 1, 1, "in lower case"),
    "upper": Function(upper, 1, 1, "in upper case"),
    "strip": Function(strip, 1, 2, "without spaces, or these characters, at both ends"),
    "join": Function(join, 1, 2, "a list as one text, nulls left out"),
    "split": Function(split, 2, 2, "a text as a list"),
    "replace": Function(replace, 3, 3, "with one text in place of another"),
    "matches": Function(matches, 2, 2, "whether a pattern is found in the text", literal=(1,), check=_check_pattern),
    "default": Function(default, 2, 2, "the value, or the other when it is null"),
    "coalesce": Function(coalesce, 1, 100, "the first that is neither null nor empty"),
    "length": Function(length, 1, 1, "how many characters, items or members; 0 for null"),
    "first": Function(first, 1, 1, "the first item"),
    "last": Function(last, 1, 1, "the last item"),
    "sum": Function(total, 1, 2, "the items, or a member of each, added", literal=(1,)),
    "min": Function(_pick("min", min), 1, 100, "the smallest"),
    "max": Function(_pick("max", max), 1, 100, "the largest"),
    "round": Function(round_, 1, 2, "rounded half up"),
    "now": Function(_placed, 0, 0, "the instant at which the run began"),
    "uuid5": Function(uuid5, 1, 100, "always the same UUID for the same parts"),
    "base64": Function(base64, 1, 1, "in base64"),
    "odata": Function(odata, 1, 1, "quoted for an OData filter"),
    "table": Function(_placed, 2, 3, "looked up in a table of the pipe, or the third argument", literal=(0,)),
}
BUILT_IN = frozenset(FUNCTIONS)
"""The language's own functions; deployed ones join the table beside them."""
