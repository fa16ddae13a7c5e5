"""`integrator preview`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from integrator.commands.acting import acting_in
from integrator.commands.common import DAGS_OPTION, HOME_OPTION, JSON_OPTION, PIPE_ARGUMENT, open_parts, pipe_name, safe


@click.command("preview")
@PIPE_ARGUMENT
@click.option("--flow", help="Which flow, where the pipe has several.")
@click.option("--limit", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many records.")
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def command(pipe: str, flow: str | None, limit: int, dags: Path, home: str | None, as_json: bool) -> None:
    """Fetch, look up, map and match; show per record what would be done with it. Writes and keeps nothing."""
    import asyncio

    from integrator.authoring.library import find_pipe
    from integrator.commands.running import in_order
    from integrator.engine.running import run_to_end
    from integrator.mapping.projection import encode

    name = pipe_name(pipe)
    checked = find_pipe(dags, name.project, name.pipe)
    assert checked.pipe is not None  # noqa: S101 - find_pipe returns no other
    parts = open_parts(home)
    acting_in(parts).note("pipe.preview", name.project, f"{name.project}/{name.pipe}")
    flows = in_order(checked.pipe, flow)
    shown: list[Any] = []
    try:
        for one in flows:
            shown += run_to_end(_previews(parts, checked.plans[one], limit))
    except asyncio.CancelledError:
        raise click.Abort from None
    if as_json:
        rows = [
            {
                "entity_id": p.entity_id,
                "would": p.would,
                "record": p.record,
                "changes": p.changes,
                **({"why": p.why} if p.why else {}),
                **({"part": p.part} if p.part else {}),
            }
            for p in shown
        ]
        sys.stdout.write(encode(rows).decode() + "\n")
        return
    for one in shown:
        _show(one)
    if not shown:
        click.echo("the source gives no record", err=True)


async def _previews(parts: Any, plan: Any, limit: int) -> list[Any]:
    from integrator.engine.edge import Edge
    from integrator.engine.marks import Marker
    from integrator.engine.preview import preview

    flow = parts.open_flow(plan, to_show=True)
    try:
        spec = plan.spec.source.delta
        since = None if spec is None else Edge(spec, parts.journal.cursor(plan.key), Marker(parts.hash_key)).bound()
        made = [one async for one in preview(flow, limit, since)]
        # Nothing new since the cursor: people still want to see what the mapping makes.
        return made or ([one async for one in preview(flow, limit)] if since is not None else [])
    finally:
        await flow.close()


COLOURS = {"create": "green", "update": "yellow", "delete": "magenta", "skip": "blue", "wait": "cyan", "fail": "red"}


def _show(one: Any) -> None:
    import msgspec

    from integrator.mapping.projection import encode

    colour = COLOURS[one.would]
    click.echo(
        f"{safe(one.entity_id)}{' part ' + safe(one.part) if one.part else ''}: {click.style(one.would, fg=colour, bold=True)}"
        + (f" ({safe(one.why)})" if one.why else "")
    )
    if one.record is not None:
        text = msgspec.json.format(encode(one.record), indent=2).decode()
        click.echo("\n".join(f"    {safe(line)}" for line in text.splitlines()))
    for member, change in one.changes.items():
        sides = [safe(encode(change[side]).decode()) for side in ("from", "to")]
        click.echo(f"    {click.style(safe(member), bold=True)}: {sides[0]} -> {sides[1]}")
