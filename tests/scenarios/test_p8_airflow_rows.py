"""P8: what Airflow keeps of our pipes goes by the project's plan, on both databases; no other DAG and no run under way is touched."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from integrator.errors import StopRunError
from integrator.model.project import Wants, plans_of
from integrator.store.airflow_purge import AirflowPurge
from integrator.store.airflow_tables import BY_AGE, OF_RUN
from integrator.store.database import open_engine
from integrator.store.projects import SqlProjects
from tests.services.airflow_schema import NOW, AirflowDatabase, MakeAirflow

HANGING = {rule.table for rule in (*OF_RUN, *BY_AGE)} - {"asset_dag_run_queue"}
"""Tables in which `AirflowDatabase.run` makes one row for each run."""


@pytest.fixture(params=["sqlite", "postgres"])
def airflow(request: pytest.FixtureRequest, new_airflow: MakeAirflow) -> AirflowDatabase:
    made = new_airflow(request.param)
    made.dag("acme.sync", "integrator", "acme")
    made.dag("acme.sync.rerun", "integrator", "acme", "rerun")
    made.dag("other.report", "other")
    made.dag("acme.theirs", "acme")  # named like ours, and not ours
    return made


def purge(airflow: AirflowDatabase, logs: Path | None = None, *, dry: bool = False, plans: str = "") -> dict[str, Any]:
    told = AirflowPurge(airflow.engine, airflow.engine, logs, plans_of(plans), "standard", dry=dry, now=NOW).every()
    return {one.project: one for one in told}


def test_a_run_goes_with_all_that_hangs_on_it_and_a_dry_run_counts_the_same(airflow: AirflowDatabase) -> None:
    for dag_id in ("acme.sync", "acme.sync.rerun"):
        airflow.run(dag_id, 31)
        airflow.run(dag_id, 400, "failed")
    dry = purge(airflow, dry=True)["acme"].deleted
    left = airflow.left()
    told = purge(airflow)["acme"].deleted
    assert told == dry
    assert {name: told.get(name) for name in HANGING} == dict.fromkeys(HANGING, 4)
    assert told["dag_run"] == 4
    after = airflow.left()
    gone = {name for name, count in left.items() if after[name] != count}
    assert gone == HANGING | {"dag_run", "deadline"}  # a deadline goes with its callback
    assert {after[name] for name in gone} == {0}
    assert purge(airflow)["acme"].deleted == {}


def test_no_other_dag_no_newer_run_and_none_under_way_is_touched(airflow: AirflowDatabase) -> None:
    for dag_id in ("other.report", "acme.theirs"):
        airflow.run(dag_id, 400)
    airflow.run("acme.sync", 29)
    airflow.run("acme.sync", 50, "running")
    airflow.run("acme.sync", 51, "queued")
    before = airflow.left()
    told = purge(airflow)
    assert set(told) == {"acme"}
    changed = {name: (count, airflow.left()[name]) for name, count in before.items() if airflow.left()[name] != count}
    # What names a run only beside it, and is old, goes by its age; none of it is needed to go on.
    assert {*changed} <= {rule.table for rule in BY_AGE} | {"dagrun_asset_event"}
    assert airflow.left()["dag_run"] == 5
    assert "task_instance" not in changed


def test_the_newest_scheduled_run_stays_without_its_tasks_or_the_scheduler_would_start_it_again(airflow: AirflowDatabase) -> None:
    for days in (60, 61):
        airflow.run("acme.sync", days, kind="scheduled")
    airflow.dag("acme.gone", "integrator", "acme", stale=True)
    airflow.run("acme.gone", 60, kind="scheduled")
    dry = purge(airflow, dry=True)["acme"].deleted
    assert (told := purge(airflow)["acme"].deleted) == dry
    assert (told["dag_run"], told["task_instance"]) == (2, 3)
    with airflow.engine.connect() as c:
        assert c.execute(text("SELECT dag_id, run_id FROM dag_run")).all() == [("acme.sync", "scheduled__60_success")]
    assert airflow.left()["xcom"] == airflow.left()["task_instance"] == 0
    assert purge(airflow)["acme"].deleted == {}


def test_versions_that_nothing_needs_go_and_the_current_one_stays(airflow: AirflowDatabase) -> None:
    unused, used, kept, newest = (airflow.version("acme.sync", days) for days in (90, 80, 70, 60))
    airflow.run("acme.sync", 50, version=used)
    airflow.run("acme.sync", 10, version=kept)
    foreign = airflow.version("other.report", 300)
    airflow.version("other.report", 200)
    dry = purge(airflow, dry=True)["acme"].deleted
    assert (told := purge(airflow)["acme"].deleted) == dry
    assert {name: told[name] for name in ("dag_version", "dag_code", "serialized_dag", "deadline_alert")} == dict.fromkeys(
        ("dag_version", "dag_code", "serialized_dag", "deadline_alert"), 2
    )
    with airflow.engine.connect() as c:
        left = {
            row[0]
            for row in c.execute(airflow.tables["dag_version"].select().with_only_columns(airflow.tables["dag_version"].c.id))
        }
    assert {kept, newest, foreign} <= left
    assert {unused, used} & left == set()


def test_backfills_go_once_their_runs_are_gone(airflow: AirflowDatabase) -> None:
    for number, days in ((1, 60), (2, 5)):
        airflow.add("backfill", id=number, dag_id="acme.sync", completed_at=airflow.ago(days), dag_run_conf={})
        airflow.add("backfill_dag_run", id=number, backfill_id=number)
    assert purge(airflow)["acme"].deleted == {"backfill": 1, "backfill_dag_run": 1}


def test_each_project_has_its_plan_and_a_plan_that_is_gone_deletes_nothing(airflow: AirflowDatabase) -> None:
    airflow.dag("slow.sync", "integrator", "slow")
    airflow.dag("lost.sync", "integrator", "lost")
    airflow.dag("integrator.upkeep", "integrator")
    projects = SqlProjects(airflow.engine)
    projects.set("slow", Wants(plan="gold"), "a test")
    projects.set("lost", Wants(plan="silver"), "a test")
    for dag_id in ("slow.sync", "lost.sync", "integrator.upkeep"):
        airflow.run(dag_id, 45)
    told = purge(airflow, plans="gold: run_days=50 failure_days=50 console_days=5 audit_days=60")
    assert (told["slow"].plan, told["slow"].deleted) == ("gold", {})
    assert told["lost"].deleted == {}
    assert "has the plan 'silver', which there is not" in str(told["lost"].fault)
    assert told["integrator"].deleted["dag_run"] == 1


def test_what_is_left_of_a_pipe_that_airflow_forgot_goes_when_the_journal_knows_it(airflow: AirflowDatabase) -> None:
    with airflow.engine.begin() as c:
        c.execute(text("INSERT INTO integrator_cursors (project, pipe, flow, value, seen, updated_at) VALUES ('old', 'sync', 'items', '1', '', :at)"), {"at": airflow.ago(90)})  # fmt: skip
    for number, dag_id in enumerate(("old.sync", "old.sync.rerun", "foreign.sync"), 100):
        airflow.add("log", id=number, dag_id=dag_id, dttm=airflow.ago(90), event="x")
    assert purge(airflow)["old"].deleted == {"log": 2}
    assert airflow.left()["log"] == 1


def test_copies_of_airflows_own_cleaning_go_at_any_age_and_unnamed_ones_are_told(airflow: AirflowDatabase) -> None:
    airflow.run("acme.sync", 1)
    airflow.run("other.report", 1)
    with airflow.engine.begin() as c:
        for name in ("dag_run", "xcom", "task_reschedule"):
            c.execute(text(f"CREATE TABLE _airflow_deleted__{name}__20260101 AS SELECT * FROM {name}"))
    made = AirflowPurge(airflow.engine, airflow.engine, None, plans_of(""), "standard", now=NOW)
    dry = purge(airflow, dry=True)["acme"].deleted
    assert {one.project: one.deleted for one in made.every()} == {"acme": dry}
    assert dry == {"_airflow_deleted__dag_run__20260101": 1, "_airflow_deleted__xcom__20260101": 1}
    assert made.rows.unattributed() == ["_airflow_deleted__task_reschedule__20260101"]
    with airflow.engine.connect() as c:
        assert c.execute(text("SELECT dag_id FROM _airflow_deleted__dag_run__20260101")).all() == [("other.report",)]


def test_task_log_files_go_with_their_runs(airflow: AirflowDatabase, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    running = airflow.run("acme.sync", 50, "running")
    for dag_id, run_id, days in (
        ("acme.sync", "old", 31),
        ("acme.sync", "new", 29),
        ("acme.sync", running, 40),
        ("other.report", "old", 400),
    ):
        file = logs / f"dag_id={dag_id}" / f"run_id={run_id}" / "task_id=items" / "attempt=1.log"
        file.parent.mkdir(parents=True)
        file.write_text("x")
        at = (NOW - timedelta(days=days)).timestamp()
        os.utime(file, (at, at))
    (logs / "dag_id=acme.sync.rerun").symlink_to(tmp_path)
    assert purge(airflow, logs, dry=True)["acme"].deleted["log_files"] == 1
    assert purge(airflow, logs)["acme"].deleted["log_files"] == 1
    assert sorted(one.parts[-3] for one in logs.rglob("*.log")) == [f"run_id={running}", "run_id=new", "run_id=old"]
    assert not (logs / "dag_id=acme.sync" / "run_id=old").exists()


def test_another_database_is_refused(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'other.db'}")
    with pytest.raises(StopRunError, match="without Airflow's table"):
        AirflowPurge(engine, engine, None, plans_of(""), "standard")
    engine.dispose()
