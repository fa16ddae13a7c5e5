"""`integrator rerun`."""

from __future__ import annotations

from pathlib import Path

import click

from integrator.commands.common import DAGS_OPTION, HOME_OPTION, JSON_OPTION, PIPE_ARGUMENT, open_parts, pipe_name


@click.command("rerun")
@PIPE_ARGUMENT
@click.option("--flow", help="Only this flow.")
@click.option("--run", "run_id", metavar="ID", help="Only records that failed last in this run.")
@click.option("--id", "entity_ids", multiple=True, metavar="X", help="Only this record; may be given several times.")
@click.option("--class", "error", metavar="C", help="Only records that failed with this error, such as RecordRefusedError.")
@click.option("--all", "everything", is_flag=True, help="All open failures.")
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def command(
    pipe: str, flow: str | None, run_id: str | None, entity_ids: tuple[str, ...], error: str | None, everything: bool,
    dags: Path, home: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Run exactly the records that failed: read again by ID, mapped with today's mapping, written by the flow's match rule."""
    from integrator.authoring.library import find_pipe
    from integrator.commands.running import in_order, run_flows, show_outcome
    from integrator.engine.move import Asked
    from integrator.model.run import Selection, Trigger

    given = sum((run_id is not None, bool(entity_ids), error is not None, everything))
    if given != 1:
        raise click.UsageError("say which failures: --all, --run ID, --class C or --id X")
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
