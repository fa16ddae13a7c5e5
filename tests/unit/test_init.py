"""`integrator init` makes what a dags folder needs, once."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from integrator.cli import cli
from integrator.commands.init_command import BESIDE
from tests.services.demo import ROOT


def test_the_dags_folders_own_files_are_made_once_and_never_written_over(tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    made = CliRunner().invoke(cli, ["init", str(dags / "acme")])
    assert "faults.py, upkeep.py, .airflowignore" in made.output
    (dags / "upkeep.py").write_text("ours")
    again = CliRunner().invoke(cli, ["init", str(dags / "other")])
    assert "for Airflow" not in again.output
    assert (dags / "upkeep.py").read_text() == "ours"


def test_they_are_the_files_of_this_repository() -> None:
    for name, text in BESIDE.items():
        assert (ROOT / "dags" / name).read_text() == text
