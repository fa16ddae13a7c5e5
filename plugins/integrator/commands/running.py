"""Runs a pipe's flows in their order, with a progress line, and tells what came of them."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import Mapping
from typing import Any

import click

from integrator.authoring.checking import CheckedPipe
from integrator.authoring.library import version_of
from integrator.commands.acting import acting_in, actor
from integrator.commands.common import safe, say, show_json
from integrator.engine.move import Asked
from integrator.engine.running import run_to_end
from integrator.errors import ConfigError, IntegratorError
from integrator.model.pipe import Pipe
from integrator.model.run import Counts, RunKey, Status, Trigger, derive
from integrator.registry import near
from integrator.wiring import Parts

SHOWN = ("read", "created", "updated", "deleted", "skipped", "waiting", "failed", "unknown", "api_calls", "retries")


def in_order(pipe: Pipe, only: str | None) -> list[str]:
    """Return the flows to run, those that others wait for first.

    Raises:
        ConfigError: there is no flow of that name.
    """
    if only is not None:
        if only not in pipe.flows:
            raise ConfigError(f"no flow {only!r}; {near(only, pipe.flows)}")
        return [only]
    done: list[str] = []
    while len(done) < len(pipe.flows):
        done += [name for name, flow in pipe.flows.items() if name not in done and all(before in done for before in flow.after)]
    return done


class Outcome:
    """What a pipe's run came to, flow by flow."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.flows: dict[str, dict[str, Any]] = {}
        self.interrupted = False
        self.faulty = False

    def add(self, flow: str, status: Status, counts: Mapping[str, Any], seconds: float) -> None:
        """Note a flow's result."""
        of_parts = {name: counts[name] for name in ("parts", "parts_failed") if counts.get("parts")}
        self.flows[flow] = {
            "status": status.value,
            **{name: counts[name] for name in SHOWN},
            **of_parts,
            "seconds": round(seconds, 3),
        }

    @property
    def status(self) -> Status:
        """The run's status: the worst of its flows'."""
        return derive([Status(flow["status"]) for flow in self.flows.values()])

    def exit_code(self) -> int:
        """Return what the process exits with."""
        if self.interrupted:
            return 130
        if self.faulty:
            return 2
        return 0 if self.status in (Status.SUCCESS, Status.PARTIAL) else 1


def run_flows(checked: CheckedPipe, parts: Parts, flows: list[str], trigger: Trigger, asked: Asked, *, quiet: bool) -> Outcome:
    """Run flows one after the other; one that fails holds back those that wait for it."""
    assert checked.pipe is not None  # noqa: S101 - find_pipe returns no other
    run_id = str(uuid.uuid4())
    parent = asked.selection.run_id if asked.selection else None
    outcome, held = Outcome(run_id), set[str]()
    target = f"{checked.project}/{checked.name}"
    acting_in(parts).note("pipe.run", checked.project, target, run=run_id, trigger=trigger.value, flows=" ".join(flows))
    for name in flows:
        if held & set(checked.pipe.flows[name].after):
            held.add(name)
            say(f"{name}: not run, since a flow it waits for failed")
            continue
        status = _run_one(
            checked,
            parts,
            name,
            RunKey(run_id, trigger, parent_run_id=parent, pipe_version=version_of(checked.file), actor=actor()),
            asked,
            outcome,
            quiet=quiet,
        )
        if outcome.interrupted or outcome.faulty:
            break
        if status not in (Status.SUCCESS, Status.PARTIAL):
            held.add(name)
    return outcome


def _run_one(
    checked: CheckedPipe, parts: Parts, name: str, run: RunKey, asked: Asked, outcome: Outcome, *, quiet: bool
) -> Status:
    began, shown = time.monotonic(), _Progress(name, quiet=quiet)
    status, counts, said = Status.FAILED, Counts(), None
    try:
        report = run_to_end(parts.move(checked.plans[name], run, asked, shown.show))
        status, counts = report.status, report.counts
    except (asyncio.CancelledError, KeyboardInterrupt):
        outcome.interrupted, status = True, Status.CANCELLED
    except ConfigError as fault:
        outcome.faulty, said = True, f"error: {fault}"
    except IntegratorError as fault:
        said = f"error: {fault}"
    shown.end()
    if status in (Status.FAILED, Status.CANCELLED) and not counts.read:
        counts = _from_journal(parts, checked, outcome.run_id, name)
    seconds = time.monotonic() - began
    outcome.add(name, status, counts.as_dict(), seconds)
    assert checked.pipe is not None  # noqa: S101 - find_pipe returns no other
    say(sentence(name, counts, status, seconds, shadow=checked.pipe.flows[name].shadow))
    if said:
        say(safe(said))
    return status


def _from_journal(parts: Parts, checked: CheckedPipe, run_id: str, flow: str) -> Counts:
    """Return what the journal knows of a flow run that raised."""
    for row in parts.journal.runs(checked.project, checked.name, 5):
        if row.run_id == run_id and flow in row.flows:
            return Counts(**{name: row.flows[flow][name] for name in Counts.__dataclass_fields__ if name in row.flows[flow]})
    return Counts()


def sentence(flow: str, counts: Counts, status: Status, seconds: float, *, shadow: bool = False) -> str:
    """Return what happened, in plain words: `orders: 2,000 read, 1,976 created, 24 failed (partial, 3.1 s)`."""
    told = [f"{counts.read:,} read"]
    told += [
        f"{getattr(counts, n):,} {n}"
        for n in ("created", "updated", "deleted", "skipped", "waiting", "failed", "unknown")
        if getattr(counts, n)
    ]
    return f"{flow}: {', '.join(told)} ({'shadow: nothing was written, ' if shadow else ''}{status.value}, {seconds:.1f} s)"


class _Progress:
    """One line that is written over while a flow moves; nothing where there is no terminal."""

    def __init__(self, flow: str, *, quiet: bool) -> None:
        self._flow, self._on = flow, sys.stderr.isatty() and not quiet
        self._began, self._last = time.monotonic(), (0.0, 0)
        self._rate = 0.0

    def show(self, counts: Counts) -> None:
        if not self._on:
            return
        now = time.monotonic() - self._began
        if now - self._last[0] >= 0.2:
            rate = (counts.read - self._last[1]) / (now - self._last[0])
            self._rate = rate if not self._rate else 0.7 * self._rate + 0.3 * rate
            self._last = (now, counts.read)
        bad = counts.failed + counts.unknown
        click.echo(
            f"\r\x1b[2K{self._flow}: {counts.read:,} records, {bad:,} failed, {self._rate:,.0f} records/s", nl=False, err=True
        )

    def end(self) -> None:
        if self._on:
            click.echo("\r\x1b[2K", nl=False, err=True)


def show_outcome(outcome: Outcome, *, as_json: bool) -> None:
    """Print the result and leave with its exit code."""
    if as_json:
        show_json({"run_id": outcome.run_id, "status": outcome.status.value, "flows": outcome.flows})
    else:
        click.echo(f"run {outcome.run_id}: {outcome.status.value}")
    code = outcome.exit_code()
    if code:
        sys.exit(code)
