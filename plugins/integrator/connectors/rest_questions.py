"""Questions about one record, and what an answer says was found."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from integrator.connectors.entity import Steps
from integrator.errors import RecordRefusedError
from integrator.paging.pager import dig
from integrator.wire.message import Answer

ACCEPT = {"Accept": "application/json"}
exact = msgspec.json.Decoder(float_hook=Decimal)


def candidates(answer: Answer, records: Steps, stage: str) -> list[dict[str, Any]]:
    """Return the records that an answer holds; empty when it says that there is none.

    Args:
        answer: to a question about one record.
        records: where the list stands; empty: the answer is the record or the list.
        stage: what it was asked for, for the errors.

    Raises:
        RecordRefusedError: the question is refused, or its answer cannot be read.
    """
    status = answer.status
    if status in (404, 410, 204):
        return []
    if not 200 <= status < 300:
        raise RecordRefusedError("the question for a record is refused", stage=stage, http_status=status)
    if not answer.body.strip():
        return []
    try:
        made = exact.decode(answer.body)
    except (msgspec.MsgspecError, RecursionError):
        raise RecordRefusedError("the answer is not JSON", stage=stage, http_status=status, code="not_json") from None
    if records:
        made = dig(made, records)
    if isinstance(made, dict):
        made = [made] if made else []
    if made is None:
        return []
    if not isinstance(made, list) or not all(isinstance(one, dict) for one in made):
        code = "match_shape" if stage == "load" else "answer_shape"
        raise RecordRefusedError("no records where the pipe says they stand in the answer", stage=stage, code=code)
    return made
