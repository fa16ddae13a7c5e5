"""`integrator rerun`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from integrator.commands.common import DAGS_OPTION, HOME_OPTION, JSON_OPTION, open_parts, pipe_name, say, show_json


@click.command("rerun")
@click.argument("pipe", metavar="[PROJECT/PIPE]", required=False)
@click.option("--flow", help="Only this flow.")
@click.option("--run", "run_id", metavar="ID", help="Only records that failed last in this run.")
@click.option("--id", "entity_ids", multiple=True, metavar="X", help="Only this record; may be given several times.")
@click.option("--class", "error", metavar="C", help="Only records that failed with this error, such as RecordRefusedError.")
@click.option("--all", "everything", is_flag=True, help="All open failures.")
@click.option("--due", "due", is_flag=True, help="What rerun: {automatic: true} would try again now; of all pipes, or of one.")
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def command(
    pipe: str | None, flow: str | None, run_id: str | None, entity_ids: tuple[str, ...], error: str | None, everything: bool,
    due: bool, dags: Path, home: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Run exactly the records that failed: read again by ID, mapped with today's mapping, written by the flow's match rule."""
    from integrator.authoring.library import find_pipe
    from integrator.commands.running import in_order, run_flows, show_outcome
    from integrator.engine.move import Asked
    from integrator.model.run import Selection, Trigger

    given = sum((run_id is not None, bool(entity_ids), error is not None, everything, due))
    if given != 1:
        raise click.UsageError("say which failures: --all, --run ID, --class C, --id X or --due")
    if due:
        _rerun_due(pipe, flow, dags, home, as_json=as_json)
        return
    if pipe is None:
        raise click.UsageError("say which pipe: PROJECT/PIPE; only --due is for all of them")
    name = pipe_name(pipe)
    checked = find_pipe(dags, name.project, name.pipe)
    assert checked.pipe is not None  # noqa: S101 - find_pipe returns no other
    parts = open_parts(home)
    flows = in_order(checked.pipe, flow)
    selection = Selection(run_id, error, entity_ids or None)
    wanted = [one for one in flows if parts.has_failures(checked.plans[one].key)]
    if not wanted and flow is None:
        wanted = flows[:1]  # so that the run says in its own words that nothing was to be done
    show_outcome(
        run_flows(checked, parts, wanted or flows, Trigger.RERUN, Asked(selection=selection), quiet=as_json), as_json=as_json
    )


def _rerun_due(pipe: str | None, flow: str | None, dags: Path, home: str | None, *, as_json: bool) -> None:
    """Rerun what is due; a flow that fails, or whose pipe is faulty, does not keep the others from it."""
    from integrator.authoring.library import find_pipe
    from integrator.commands.running import in_order, run_flows
    from integrator.engine.move import Asked
    from integrator.engine.upkeep import due_flows
    from integrator.model.run import Selection, Trigger

    wanted = None
    if pipe is not None:
        checked = find_pipe(dags, (name := pipe_name(pipe)).project, name.pipe)
        assert checked.pipe is not None  # noqa: S101 - find_pipe returns no other
        wanted = [checked.plans[one].key for one in in_order(checked.pipe, flow)]
    elif flow is not None:
        raise click.UsageError("--flow needs PROJECT/PIPE")
    parts = open_parts(home)
    found, shown = due_flows(parts.journal, dags, wanted), list[dict[str, Any]]()
    codes = [2] if found.problems else []
    for problem in found.problems:
        say(problem)
    for one in found.flows:
        asked = Asked(selection=Selection(due=one.due))
        outcome = run_flows(one.pipe, parts, [one.key.flow], Trigger.RERUN, asked, quiet=as_json)
        codes.append(outcome.exit_code())
        told = {"project": one.key.project, "pipe": one.key.pipe, "flow": one.key.flow, "run_id": outcome.run_id}
        shown.append({**told, **outcome.flows[one.key.flow]})
        if outcome.interrupted:
            break
    if as_json:
        show_json(shown)
    elif not shown:
        say("nothing is due")
    if code := max(codes, default=0):
        sys.exit(code)
