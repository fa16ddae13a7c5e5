"""From one kind of value to another, exactly: no binary fractions, no silent guesses.

Each raises MisfitError when the value does not fit; the message names kinds, never the value.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import lru_cache
from zoneinfo import ZoneInfo

TEXT_MAX = 1_000_000  # characters a function may make
DIGITS_MAX = 400  # digits of a number
_STEPS = tuple(Decimal(1).scaleb(-digits) for digits in range(31))
_WIDE = Context(prec=DIGITS_MAX + 40)
_NUMBER = re.compile(r"^\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?\s*$", re.ASCII)
_EASY_NUMBER = re.compile(r"[-+]?\d{1,60}(\.\d{1,60})?\Z", re.ASCII)
_TRUE, _FALSE = {"true", "1", "yes", "y", "on"}, {"false", "0", "no", "n", "off", ""}


class Moment(datetime):
    """An instant that is written, unless an expression says otherwise, in the form in which its system writes it."""

    form: str

    @classmethod
    def of(cls, instant: datetime, form: str) -> Moment:
        """Make it from an aware instant, in the zone that it is to be written in."""
        made = cls.fromtimestamp(instant.timestamp(), instant.tzinfo)
        made.form = form
        return made

    def written(self) -> str:
        """Return it as its system writes it."""
        return self.isoformat().replace("+00:00", "Z") if self.form == "iso" else self.strftime(self.form)


class MisfitError(ValueError):
    """A value does not fit; becomes a MappingError with the field's path."""


class EmptyValueError(MisfitError):
    """A value that must stand for something is null or empty."""


def kind(value: object) -> str:
    """Return how a person calls this kind of value."""
    names = {str: "text", bool: "a boolean", int: "a number", Decimal: "a number", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), "a time" if isinstance(value, (date, time)) else "a value")


def text(value: object, form: str | None = None) -> str | None:
    """Return the value as text; times by an optional strftime format."""
    if value is None or type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    if isinstance(value, Decimal):
        if abs(value.adjusted()) > DIGITS_MAX:
            raise MisfitError(f"a number has at most {DIGITS_MAX} digits")
        return format(value, "f")
    if isinstance(value, Moment) and form is None:
        return value.written()
    if isinstance(value, datetime):
        return value.strftime(form) if form else value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.strftime(form) if form else value.isoformat()
    raise MisfitError(f"{kind(value)} cannot become text")


def text_or_none(value: object) -> str | None:
    """Return the value as text, None where it has no plain one."""
    try:
        return text(value)
    except MisfitError:
        return None


def number(value: object) -> Decimal | int | None:
    """Return a number from a number or a text of digits."""
    if value is None or type(value) is int:
        return value
    if isinstance(value, Decimal):
        return value
    if type(value) is str and _EASY_NUMBER.match(value):
        return Decimal(value)
    if type(value) is str and _NUMBER.match(value):
        made = Decimal(value.strip())
        if abs(made.adjusted()) > DIGITS_MAX or len(value) > DIGITS_MAX:
            raise MisfitError(f"a number has at most {DIGITS_MAX} digits")
        return made
    raise MisfitError(f"{'this text' if type(value) is str else kind(value)} is not a number")


def decimal(value: object, digits: int | None = None) -> Decimal | None:
    """Return a decimal number, rounded half up to so many digits after the point; it keeps trailing zeros."""
    made = number(value)
    if made is None:
        return None
    made = made if isinstance(made, Decimal) else Decimal(made)
    if digits is None:
        return made
    if type(digits) is not int or not 0 <= digits <= 30:
        raise MisfitError("digits is a whole number from 0 to 30")
    try:
        return made.quantize(_STEPS[digits], ROUND_HALF_UP, _WIDE)
    except InvalidOperation:
        raise MisfitError("the number is too large") from None


def integer(value: object) -> int | None:
    """Return a whole number; 3.0 is one, 3.5 is not (round it first)."""
    if type(value) is int:
        return value
    made = number(value)
    if made is None:
        return None
    if abs(made.adjusted() if isinstance(made, Decimal) else 0) > DIGITS_MAX or made != int(made):
        raise MisfitError("not a whole number; round(x, 0) makes one")
    return int(made)


def boolean(value: object) -> bool | None:
    """Return true or false from a boolean, 1 or 0, or the usual words."""
    if value is None or type(value) is bool:
        return value
    word = value.strip().lower() if type(value) is str else str(value) if type(value) is int else None
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise MisfitError(f"{'this text' if type(value) is str else kind(value)} is neither true nor false")


def money(value: object, digits: int = 2) -> Decimal | None:
    """Return an amount given in minor units (cents) in major ones: 1999 becomes 19.99."""
    made = integer(value)
    return None if made is None else decimal(Decimal(made).scaleb(-digits), digits)


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise MisfitError(f"no time zone {name!r}; names look like Europe/Berlin or UTC") from None


def as_datetime(value: object, form: str = "iso", zone_name: str = "UTC") -> datetime | None:
    """Return an aware instant; a stamp that names no zone is read in the given one."""
    if value is None or value == "":
        return None
    made = value if isinstance(value, datetime) else _read_time(value, form)
    return made.replace(tzinfo=zone(zone_name)) if made.tzinfo is None else made


def _read_time(value: object, form: str) -> datetime:
    try:
        if form in ("epoch", "epoch_ms"):
            seconds = number(value)
            if seconds is None:
                raise MisfitError("null is no time")
            return datetime.fromtimestamp(float(seconds) / (1000 if form == "epoch_ms" else 1), UTC)
        if isinstance(value, date):
            return datetime.combine(value, time())
        if type(value) is not str:
            raise MisfitError(f"{kind(value)} is no time")
        return datetime.fromisoformat(value.strip()) if form == "iso" else datetime.strptime(value, form)  # noqa: DTZ007 - as_datetime gives it its zone
    except (ValueError, OverflowError, OSError):
        raise MisfitError(f"not a time of the form {form}") from None


def as_date(value: object, form: str = "iso") -> date | None:
    """Return a calendar date."""
    made = as_datetime(value, form)
    return None if made is None else made.date()


def short(made: str) -> str:
    """Return the text if it is not too long to carry."""
    if len(made) > TEXT_MAX:
        raise MisfitError(f"the text would have more than {TEXT_MAX:,} characters")
    return made
