"""Failures and the leases of reruns, in memory; the twin of `store.failures`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from integrator.model.record import Held
from integrator.model.run import (
    Due,
    Failure,
    FailureRow,
    FlowKey,
    Selection,
    Stage,
    State,
    Trigger,
)
from integrator.store.hope import is_due, may_get_better
from integrator.store.memory_rows import FlowRun, Kept
from integrator.store.rules import (
    SETTLED,
    SYNTHETIC,
    UNKNOWN,
    WAITED,
    WAITING,
    Underway,
    error_of,
    folded,
    lease_limit,
    parts_of,
    released_state,
    state_of,
    takes_unknown,
)


class MemoryFailures:
    """One entry per flow and entity.

    Args:
        flow_runs: the journal's flow runs, whose signs of life hold the leases.
    """

    def __init__(self, flow_runs: Mapping[str, FlowRun]) -> None:
        self._flow_runs = flow_runs
        self._kept: dict[tuple[FlowKey, str], Kept] = {}

    def _leased(self, one: Kept, now: datetime) -> bool:
        holder = self._flow_runs.get(one.lease_flow_run_id or "")
        return one.row.state is State.RETRYING and holder is not None and holder.heartbeat_at > lease_limit(now)

    def note(self, underway: Underway, noted: Iterable[Failure], now: datetime) -> None:
        """Keep failures: a new entry each, or one more attempt in the one that is there."""
        by_id = folded(noted)
        for entity_id in sorted(by_id):
            failure, times = by_id[entity_id]
            one = self._kept.get((underway.key, entity_id))
            if one is None:
                row = FailureRow(
                    entity_id, underway.key.flow, str(failure.stage), error_of(failure), failure.http_status,
                    failure.code, failure.field, times, state_of(failure), underway.run_id, now, now, parts=parts_of(failure),
                )  # fmt: skip
                self._kept[underway.key, entity_id] = Kept(
                    len(self._kept) + 1, underway.key, row, underway.run_id, underway.flow_run_id
                )
            elif not self._resolved_meanwhile(one, underway):
                self._note_again(one, underway, failure, times, now)

    @staticmethod
    def _resolved_meanwhile(one: Kept, underway: Underway) -> bool:
        resolved = one.row.state is State.RESOLVED and one.row.resolved_run_id != underway.run_id
        return resolved and underway.trigger is Trigger.RERUN

    def _note_again(self, one: Kept, underway: Underway, failure: Failure, times: int, now: datetime) -> None:
        kept = self._leased(one, now) and one.lease_flow_run_id != underway.flow_run_id
        one.flow_run_id = underway.flow_run_id
        one.lease_flow_run_id = one.lease_flow_run_id if kept else None
        one.row = replace(
            one.row,
            stage=str(failure.stage),
            error=error_of(failure),
            http_status=failure.http_status,
            code=failure.code,
            field=failure.field,
            parts=parts_of(failure),
            first_failed_at=now if one.row.state in SETTLED else one.row.first_failed_at,
            attempts=one.row.attempts + times,
            state=State.RETRYING if kept else state_of(failure),
            run_id=underway.run_id,
            last_failed_at=now,
            resolved_run_id=None,
        )

    def settle(self, underway: Underway, entity_ids: Iterable[str], state: State) -> None:
        """Note that these entities are in step again, or gone."""
        for entity_id in entity_ids:
            one = self._kept.get((underway.key, entity_id))
            if one is not None and one.row.state not in SETTLED:
                resolved_by = underway.run_id if state is State.RESOLVED else one.row.resolved_run_id
                one.row, one.lease_flow_run_id = replace(one.row, state=state, resolved_run_id=resolved_by), None

    def unresolved_ids(self, key: FlowKey) -> set[str]:
        """Return the IDs that a success would resolve."""
        return {one.row.entity_id for one in self._of(key) if one.row.state not in SETTLED}

    def overdue(self, key: FlowKey, before: datetime) -> frozenset[str]:
        """Return the IDs of unresolved failures that have waited since before this time."""
        rows = [one.row for one in self._of(key) if one.row.state not in SETTLED and one.row.error in WAITED]
        return frozenset(row.entity_id for row in rows if row.first_failed_at < before)

    def _of(self, key: FlowKey) -> list[Kept]:
        return [one for one in self._kept.values() if one.key == key]

    def claim(self, underway: Underway, selection: Selection, limit: int, now: datetime, *, repeatable: bool) -> list[str]:
        """Take up to `limit` failures for this rerun. Source: engine/ports.py."""
        found = self._of(underway.key)
        abandoned = [one for one in found if one.row.state is State.RETRYING and not self._leased(one, now)]
        if not repeatable:
            for one in abandoned:
                follows = one.row.stage == Stage.THEN  # the write was done, and calls before the one in its field
                stage, place = (one.row.stage, one.row.field) if follows else (Stage.LOAD.value, None)
                doubt = replace(one.row, state=State.OPEN, stage=stage, field=place, error=UNKNOWN)
                one.row = replace(doubt, http_status=None, code=None, run_id=underway.run_id)
                one.lease_flow_run_id, one.flow_run_id = None, underway.flow_run_id
        free = [
            one
            for one in found
            if (
                one.row.state in _takeable(selection)
                or (repeatable and any(one is left for left in abandoned) and (not selection.waiting or one.row.error == WAITING))
            )
            and self._is_wanted(one, underway, selection)
            and (selection.due is None or is_due(one.row, selection.due, now))
            and (one.row.error != UNKNOWN or takes_unknown(selection, repeatable=repeatable))
        ]
        if selection.entity_ids is not None:
            free = self._as_selected(free, selection.entity_ids)
        for one in free[:limit]:
            one.row, one.lease_flow_run_id = replace(one.row, state=State.RETRYING), underway.flow_run_id
            self._flow_runs[underway.flow_run_id].claimed_up_to = one.number
        return [one.row.entity_id for one in free[:limit]]

    def hopeful_flows(self, now: datetime) -> list[FlowKey]:
        """Return the flows with failures that may get better, in order of their names."""
        rows = [(one.key, one.row) for one in self._kept.values() if self._is_free(one, now)]
        keys = {key for key, row in rows if may_get_better(row.error, row.http_status, row.stage)}
        return sorted(keys, key=lambda key: (key.project, key.pipe, key.flow))

    def count_due(self, key: FlowKey, due: Due, now: datetime) -> int:
        """Return how many of a flow's failures are to be tried again now."""
        rows = [one.row for one in self._of(key) if self._is_free(one, now)]
        return sum(is_due(row, due, now) for row in rows if not row.entity_id.startswith(SYNTHETIC))

    def _is_free(self, one: Kept, now: datetime) -> bool:
        return one.row.state is State.OPEN or (one.row.state is State.RETRYING and not self._leased(one, now))

    @staticmethod
    def _as_selected(free: list[Kept], entity_ids: Iterable[str]) -> list[Kept]:
        wanted = set(entity_ids)
        return [one for one in free if one.row.entity_id in wanted]

    def _is_wanted(self, one: Kept, underway: Underway, selection: Selection) -> bool:
        mine = underway.flow_run_id
        return (
            one.flow_run_id != mine
            and one.number > self._flow_runs[mine].claimed_up_to
            and not one.row.entity_id.startswith(SYNTHETIC)
            and selection.run_id in (None, one.row.run_id, one.first_run_id)
            and selection.error in (None, one.row.error)
        )

    def take_up(self, flow_run_id: str) -> None:
        """End the leases of a flow run whose former owner is dead, so that its new one may take them again."""
        self.end_leases(flow_run_id)
        self._flow_runs[flow_run_id].claimed_up_to = 0

    def end_leases(self, flow_run_id: str) -> None:
        """Let others take at once what a flow run had taken whose process is surely gone."""
        for one in self._held_by(flow_run_id):
            one.lease_flow_run_id = None

    def release(self, flow_run_id: str) -> None:
        """Give back what a flow run that ends in order has taken and not settled."""
        for one in self._held_by(flow_run_id):
            one.row, one.lease_flow_run_id = replace(one.row, state=released_state(one.row.error)), None

    def still_claimed(self, flow_run_id: str, entity_ids: Iterable[str]) -> dict[str, Held]:
        """Return what is known of those of these IDs whose failure this run holds and nobody has settled meanwhile."""
        wanted, rows = set(entity_ids), [one.row for one in self._held_by(flow_run_id)]
        return {row.entity_id: Held(row.stage, row.field, row.parts) for row in rows if row.entity_id in wanted}

    def _held_by(self, flow_run_id: str) -> list[Kept]:
        kept = self._kept.values()
        return [one for one in kept if one.row.state is State.RETRYING and one.lease_flow_run_id == flow_run_id]

    def rows(self, project: str, pipe: str, flow: str | None, states: Sequence[State]) -> list[FailureRow]:
        """Return a pipe's failures in these states, in the order in which their entities first failed."""
        return [
            one.row
            for one in self._kept.values()
            if (one.key.project, one.key.pipe) == (project, pipe) and flow in (None, one.key.flow) and one.row.state in states
        ]


def _takeable(selection: Selection) -> tuple[State, ...]:
    """Return the states from which the selection takes."""
    if selection.waiting:
        return (State.WAITING,)
    return (State.OPEN, State.WAITING) if selection.entity_ids is not None else (State.OPEN,)
