"""Answers of a source, read leniently enough that one odd record does not cost its page, and refused in words."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec

from integrator.errors import SourceBrokenError
from integrator.mapping.projection import Reading
from integrator.wire.message import Answer

_DIGITS_MAX = 400


def refuse(name: str, status: int) -> None:
    """Pass when the status says that there is a list.

    Raises:
        SourceBrokenError: it does not.
    """
    if not 200 <= status < 300:
        said = (
            "not found: is the path right?"
            if status == 404
            else "is the credential allowed to read this?"
            if status == 403
            else "refused"
        )
        refused = SourceBrokenError(f"{name}: the list answers {status}; {said}")
        refused.http_status = status
        raise refused


def decode_json(answer: Answer, reading: Reading, name: str) -> Any:
    """Return what the answer holds, as far as it is read.

    Raises:
        SourceBrokenError: it is not JSON.
    """
    try:
        return reading.decode(answer.body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        pass
    try:
        # Some systems write half a surrogate pair in one record; the strict decoder would refuse the whole page for it.
        return json.loads(answer.body, parse_float=Decimal, parse_int=_integer, parse_constant=_Unusable)
    except (ValueError, RecursionError):
        kind = answer.headers.get("Content-Type", "no content type").split(";")[0].strip()[:60]
        raise SourceBrokenError(f"{name}: an answer ({answer.status}, {kind}) is not JSON, or is nested too deep") from None


class _Unusable:
    """Stands for what JSON cannot hold (NaN, a number of thousands of digits): the one record that has it cannot be mapped or written."""

    def __init__(self, written: str) -> None:
        del written


def _integer(written: str) -> Any:
    return int(written) if len(written) <= _DIGITS_MAX else _Unusable(written)
