"""`integrator runs`."""

from __future__ import annotations

from typing import Any

import click

from integrator.commands.common import HOME_OPTION, JSON_OPTION, local, open_parts, pipe_name, say_restored, show_json, table


@click.command("runs")
@click.argument("pipe", metavar="[PROJECT/PIPE]", required=False)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many, newest first.")
@HOME_OPTION
@JSON_OPTION
def command(pipe: str | None, limit: int, home: str | None, as_json: bool) -> None:
    """List runs with their flow runs, newest first."""
    name = pipe_name(pipe) if pipe else None
    parts = open_parts(home, keyed=False)
    say_restored(parts, pipe)
    rows = parts.journal.runs(name.project if name else None, name.pipe if name else None, limit)
    if as_json:
        show_json([shown(row) for row in rows])
        return
    if not rows:
        click.echo("no runs yet; integrator run PROJECT/PIPE makes one", err=True)
        return
    cells: list[list[object]] = []
    for row in rows:
        for flow, one in row.flows.items():
            bad = [one["failed"], one["unknown"]]
            cells.append([local(row.started_at), f"{row.project}/{row.pipe}", flow, row.trigger.value, one["status"] + (" (shadow)" if one["shadow"] else ""), one["read"],
                          one["created"], one["updated"], one["skipped"], *bad, row.run_id])  # fmt: skip
    table(
        ["started", "pipe", "flow", "trigger", "status", "read", "created", "updated", "skipped", "failed", "unknown", "run"],
        cells,
    )


def shown(row: Any) -> dict[str, Any]:
    """Return a run as JSON shows it."""
    names = (
        "run_id",
        "project",
        "pipe",
        "trigger",
        "status",
        "started_at",
        "ended_at",
        "dag_id",
        "dag_run_id",
        "parent_run_id",
        "pipe_version",
        "flows",
    )
    return {name: getattr(row, name) for name in names}
