"""What may be kept of an error: its class and a few plain facts, never its text."""

from __future__ import annotations

from integrator.errors import OutcomeUnknownError, RecordError, TryAgainError, WaitingError
from integrator.model.run import Failure, Kind


def failure_of(entity_id: str, error: Exception) -> Failure:
    """Return a record's failure."""
    if isinstance(error, RecordError):
        kind = Kind.UNKNOWN if isinstance(error, OutcomeUnknownError) else Kind.FAILED
        kind = Kind.WAITING if isinstance(error, WaitingError) else kind
        return Failure(
            entity_id, error.stage, type(error).__name__, error.http_status, error.code, error.field, kind, error.parts
        )
    if isinstance(error, TryAgainError):
        return Failure(
            entity_id, error.stage, type(error).__name__, error.http_status, error.code, error.field, parts=error.parts
        )
    return Failure(entity_id, "load", type(error).__name__, getattr(error, "http_status", None))
