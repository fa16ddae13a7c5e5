"""How a flow run ends: its status by what the flow tolerates, and the error that may leave it."""

from __future__ import annotations

import traceback
from pathlib import Path

from integrator.errors import IntegratorError, LaterError, StopRunError, TryAgainError
from integrator.model.run import Counts, Status


def ours(fault: BaseException) -> BaseException:
    """Return the error to raise: a foreign one could hold a record in its text, so only its kind and place go on."""
    if isinstance(fault, IntegratorError) or not isinstance(fault, Exception):
        return fault
    last = traceback.extract_tb(fault.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    return StopRunError(f"an error inside Integrator ({type(fault).__name__} at {place}); this is a bug, please report it")


def judge(counts: Counts, tolerate: float) -> Status:
    """Return a finished flow run's status. Source: PRODUCT.md section 7, tolerate."""
    bad = counts.failed + counts.unknown
    if not bad:
        return Status.SUCCESS
    most = tolerate if isinstance(tolerate, int) else tolerate * (counts.read - counts.skipped)
    return Status.PARTIAL if bad <= most else Status.FAILED


def comes_again(fault: BaseException, *, last_try: bool, later_s: float) -> bool:
    """Tell whether somebody will take up the flow run that ends like this, so that it is to stay unfinished."""
    if isinstance(fault, LaterError) and later_s:
        return fault.after_s <= later_s
    return isinstance(fault, TryAgainError) and not last_try
