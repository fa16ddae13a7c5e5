"""`integrator compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from integrator.commands.acting import acting_in
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

    Exit code 0: both sides are the same; 1: they are not. With --move, the exit code is that of the run.
    """
    import asyncio

    from integrator.authoring.library import find_pipe
    from integrator.commands.running import in_order, run_flows
    from integrator.engine.asking import Asked
    from integrator.engine.running import run_to_end
    from integrator.model.run import Trigger

    name = pipe_name(pipe)
    checked = find_pipe(dags, name.project, name.pipe)
    assert checked.pipe is not None  # noqa: S101 - find_pipe returns no other
    parts = open_parts(home)
    acting_in(parts).note("pipe.compare", name.project, f"{name.project}/{name.pipe}")
    made: dict[str, Any] = {}
    try:
        for one in in_order(checked.pipe, flow):
            made[one] = run_to_end(_compared(parts, checked.plans[one]))
    except asyncio.CancelledError:
        raise click.Abort from None
    told = {n: {"read": one.read, "same": one.same, **{kind: one.ids[kind] for kind in KINDS}} for n, one in made.items()}
    for flow_name, one in made.items():
        _told(flow_name, one)
    code = int(any(one.counts[kind] for one in made.values() for kind in KINDS))
    if move:
        code = 0
        for flow_name in [n for n, one in made.items() if one.to_move]:
            asked = Asked(entity_ids=tuple(made[flow_name].to_move))
            outcome = run_flows(checked, parts, [flow_name], Trigger.MANUAL, asked, quiet=as_json)
            told[flow_name]["moved"] = outcome.flows[flow_name]
            code = max(code, outcome.exit_code())
    if as_json:
        show_json(told)
    elif not move:
        for flow_name, one in made.items():
            for kind in KINDS:
                for entity_id in one.ids[kind]:
                    click.echo(f"{flow_name} {kind} {safe(entity_id)}")
    if code:
        sys.exit(code)


def _told(flow: str, one: Any) -> None:
    words = [f"{one.counts[kind]:,} {kind}" for kind in KINDS if one.counts[kind]]
    if not one.knows_extra and one.counts["failed"]:
        words.append("what is extra cannot be told while records fail")
    say(f"{flow}: {one.read:,} read, {one.same:,} the same" + (", " + ", ".join(words) if words else ""))


async def _compared(parts: Any, plan: Any) -> Any:
    from integrator.engine.comparing import compare

    flow = parts.open_flow(plan, to_show=True)
    try:
        return await compare(flow, parts.hash_key)
    finally:
        await flow.close()
