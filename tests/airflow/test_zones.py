"""The time zone of a project: whose schedules it is, and that no pipe runs at another time when it cannot be read. No platform is started."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from integrator.model.project import Wants
from integrator.store.database import open_engine, upgrade
from integrator.store.projects import SqlProjects
from tests.airflow.test_parsing import run_code
from tests.services.moving import flow

CODE = """
import json, sys, warnings
warnings.simplefilter("ignore")
from integrator.dag_build import dags_of, zones
zones.PATIENCE_S = 0.6
made = dags_of(sys.argv[1])
def told(dag):
    at = dag.timetable
    zone = getattr(at, "timezone", None) or getattr(at, "_timezone", None)
    if hasattr(at, "timetables"):
        zone = at.timetables[0].timezone
    return {"kind": type(at).__name__, "zone": str(getattr(zone, "key", getattr(zone, "name", zone))), "tags": sorted(dag.tags), "tasks": sorted(dag.task_ids), "doc": dag.doc_md}
print("RESULT", json.dumps({name: told(dag) for name, dag in made.items() if not name.endswith(".rerun")}))
"""
PIPES: dict[str, dict[str, Any]] = {
    "cron": {"schedule": "0 6 * * *"}, "several": {"schedule": ["0 6 * * *", "0 18 * * 1"]}, "preset": {"schedule": "@daily"}, "own": {"schedule": "0 6 * * *", "timezone": "America/New_York"},
    "every": {"schedule": {"every": "15m"}}, "by_hand": {}, "once": {"schedule": "@once"}, "late": {"schedule": {"after": ["cron"]}},
}  # fmt: skip
OF_PROJECT = {"cron", "several", "preset"}


class Place:
    """A project's folder, and the database that says what the project wants."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.db = folder, folder / "journal.db"
        acme = folder / "dags" / "acme"
        acme.mkdir(parents=True)
        (acme / "load_pipes.py").write_text("from integrator.dag_build import dags_of\nglobals().update(dags_of(__file__))\n")
        for name, more in PIPES.items():
            (acme / f"{name}.yaml").write_text(yaml.safe_dump({**more, "flows": {"items": flow()}}, sort_keys=False))

    def zone(self, zone: str, project: str = "acme") -> None:
        upgrade(f"sqlite:///{self.db}")
        engine = open_engine(f"sqlite:///{self.db}")
        SqlProjects(engine).set(project, Wants(zone=zone), "a test")
        engine.dispose()

    def parsed(self, url: str | None = None, **environ: str) -> dict[str, dict[str, Any]]:
        of = {"AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": url if url is not None else f"sqlite:///{self.db}"}
        made: dict[str, dict[str, Any]] = run_code(
            CODE, self.folder, str(self.folder / "dags/acme/load_pipes.py"), **of, **environ
        )
        return {name.partition(".")[2]: one for name, one in made.items()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_project_s_zone_is_the_one_of_schedules_that_name_none(place: Place) -> None:
    place.zone("America/New_York", "other")
    assert {one["zone"] for name, one in place.parsed().items() if name in OF_PROJECT} == {"UTC"}
    place.zone("Asia/Tokyo")
    made = place.parsed()
    assert {name: made[name]["zone"] for name in OF_PROJECT} == dict.fromkeys(OF_PROJECT, "Asia/Tokyo")
    assert made["own"]["zone"] == "America/New_York"
    assert not [name for name, one in made.items() if "faulty" in one["tags"]]


def _broken(place: Place, how: str) -> str | None:
    if how == "no file":
        return f"sqlite:///{place.folder / 'journal.yaml' / 'x.db'}"
    if how == "away":
        return "postgresql://nobody:no@127.0.0.1:1/none"
    if how == "no tables":
        return f"sqlite:///{place.folder / 'empty.db'}"
    if how == "damaged":
        place.db.write_bytes(b"this is no database" * 1000)
        for end in ("-wal", "-shm"):
            Path(f"{place.db}{end}").unlink(missing_ok=True)
        return None
    text = '{"zone": "Mars/Olympus"}' if how == "no such zone" else '{"zone": 7' if how == "no JSON" else '{"zone": 7}'
    with sqlite3.connect(place.db) as c:
        c.execute("UPDATE integrator_projects SET wants = ?", (text,))
    c.close()
    return None


@pytest.mark.parametrize("how", ["no file", "away", "no tables", "damaged", "no such zone", "no JSON", "no text"])
def test_what_cannot_be_read_leaves_a_pipe_without_a_schedule_and_never_at_another_time(place: Place, how: str) -> None:
    place.zone("Asia/Tokyo")
    (place.folder / "journal.yaml").touch()
    made = place.parsed(_broken(place, how))
    for name in OF_PROJECT:
        one = made[name]
        assert (one["kind"], one["tasks"], "faulty" in one["tags"]) == ("NullTimetable", ["items"], True), one
        assert "time zone project acme has cannot be read" in one["doc"]
        assert "nobody" not in one["doc"]
    for name in PIPES.keys() - OF_PROJECT:
        assert "faulty" not in made[name]["tags"]
    assert (made["own"]["kind"], made["own"]["zone"]) == ("CronTriggerTimetable", "America/New_York")
    assert made["every"]["kind"] == "DeltaTriggerTimetable"


def test_a_task_asks_no_database_when_its_pipe_is_due(place: Place) -> None:
    made = place.parsed("postgresql://nobody:no@127.0.0.1:1/none", _AIRFLOW_PARSING_CONTEXT_DAG_ID="acme.cron")
    assert "faulty" not in made["cron"]["tags"]


def test_without_a_database_of_ours_nobody_has_said_another_zone(place: Place) -> None:
    assert place.parsed("")["cron"]["zone"] == "UTC"
