"""What the platform does by itself: which flows have failures that are due again. Source: PRODUCT.md section 7, `rerun:`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Protocol

from integrator.authoring.checking import CheckedPipe
from integrator.authoring.library import find_pipe
from integrator.errors import ConfigError, IntegratorError, PipeFaultsError
from integrator.model.run import Due, FlowKey, Pulse

ACTOR = "upkeep"


class Journal(Protocol):
    """What the upkeep asks the journal."""

    def hopeful_flows(self) -> list[FlowKey]:
        """Return the flows with failures that may get better by themselves."""

    def count_due(self, key: FlowKey, due: Due) -> int:
        """Return how many of a flow's failures are to be tried again now."""

    def pulse(self, key: FlowKey) -> Pulse:
        """Return when a flow first and last moved records, and how many reruns an error ended since."""


@dataclass(frozen=True, slots=True)
class DueFlow:
    """A flow with failures that are due again."""

    key: FlowKey
    due: Due
    records: int
    pipe: CheckedPipe = field(repr=False)


@dataclass(slots=True)
class Found:
    """The flows that are due, and what kept others from being looked at."""

    flows: list[DueFlow] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def rule_of(pipe: CheckedPipe, flow: str) -> Due | None:
    """Return when a flow's failures are due, or None when it is not rerun by itself, or is no longer there."""
    spec = pipe.pipe.flows.get(flow) if pipe.pipe else None
    if spec is None or not spec.rerun.automatic:
        return None
    return Due(spec.rerun.attempts, spec.rerun.back_off.total_seconds())


def due_flows(journal: Journal, dags: Path, wanted: Iterable[FlowKey] | None = None, now: datetime | None = None) -> Found:
    """Return the flows that are due; a pipe is read only when the journal has hope for one of its failures.

    Args:
        journal: where failures are kept.
        dags: the folder of the projects.
        wanted: only these flows; None for all.
        now: this instant.

    Raises:
        ConfigError: there is no such folder.
    """
    if not dags.is_dir():
        raise ConfigError(f"no folder {dags}; say where the pipes are with --dags")
    found, now = Found(), now or datetime.now(UTC)
    hopeful = journal.hopeful_flows()
    if wanted is not None:
        chosen = set(wanted)
        hopeful = [key for key in hopeful if key in chosen]
    for (project, name), keys in groupby(hopeful, lambda key: (key.project, key.pipe)):
        try:
            pipe = find_pipe(dags, project, name)
        except PipeFaultsError as fault:
            found.problems.append(f"{project}/{name} is not rerun: {fault}")
            continue
        except ConfigError:
            continue  # the pipe is gone; what failed in it stays in the journal until retention takes it
        for key in keys:
            due = rule_of(pipe, key.flow)
            if due is None:
                continue
            try:
                records = journal.count_due(key, due)
                if records and not _stopped_just_now(journal.pulse(key), due, now):
                    found.flows.append(DueFlow(key, due, records, pipe))
            except IntegratorError as fault:
                found.problems.append(f"{project}/{name}, {key.flow}: {fault}")
    return found


def _stopped_just_now(pulse: Pulse, due: Due, now: datetime) -> bool:
    """Tell whether an error ended the flow's last reruns, which then count as no attempt of a record, and the wait is not over."""
    if pulse.rerun_stopped_at is None:
        return False
    return pulse.rerun_stopped_at + timedelta(seconds=due.wait_s(pulse.reruns_stopped)) > now
