"""Gives one command after the other in a process of its own: `python -m integrator.proving.driver COMMANDS.json`; exit codes go into a file beside it."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

from integrator.cli import main


def give(file: Path) -> None:
    """Give the commands of a file, each after the system was told how to behave; writes the exit codes as they come."""
    spec = json.loads(file.read_text("utf-8"))
    codes: list[int] = []
    for one in spec["commands"]:
        urllib.request.urlopen(urllib.request.Request(f"{spec['url']}/mode", one["mode"].encode()), timeout=10).close()  # noqa: S310 - on loopback
        sys.argv = ["integrator", *one["command"]]
        try:
            codes.append(_given(one["command"]))
        except SystemExit as ended:
            codes.append(int(ended.code or 0))
        file.with_suffix(".codes").write_text(json.dumps(codes), "utf-8")


def _given(command: list[str]) -> int:
    if command[0] == "alert":
        from integrator.proving.alerting import send_alert

        return send_alert(*command[1].split("/"))
    main()
    return 0


if __name__ == "__main__":
    give(Path(sys.argv[1]))
