"""`integrator trace`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from integrator.commands.acting import acting_in
from integrator.commands.common import DAGS_OPTION, HOME_OPTION, JSON_OPTION, PIPE_ARGUMENT, local, open_parts, pipe_name, safe

KEPT = ("flow", "stage", "error", "http_status", "code", "field", "parts", "attempts", "state", "run_id", "first_failed_at",
        "last_failed_at", "resolved_run_id")  # fmt: skip


@click.command("trace")
@PIPE_ARGUMENT
@click.argument("entity_id")
@click.option("--flow", help="Which flow, where the pipe has several.")
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def command(pipe: str, entity_id: str, flow: str | None, dags: Path, home: str | None, as_json: bool) -> None:
    """Read one record on both sides, live; show how it is mapped, what differs, and what the journal knows. Keeps nothing."""
    import asyncio

    from integrator.authoring.library import find_pipe
    from integrator.commands.running import in_order
    from integrator.engine.running import run_to_end
    from integrator.mapping.projection import encode
    from integrator.model.run import State

    name = pipe_name(pipe)
    checked = find_pipe(dags, name.project, name.pipe)
    assert checked.pipe is not None  # noqa: S101 - find_pipe returns no other
    parts = open_parts(home)
    acting_in(parts).note("pipe.trace", name.project, f"{name.project}/{name.pipe}")
    told: list[dict[str, Any]] = []
    try:
        for one in in_order(checked.pipe, flow):
            shown = run_to_end(_looked_at(parts, checked.plans[one], entity_id))
            rows = parts.journal.failures(name.project, name.pipe, flow=one, states=list(State))
            kept = (
                parts.hasher_of(checked.plans[one])(entity_id)
                if checked.pipe.flows[one].source.keep_id == "hashed"
                else entity_id
            )
            history = [{key: asdict(row)[key] for key in KEPT} for row in rows if row.entity_id == kept]
            told.append({"flow": one, "records": [_record(p) for p in shown], "history": history})
    except asyncio.CancelledError:
        raise click.Abort from None
    if as_json:
        sys.stdout.write(encode(told).decode() + "\n")
        return
    for part in told:
        _show(part)


async def _looked_at(parts: Any, plan: Any, entity_id: str) -> list[Any]:
    from integrator.engine.preview import look_at

    flow = parts.open_flow(plan, to_show=True)
    try:
        return [one async for one in look_at(flow, [entity_id])]
    finally:
        await flow.close()


def _record(shown: Any) -> dict[str, Any]:
    return {
        "entity_id": shown.entity_id, **({"part": shown.part} if shown.part else {}), "would": shown.would, "why": shown.why,
        "source": shown.source, "record": shown.record, "found": shown.found, "changes": shown.changes,
    }  # fmt: skip


def _show(told: dict[str, Any]) -> None:
    click.secho(f"flow {told['flow']}", bold=True)
    if not told["records"]:
        click.echo("  the source gives nothing for this ID")
    for one in told["records"]:
        part = f" part {safe(one['part'])}" if one.get("part") else ""
        click.echo(
            f"  {safe(one['entity_id'])}{part}: a run would {one['would']} it" + (f" ({safe(one['why'])})" if one["why"] else "")
        )
        for title, key in (("source (what the pipe reads of it)", "source"), ("mapped", "record"), ("destination", "found")):
            _block(title, one[key])
        for member, change in one["changes"].items():
            from integrator.mapping.projection import encode

            sides = [safe(encode(change[side]).decode()) for side in ("from", "to")]
            click.echo(f"    differs: {click.style(safe(member), bold=True)}: {sides[0]} -> {sides[1]}")
    for row in told["history"]:
        first, last = local(row["first_failed_at"]), local(row["last_failed_at"])
        said = f"{row['stage']}: {row['error']} {row['http_status'] or ''} {safe(row['code'] or row['field'] or '')}".rstrip()
        click.echo(f"  history: {row['state'].value}, failed {row['attempts']} times from {first} to {last}; {said}")
    if not told["history"]:
        click.echo("  history: it never failed")


def _block(title: str, value: Any) -> None:
    import msgspec

    from integrator.mapping.projection import encode

    click.echo(f"    {title}:" + ("" if value is not None else " none"))
    if value is not None:
        text = msgspec.json.format(encode(value), indent=2).decode()
        click.echo("\n".join(f"      {safe(line)}" for line in text.splitlines()))
