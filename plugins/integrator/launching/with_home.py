"""Runs a command with the home folder's settings: `python -m integrator.launching.with_home airflow dags list`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from integrator.settings import environment


def main() -> None:
    """Become the command; programs beside this Python are found first."""
    if len(sys.argv) < 2:
        sys.exit("name a command, such as: airflow dags list")
    environ = environment()
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}"
    try:
        os.execvpe(sys.argv[1], sys.argv[1:], environ)  # noqa: S606 - a person's own command
    except FileNotFoundError:
        sys.exit(f"there is no command {sys.argv[1]}")


if __name__ == "__main__":
    main()
