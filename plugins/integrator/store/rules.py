"""What the journal and its twin in memory must decide alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from integrator.errors import ConfigError, StopRunError, TakenOverError
from integrator.model.run import (
    PARTS_MAX,
    Counts,
    Failure,
    FlowKey,
    Kind,
    Selection,
    State,
    Status,
    Trigger,
)

LEASE_S = 600.0
"""Seconds for which a rerun keeps what it has taken after its last sign of life."""
CHUNK = 400
"""Most IDs in one statement: with its other parameters it stays below 500."""
UNKNOWN = "OutcomeUnknownError"
TAKEN_OVER = "TakenOverError"
WAITING = "WaitingError"
WAITED = frozenset({WAITING, "WaitedTooLongError"})
"""Errors of records that wait, or have waited too long."""
SYNTHETIC = "?"
"""How an entity ID begins that we had to make up: such a record cannot be fetched."""
BESIDE = frozenset({Trigger.RERUN})
"""Triggers whose flow runs may move records while another one of the same flow does."""
REGULAR = frozenset({Trigger.SCHEDULE, Trigger.MANUAL})
"""Triggers of runs that read what is new."""
GOOD = frozenset({Status.SUCCESS, Status.PARTIAL})
"""How a flow run ends that moved what it read, but for what its flow tolerates."""
SETTLED = frozenset({State.RESOLVED, State.GONE})
"""States that a success does not change any more."""


@dataclass(frozen=True, slots=True)
class Underway:
    """A flow run that is moving records now."""

    flow_run_id: str
    run_id: str
    key: FlowKey
    trigger: Trigger


def utc_now() -> datetime:
    """Return the present instant, aware UTC."""
    return datetime.now(UTC)


def lease_limit(now: datetime) -> datetime:
    """Return the instant before which a last sign of life no longer holds a lease."""
    return now - timedelta(seconds=LEASE_S)


def taken_over(flow_run_id: str) -> TakenOverError:
    """Return what a flow run is told that is no longer this owner's."""
    return TakenOverError(f"flow run {flow_run_id} has ended or belongs to another attempt now; this one writes nothing more")


def already_moving(key: FlowKey, run_id: str, started_at: datetime) -> ConfigError:
    """Return what a second run of a flow is told while the first one lives."""
    return ConfigError(
        f"{key.project}.{key.pipe}, flow {key.flow}, is already moving records (run {run_id}, started "
        f"{started_at:%Y-%m-%d %H:%M:%S} UTC); wait for it to end, or stop it first"
    )


def check_sum(flow_run_id: str, counts: Counts) -> None:
    """Pass when every record that was read has one outcome.

    Raises:
        StopRunError: the numbers do not add up. Source: PRODUCT.md P6.
    """
    if not counts.adds_up():
        raise StopRunError(
            f"the numbers of flow run {flow_run_id} do not add up: {counts.read} records read, "
            f"{sum(getattr(counts, kind.value) for kind in Kind)} outcomes; it stays open, please report this"
        )


def no_selection(selection_id: str) -> ConfigError:
    """Return what a rerun is told whose selection is not there."""
    return ConfigError(f"there is no selection {selection_id}; it may have been removed, so select the failures again")


def error_of(failure: Failure) -> str:
    """Return the class name under which a failure is kept."""
    return UNKNOWN if failure.kind is Kind.UNKNOWN else failure.error


def state_of(failure: Failure) -> State:
    """Return the state in which a failure is kept."""
    return State.WAITING if failure.kind is Kind.WAITING else State.OPEN


def parts_of(failure: Failure) -> tuple[str, ...]:
    """Return the keys of failed parts that are kept; none where the whole record is tried again."""
    return failure.parts if len(failure.parts) <= PARTS_MAX else ()


def released_state(error: str) -> State:
    """Return the state of a failure that was taken and given back."""
    return State.WAITING if error == WAITING else State.OPEN


def folded(failures: Iterable[Failure]) -> dict[str, tuple[Failure, int]]:
    """Return the last failure of each entity ID and how often it failed, by entity ID."""
    by_id: dict[str, tuple[Failure, int]] = {}
    for failure in failures:
        _, times = by_id.get(failure.entity_id, (failure, 0))
        by_id[failure.entity_id] = (failure, times + 1)
    return by_id


def takes_unknown(selection: Selection, *, repeatable: bool) -> bool:
    """Tell whether a rerun may send again what may have arrived already. Source: engine/ports.py, claim."""
    return repeatable or selection.entity_ids is not None or selection.error == UNKNOWN


def chunks(entity_ids: Iterable[str]) -> Iterator[Sequence[str]]:
    """Yield the IDs, each once, in the order given, CHUNK at a time."""
    each = list(dict.fromkeys(entity_ids))
    for start in range(0, len(each), CHUNK):
        yield each[start : start + CHUNK]
