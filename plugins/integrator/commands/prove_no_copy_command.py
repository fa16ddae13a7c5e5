"""`integrator prove-no-copy`: moves marked records through every failure, and searches everything for the marks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from integrator import settings
from integrator.commands.common import HOME_OPTION, JSON_OPTION, open_parts, say, show_json


@click.command()
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the report to this file too.")
@HOME_OPTION
@JSON_OPTION
def command(report: Path | None, home: str | None, as_json: bool) -> None:
    """Prove that no record is kept. Exit code 1 when a mark was found where none may be, or a place could not be searched.

    A marked system on loopback and a project of its own are used, and removed at the end.
    """
    from integrator.proving.proof import Proving

    open_parts(home)  # makes the home, the journal and the key where there are none
    proof = Proving(settings.environment(home), say if not as_json else _silent).make()
    text = _report(proof)
    if report is not None:
        report.write_text(text, "utf-8")
    if as_json:
        show_json(_shown(proof))
    else:
        click.echo(text)
    if proof.hits or not proof.complete:
        sys.exit(1)


def _silent(_text: str) -> None:
    return


def _shown(proof: Any) -> dict[str, Any]:
    places = [
        {"place": one.place, "bytes": one.bytes, "hits": one.hits, "where": one.where, "fault": one.fault}
        for one in proof.searched
    ]
    return {"hits": proof.hits, "complete": proof.complete, "console_hits": proof.console_hits, "began_at": proof.began_at,
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
        f"Made {proof.began_at:%Y-%m-%d %H:%M:%S} UTC, in {proof.seconds} s. Repeat it with: integrator prove-no-copy", "",
        "Records with marks that occur nowhere else (in values, keys, numbers, nested lists, beside the ID, in base64 and gzip) were moved and",
        "failed at each stage, with the console log off and then on. Then every place was searched for each mark as it is, in UTF-16, in hexadecimal,",
        "in base64 whatever stands before it, and inside gzip and zlib.", "", "| stage | console log | exit code |", "|---|---|---|",
    ]  # fmt: skip
    lines += [f"| {one['stage']} | {'on' if one['console_log'] else 'off'} | {one['exit_code']} |" for one in proof.stages]
    lines += ["", "| searched | bytes | marks found |", "|---|--:|--:|"]
    lines += [f"| {one.place} | {one.bytes:,} | {one.hits}{' in ' + ', '.join(one.where[:5]) if one.where else ''}{' NOT SEARCHED: ' + one.fault if one.fault else ''} |" for one in proof.searched]  # fmt: skip
    lines += [f"| console log, while it was on (they must be there) | | {proof.console_hits} |", ""]
    return "\n".join(lines)
