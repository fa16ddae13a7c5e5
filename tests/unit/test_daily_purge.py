"""The process that purges once a day: when it purges, and who else is handed its connection (nobody)."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import pytest

from integrator import daily_purge, launcher
from integrator.launching.home import Home
from integrator.settings import MAINTENANCE_VARIABLE, Settings, load, maintenance_url
from tests.services.demo import ROOT

SECRET = "postgresql://maintenance:secret-of-it@db/airflow"


def test_it_waits_for_a_start_to_be_over_purges_daily_and_again_soon_after_a_failure() -> None:
    codes, slept = iter([0, 1, 0]), list[float]()
    daily_purge.keep(lambda: next(codes), slept.append, times=3)
    assert slept == [daily_purge.FIRST_S, daily_purge.EVERY_S, daily_purge.AGAIN_S, daily_purge.EVERY_S]


def test_it_says_what_came_of_a_purge(capfd: pytest.CaptureFixture[str]) -> None:
    assert daily_purge.purge([sys.executable, "-c", "raise SystemExit(3)"]) == 3
    assert "exit code 3" in capfd.readouterr().out


def test_the_launcher_hands_the_connection_to_the_purge_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAINTENANCE_VARIABLE, SECRET)
    made = launcher.Launcher(Home(tmp_path), ROOT, 0, demo=False)
    made.settle()
    assert MAINTENANCE_VARIABLE not in made.environ
    assert made.maintenance == {MAINTENANCE_VARIABLE: SECRET}
    started: dict[str, dict[str, str]] = {}

    class Family:
        def start(self, part: object, environ: dict[str, str]) -> None:
            started[part.name] = environ  # type: ignore[attr-defined]

        def check(self) -> None:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        made.start(Family())  # type: ignore[arg-type]
    assert [name for name, environ in started.items() if SECRET in environ.values()] == ["retention"]
    assert len(started) == 5


def test_no_settings_hold_it() -> None:
    """Whatever a task reads as settings cannot hold the connection, wherever somebody wrote it."""
    settings = load(
        {MAINTENANCE_VARIABLE: SECRET, "AIRFLOW__INTEGRATOR__MAINTENANCE_SQL_ALCHEMY_CONN": SECRET}, lambda _name: None
    )
    assert SECRET not in [getattr(settings, one.name) for one in fields(Settings)]


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({MAINTENANCE_VARIABLE: SECRET}, SECRET),
        ({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://airflow@db/airflow"}, None),
        ({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "airflow-db-not-allowed:///"}, None),
        ({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////home/airflow.db"}, "sqlite:////home/airflow.db"),
    ],
)
def test_where_it_comes_from(environ: dict[str, str], url: str | None) -> None:
    assert maintenance_url(environ) == url
