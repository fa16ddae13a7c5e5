"""`integrator failures`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from integrator.commands.common import HOME_OPTION, JSON_OPTION, PIPE_ARGUMENT, local, open_parts, pipe_name, show_json, table

STATES = ("open", "waiting", "retrying", "resolved", "ignored", "gone", "expired")
UNRESOLVED = ("open", "waiting", "retrying", "gone")
SHOWN = (
    "entity_id",
    "flow",
    "stage",
    "error",
    "http_status",
    "code",
    "field",
    "attempts",
    "state",
    "run_id",
    "first_failed_at",
    "last_failed_at",
)


@click.command("failures")
@PIPE_ARGUMENT
@click.option("--flow", help="Only this flow.")
@click.option("--state", type=click.Choice([*STATES, "all"]), help="Only this state [default: unresolved and gone ones].")
@HOME_OPTION
@JSON_OPTION
def command(pipe: str, flow: str | None, state: str | None, home: str | None, as_json: bool) -> None:
    """List the records that failed: their IDs and why, nothing else of them."""
    from integrator.model.run import State

    name = pipe_name(pipe)
    wanted = STATES if state == "all" else (state,) if state else UNRESOLVED
    rows = open_parts(home, keyed=False).journal.failures(
        name.project, name.pipe, flow=flow, states=[State(one) for one in wanted]
    )
    if as_json:
        show_json([{key: asdict(row)[key] for key in SHOWN} | ({"parts": row.parts} if row.parts else {}) for row in rows])
        return
    if not rows:
        click.echo(f"no failures of {name.project}/{name.pipe}" + (f" in state {state}" if state else ""), err=True)
        return
    cells: list[list[Any]] = [
        [
            row.entity_id,
            row.flow,
            row.stage,
            row.error,
            row.http_status,
            row.code or row.field,
            row.attempts,
            row.state.value,
            local(row.last_failed_at),
        ]
        for row in rows
    ]
    table(["entity ID", "flow", "stage", "error", "http", "code or field", "attempts", "state", "last failed"], cells)
