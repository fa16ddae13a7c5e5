"""`integrator prove-no-copy`: moves marked records through every failure, and searches everything for the marks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from integrator import settings
from integrator.commands.acting import acting_in
from integrator.commands.common import DAGS_OPTION, HOME_OPTION, JSON_OPTION, open_parts, pipe_name, say, show_json
from integrator.errors import ConfigError


@click.command()
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the report to this file too.")
@click.option(
    "--pipe", metavar="PROJECT/PIPE", help="Run this pipe once, as `integrator run` does, and search for values of what flowed."
)
@click.option("--yes", is_flag=True, help="Do not ask before a real pipe is run.")
@DAGS_OPTION
@HOME_OPTION
@JSON_OPTION
def command(report: Path | None, pipe: str | None, yes: bool, dags: Path, home: str | None, as_json: bool) -> None:
    """Prove that no record is kept. Exit code 1 when a mark was found where none may be, or a place could not be searched.

    A marked system on loopback and a project of its own are used, and removed at the end. With --pipe a real pipe is run, and what flows is
    remembered in this process's memory only; the report tells places and counts, never a value.
    """
    parts = open_parts(home)  # makes the home, the journal and the key where there are none
    proof = _live(parts, pipe, dags, home, yes=yes or as_json) if pipe else _marked(home, quiet=as_json)
    text = _report(proof)
    if report is not None:
        report.write_text(text, "utf-8")
    if as_json:
        show_json(_shown(proof))
    else:
        click.echo(text)
    if proof.hits or not proof.complete:
        sys.exit(1)


def _marked(home: str | None, *, quiet: bool) -> Any:
    from integrator.proving.proof import Proving

    return Proving(settings.environment(home), _silent if quiet else say).make()


def _live(parts: Any, pipe: str, dags: Path, home: str | None, *, yes: bool) -> Any:
    from integrator.authoring.library import find_pipe
    from integrator.commands.running import in_order
    from integrator.proving.live import prove_live

    named = pipe_name(pipe)
    checked = find_pipe(dags, named.project, named.pipe)
    assert checked.pipe is not None  # noqa: S101 - find_pipe returns no other
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("nobody is here to be asked whether to run a real pipe, which moves its records; say so with --yes")
        click.confirm(f"run {pipe} now? It moves its records, as `integrator run` does", abort=True, err=True)
    acting_in(parts).note("pipe.run", named.project, f"{named.project}/{named.pipe}", trigger="prove-no-copy")
    return prove_live(checked, parts, settings.environment(home), in_order(checked.pipe, None))


def _silent(_text: str) -> None:
    return


def _shown(proof: Any) -> dict[str, Any]:
    places = [
        {"place": one.place, "bytes": one.bytes, "hits": one.hits, "where": one.where, "fault": one.fault}
        for one in proof.searched
    ]
    return {"hits": proof.hits, "complete": proof.complete, "console_hits": proof.console_hits, "values": proof.values, "began_at": proof.began_at,
            "seconds": proof.seconds, "stages": proof.stages, "searched": places}  # fmt: skip


def _report(proof: Any) -> str:
    verdict = (
        "NO COPY WAS FOUND"
        if not proof.hits and proof.complete
        else f"{proof.hits} MARKS WERE FOUND"
        if proof.hits
        else "NOT PROVEN: see the places that could not be searched"
    )
    lines = [
        f"# Proof that no record is kept: {verdict}", "",
        f"Made {proof.began_at:%Y-%m-%d %H:%M:%S} UTC, in {proof.seconds} s. Repeat it with: integrator prove-no-copy{' --pipe PROJECT/PIPE' if proof.live else ''}", "",
        *_how(proof), "", "| stage | console log | exit code |", "|---|---|---|",
    ]  # fmt: skip
    lines += [f"| {one['stage']} | {'on' if one['console_log'] else 'off'} | {one['exit_code']} |" for one in proof.stages]
    lines += ["", "| searched | bytes | marks found |", "|---|--:|--:|"]
    lines += [f"| {one.place} | {one.bytes:,} | {one.hits}{' in ' + ', '.join(one.where[:5]) if one.where else ''}{' NOT SEARCHED: ' + one.fault if one.fault else ''} |" for one in proof.searched]  # fmt: skip
    if not proof.live:
        lines.append(f"| console log, while it was on (they must be there) | | {proof.console_hits} |")
    return "\n".join([*lines, ""])


def _how(proof: Any) -> list[str]:
    """Return how it was made, for somebody who was not there."""
    forms = "as it is, in UTF-16, in hexadecimal, in base64 whatever stands before it, and inside gzip and zlib."
    if proof.live:
        return [
            f"The pipe was run once. Of what was read and sent, {proof.values} values that stand nowhere by chance were held in memory; no entity ID, vendor code, date or",
            f"text of the pipe itself is among them. Then every place was searched for each, {forms}",
            "Not searched: console logs, which somebody has to switch on, and the demo's own systems (`demo` in the home folder).",
        ]
    return [
        "Records with marks that occur nowhere else (in values, keys, numbers, nested lists, beside the ID, in base64 and gzip) were moved and",
        "failed at each stage, and told of in alerts, with the console log off and then on. Then every place was searched for each mark",
        forms,
    ]
