"""`integrator compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from integrator.commands.common import (
    DAGS_OPTION,
    HOME_OPTION,
    JSON_OPTION,
    PIPE_ARGUMENT,
    open_parts,
    pipe_name,
    safe,
    say,
    show_json,
)

KINDS = ("missing", "different", "extra", "failed")


@click.command("compare")
@PIPE_ARGUMENT
@click.option("--flow", help="Only this flow.")
@click.option("--move", is_flag=True, help="Then move the records that are missing or different.")
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def command(pipe: str, flow: str | None, move: bool, dags: Path, home: str | None, as_json: bool) -> None:
    """Compare both sides record by record: what is missing, different or extra at the destination. Keeps nothing.

    Exit code 0: nothing is missing or different; 1: something is.
    """
    import asyncio

    from integrator.authoring.library import find_pipe
    from integrator.commands.running import in_order, run_flows, show_outcome
    from integrator.engine.asking import Asked
    from integrator.engine.running import run_to_end
    from integrator.model.run import Trigger

    name = pipe_name(pipe)
    checked = find_pipe(dags, name.project, name.pipe)
    assert checked.pipe is not None  # noqa: S101 - find_pipe returns no other
    parts = open_parts(home)
    made: dict[str, Any] = {}
    try:
        for one in in_order(checked.pipe, flow):
            made[one] = run_to_end(_compared(parts, checked.plans[one]))
    except asyncio.CancelledError:
        raise click.Abort from None
    if move and any(one.to_move for one in made.values()):
        for flow_name, one in made.items():
            if one.to_move:
                _told(flow_name, one)
                asked = Asked(entity_ids=tuple(one.to_move))
                show_outcome(run_flows(checked, parts, [flow_name], Trigger.MANUAL, asked, quiet=as_json), as_json=as_json)
        return
    if as_json:
        show_json({n: {"read": one.read, "same": one.same, **{kind: one.ids[kind] for kind in KINDS}} for n, one in made.items()})
    else:
        for flow_name, one in made.items():
            _told(flow_name, one)
            for kind in KINDS:
                for entity_id in one.ids[kind]:
                    click.echo(f"{flow_name} {kind} {safe(entity_id)}")
    if any(one.counts[kind] for one in made.values() for kind in KINDS):
        sys.exit(1)


def _told(flow: str, one: Any) -> None:
    words = [f"{one.counts[kind]:,} {kind}" for kind in KINDS if one.counts[kind]]
    say(f"{flow}: {one.read:,} read, {one.same:,} the same" + (", " + ", ".join(words) if words else ""))


async def _compared(parts: Any, plan: Any) -> Any:
    from integrator.engine.comparing import compare

    flow = parts.open_flow(plan, to_show=True)
    try:
        return await compare(flow, parts.hash_key)
    finally:
        await flow.close()
