"""What `airflow db migrate` does with our tables, in a process of its own as Airflow reads its settings once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from integrator.errors import StopRunError
from integrator.model.audit import Line
from integrator.store.audit import SqlAudit
from integrator.store.database import open_engine, parsed, revision_of, upgrade, writing
from integrator.store.grants import give, other_role, same_database
from integrator.store.journal import SqlJournal
from integrator.store.projects import SqlProjects
from integrator.store.tables import APPEND_ONLY, HEAD, OF_PEOPLE, VERSION_TABLE, metadata
from tests.services.postgres import PostgresServer
from tests.unit.store.conftest import KEY

pytest.importorskip("integrator.provider")
MIGRATE = """
from airflow import settings
from integrator.migrate_tables import IntegratorTables
settings.configure_orm()
with settings.Session() as session:
    tables = IntegratorTables(session)
    assert not tables.check_migration()
    tables.initdb()
    tables.upgradedb()
    assert tables.check_migration()
    DROP
"""
DROP = """
    with settings.engine.connect() as connection, connection.begin():
        tables.drop_tables(connection)
    assert tables.get_current_revision() is None
"""


def migrate(folder: Path, airflows: str, ours: str = "", *, drop: bool = False) -> None:
    known = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
    environment = {
        **known,
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(folder / "none"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflows,
        "AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": ours,
    }
    code = MIGRATE.replace("DROP", DROP.strip("\n").strip() if drop else "pass")
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def tables_at(url: str) -> set[str]:
    engine = open_engine(url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return {name for name in names if "integrator" in name}


ALL = {table.name for table in metadata.sorted_tables} | {VERSION_TABLE}


@pytest.mark.parametrize("drop", [False, True])
def test_tables_go_to_airflows_own_file_when_nothing_else_is_said(tmp_path, drop):
    url = f"sqlite:///{tmp_path / 'airflow.db'}"
    migrate(tmp_path, url, drop=drop)
    assert tables_at(url) == (set() if drop else ALL)


@pytest.mark.parametrize("drop", [False, True])
def test_tables_go_to_the_database_that_is_named(tmp_path, postgres_url, drop):
    airflows = f"sqlite:///{tmp_path / 'airflow.db'}"
    migrate(tmp_path, airflows, postgres_url, drop=drop)
    assert tables_at(postgres_url) == (set() if drop else ALL)
    assert tables_at(airflows) == set()


def test_our_role_may_work_with_our_rows_and_with_nothing_else(tmp_path, postgres: PostgresServer, postgres_url):
    postgres.run('DROP ROLE IF EXISTS "jour nal"')
    postgres.run("CREATE ROLE \"jour nal\" LOGIN PASSWORD 'p%40ss'")
    postgres.run("CREATE TABLE connection (secret text)", postgres_url.rpartition("/")[2])
    ours = parsed(postgres_url).set(username="jour nal", password="p%40ss").render_as_string(hide_password=False)
    with pytest.raises(StopRunError, match="refuses this role; run `airflow db migrate`"):
        upgrade(ours)
    migrate(tmp_path, postgres_url, ours)
    upgrade(ours)
    engine = open_engine(ours)
    assert revision_of(engine) == HEAD
    journal = SqlJournal(engine, stale_after_s=60)
    journal.set_cursor(KEY, "1")
    journal.set_cursor(KEY, None)
    for refused in (
        "SELECT * FROM connection",
        f"UPDATE {VERSION_TABLE} SET version_num = 'x'",
        "CREATE TABLE t (a int)",
        "DROP TABLE integrator_runs",
        "TRUNCATE integrator_runs",
        "ALTER TABLE integrator_runs ADD COLUMN a int",
    ):
        with pytest.raises(StopRunError, match=r"refuses this role|refused a statement"), writing(engine) as connection:
            connection.execute(text(refused))
    for table in metadata.sorted_tables:
        if table.name in APPEND_ONLY:
            with pytest.raises(StopRunError, match="refuses this role"), writing(engine) as connection:
                connection.execute(table.delete())
            continue
        with writing(engine) as connection:
            connection.execute(table.delete())
    with writing(engine) as connection:
        for name in ("integrator_marks", "integrator_failures"):
            connection.execute(text(f"SELECT nextval('{name}_id_seq')"))
    engine.dispose()


def test_the_role_of_workers_moves_records_and_knows_nobody(postgres: PostgresServer, postgres_url):
    """Its password is in the environment of every task, and an author of DAGs is not to give themselves a role in a project."""
    postgres.run("DROP ROLE IF EXISTS journal_worker")
    postgres.run("CREATE ROLE journal_worker LOGIN PASSWORD 'x'")
    upgrade(postgres_url)
    give(postgres_url, "journal_worker")  # as an earlier release may have given it everything
    give(postgres_url, "journal_worker", worker=True)
    engine = open_engine(parsed(postgres_url).set(username="journal_worker", password="x").render_as_string(hide_password=False))
    assert revision_of(engine) == HEAD
    journal = SqlJournal(engine, stale_after_s=60)
    journal.set_cursor(KEY, "1")
    SqlProjects(engine).wants("acme")
    SqlAudit(engine, b"key").add(Line("upkeep", "purge.run", "acme"))
    for refused in (
        "SELECT * FROM integrator_members",
        "INSERT INTO integrator_members VALUES ('acme', 'user', 'me', 'owner', 'me', now())",
        "SELECT * FROM integrator_user_sessions",
        "DELETE FROM integrator_tries",
        "DELETE FROM integrator_projects",
        "UPDATE integrator_audit SET actor = 'x'",
    ):
        with pytest.raises(StopRunError, match="refuses this role"), writing(engine) as connection:
            connection.execute(text(refused))
    for table in metadata.sorted_tables:
        if table.name not in APPEND_ONLY | OF_PEOPLE | {"integrator_projects"}:
            with writing(engine) as connection:
                connection.execute(table.delete())
    engine.dispose()


def test_a_role_that_is_not_there_is_said_so(postgres_url):
    upgrade(postgres_url)
    with pytest.raises(StopRunError, match="does not know that role"):
        give(postgres_url, "no\"body'; --")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("postgresql://a@h/d", "postgresql+psycopg2://b:x@h:5432/d", True),
        ("postgresql://a@h/d", "postgresql://a@h/e", False),
        ("postgresql://a@h/d", "postgresql://a@h:5433/d", False),
        ("postgresql://a@h/d", "sqlite:///d", False),
        ("sqlite:///d/../e.db", "sqlite:///e.db", True),
    ],
)
def test_one_database_is_known_under_two_urls(one, other, same):
    assert same_database(one, other) is same


def test_only_another_role_needs_rights():
    assert other_role("postgresql://a@h/d", "postgresql://b@h/d") == "a"
    assert other_role("postgresql://a:1@h/d", "postgresql://a:2@h/d") is None
