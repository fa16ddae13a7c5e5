"""`integrator expect`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from integrator.commands.common import DAGS_OPTION, HOME_OPTION, JSON_OPTION, open_parts, pipe_name, safe, say, show_json


@click.command("expect")
@click.argument("pipe", metavar="[PROJECT | PROJECT/PIPE]", required=False)
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def command(pipe: str | None, dags: Path, home: str | None, as_json: bool) -> None:
    """Say which expectations of pipes (expect:) are not met. Exit code 0: all are; 1: one is not; 2: a pipe has faults."""
    from integrator.engine.expectations import look

    wanted: tuple[str, str | None] | None = (pipe, None) if pipe else None
    if pipe and ("/" in pipe or "." in pipe):
        name = pipe_name(pipe)
        wanted = (name.project, name.pipe)
    looked = look(open_parts(home, keyed=False).journal, dags, wanted)
    for problem in looked.problems:
        say(safe(problem))
    if as_json:
        show_json(
            [
                {
                    "project": one.key.project,
                    "pipe": one.key.pipe,
                    "flow": one.key.flow,
                    "expectation": one.kind,
                    "said": one.said,
                }
                for one in looked.unmet
            ]
        )
    else:
        for one in looked.unmet:
            click.echo(safe(one))
        if not looked.unmet:
            say(f"{looked.flows:,} flows with expectations, and all are met")
    if looked.problems or looked.unmet:
        sys.exit(2 if looked.problems else 1)
