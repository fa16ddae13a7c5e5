"""What pipes expect of their flows, and what has not happened: silence is an alert too. Source: PRODUCT.md section 7, `expect:`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from integrator.authoring.checking import CheckedPipe
from integrator.authoring.library import check_all, names_in, pipe_files
from integrator.errors import ConfigError
from integrator.model.run import FlowKey, Pulse
from integrator.model.upkeep import Between, Expect
from integrator.registry import near

WORD = b"expect"


class Journal(Protocol):
    """What expectations ask the journal."""

    def pulse(self, key: FlowKey) -> Pulse:
        """Return when a flow first and last moved records."""


@dataclass(frozen=True, slots=True)
class Unmet:
    """An expectation that is not met, in words."""

    key: FlowKey
    kind: str  # success_every or records
    said: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.key.project}/{self.key.pipe}, {self.key.flow}: {self.said}"


@dataclass(slots=True)
class Looked:
    """What was looked at: how many expectations, which are not met, and what kept pipes from being looked at."""

    flows: int = 0
    unmet: list[Unmet] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def look(journal: Journal, dags: Path, wanted: tuple[str, str | None] | None = None, now: datetime | None = None) -> Looked:
    """Look at every expectation of the pipes in a folder; pipes whose file pauses them are left out.

    Args:
        journal: where runs are kept.
        dags: the folder of the projects.
        wanted: project and pipe, or project and None for all of its pipes.
        now: this instant.

    Raises:
        ConfigError: there is no such folder, project or pipe.
    """
    looked, now = Looked(), now or datetime.now(UTC)
    if wanted is not None and dags.is_dir():
        _must_be_there(dags, *wanted)
    files = [file for file in pipe_files(dags) if _speaks_of_it(file)] if dags.is_dir() else None
    for pipe in check_all(dags, files):
        if wanted is not None and (pipe.project != wanted[0] or wanted[1] not in (None, pipe.name)):
            continue
        if pipe.faults or pipe.pipe is None:
            looked.problems.append(
                f"{pipe.project}/{pipe.name} has faults, so nothing is expected of it; integrator check lists them"
            )
            continue
        if not pipe.pipe.paused:
            _of_pipe(journal, pipe, looked, now)
    return looked


def _speaks_of_it(file: Path) -> bool:
    try:
        return WORD in file.read_bytes()
    except OSError:
        return True  # checking it tells


def _must_be_there(dags: Path, project: str, pipe: str | None) -> None:
    """Pass when there is such a project, and such a pipe in it: what is not there meets every expectation."""
    names = names_in(project, dags)
    if pipe is None and not any(names):
        raise ConfigError(f"no pipe in a project {project!r} of {dags}")
    if pipe is not None and pipe not in names:
        raise ConfigError(f"no pipe {pipe!r} in project {project!r}" + (f"; {near(pipe, names)}" if any(names) else ""))


def _of_pipe(journal: Journal, pipe: CheckedPipe, looked: Looked, now: datetime) -> None:
    assert pipe.pipe is not None  # noqa: S101 - the caller has looked
    for name, flow in pipe.pipe.flows.items():
        if flow.expect.success_every is None and flow.expect.records is None:
            continue
        looked.flows += 1
        key = FlowKey(pipe.project, pipe.name, name)
        deployed = datetime.fromtimestamp(pipe.file.stat().st_mtime, UTC)
        looked.unmet += unmet(key, flow.expect, journal.pulse(key), deployed, now)


def unmet(key: FlowKey, expect: Expect, pulse: Pulse, deployed: datetime, now: datetime) -> Iterable[Unmet]:
    """Yield what is expected of a flow and has not happened.

    Args:
        key: the flow.
        expect: what its pipe says.
        pulse: when it moved records.
        deployed: when its file was last changed, from when on a flow that never ran is silent.
        now: this instant.
    """
    if expect.success_every is not None:
        since = pulse.last_good_at or pulse.first_started_at or deployed
        if now - since > expect.success_every:
            yield Unmet(
                key, "success_every", f"{_silence(pulse, now - since)}; one is expected every {_span(expect.success_every)}"
            )
    if expect.records is not None and pulse.last_read is not None:
        yield from _records(key, expect.records, pulse.last_read)


def _records(key: FlowKey, expected: int | Between, read: int) -> Iterator[Unmet]:
    between = Between(at_least=expected) if isinstance(expected, int) else expected
    if read < between.at_least:
        yield Unmet(key, "records", f"the last run read {read:,} records, and at least {between.at_least:,} are expected")
    if between.at_most is not None and read > between.at_most:
        yield Unmet(key, "records", f"the last run read {read:,} records, and at most {between.at_most:,} are expected")


def _silence(pulse: Pulse, span: timedelta) -> str:
    if pulse.last_good_at is not None:
        return f"no run has ended well for {_span(span)}"
    return (
        f"no run has ever ended well, since {_span(span)}" if pulse.first_started_at else f"it has never run, since {_span(span)}"
    )


def _span(span: timedelta) -> str:
    """Return a time span as people say it, in its two largest units."""
    left, parts = int(span.total_seconds()), []
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, seconds)
        parts += [f"{count}{unit}"] * bool(count)
    return " ".join(parts[:2]) or "0s"
