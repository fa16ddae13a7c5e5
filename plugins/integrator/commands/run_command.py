"""`integrator run`."""

from __future__ import annotations

from pathlib import Path

import click

from integrator.commands.common import DAGS_OPTION, HOME_OPTION, JSON_OPTION, PIPE_ARGUMENT, open_parts, pipe_name


@click.command("run")
@PIPE_ARGUMENT
@click.option("--flow", help="Only this flow.")
@click.option("--full", is_flag=True, help="Read everything, whatever the cursor says.")
@click.option("--from", "since", metavar="TIME", help="Read what changed since this time.")
@click.option(
    "--id", "entity_ids", multiple=True, metavar="X", help="Move just this record, read by its ID; may be given several times."
)
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def command(
    pipe: str,
    flow: str | None,
    full: bool,
    since: str | None,
    entity_ids: tuple[str, ...],
    dags: Path,
    home: str | None,
    as_json: bool,
) -> None:
    """Run a pipe: move what is new since the last run."""
    from integrator.authoring.library import find_pipe
    from integrator.commands.running import in_order, run_flows, show_outcome
    from integrator.engine.move import Asked
    from integrator.errors import ConfigError
    from integrator.mapping.stamps import checked_cursor
    from integrator.model.run import Trigger

    if sum((full, bool(since), bool(entity_ids))) > 1:
        raise click.UsageError("give one of --full, --from and --id")
    name = pipe_name(pipe)
    checked = find_pipe(dags, name.project, name.pipe)
    assert checked.pipe is not None  # noqa: S101 - find_pipe returns no other
    flows = in_order(checked.pipe, flow)
    for one in flows:
        source = checked.pipe.flows[one].source
        if since and source.delta is None:
            raise ConfigError(f"flow {one} has no since:, so --from means nothing to it; name another with --flow")
        if since and source.delta:
            since = checked_cursor(since, source.delta)
        if entity_ids and source.by_id is None and source.connector == "rest":
            raise ConfigError(f"flow {one} has no by_id:, so --id cannot read a record; add it, or name another flow with --flow")
    asked = Asked(full=full, since=since, entity_ids=entity_ids or None)
    show_outcome(run_flows(checked, open_parts(home), flows, Trigger.MANUAL, asked, quiet=as_json), as_json=as_json)
