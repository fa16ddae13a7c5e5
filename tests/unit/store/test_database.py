"""Making connections and tables, and what is said when the database refuses."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import traceback

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, inspect, text

from integrator.errors import ConfigError, StopRunError, TryAgainError
from integrator.model.run import (
    Counts,
    Failure,
    FlowKey,
    Notes,
    RunKey,
    Status,
    Trigger,
)
from integrator.store import database
from integrator.store.database import (
    ALEMBIC_FILE,
    MIGRATIONS,
    open_engine,
    parsed,
    reading,
    revision_of,
    upgrade,
    writing,
)
from integrator.store.journal import SqlJournal
from integrator.store.tables import HEAD, VERSION_TABLE, metadata
from tests.unit.store.conftest import KEY

CANARY = "canary-7f3a"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture(autouse=True)
def _dispose_of_engines(monkeypatch):
    made, make = [], database.create_engine

    def making(*args, **kwargs):
        made.append(make(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(database, "create_engine", making)
    yield
    for engine in made:
        engine.dispose()


def journal_at(url: str) -> SqlJournal:
    upgrade(url)
    return SqlJournal(open_engine(url), stale_after_s=60)


def test_the_newest_revision_is_the_one_we_name():
    config = Config()
    config.set_main_option("script_location", MIGRATIONS.as_posix())
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_models_and_revisions_make_the_same_tables(url):
    upgrade(url)
    engine = open_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "version_table": VERSION_TABLE,
                "target_metadata": metadata,
            },
        )
        assert compare_metadata(context, metadata) == []
    names = {table.name for table in metadata.sorted_tables}
    migrated = described(engine, names)
    with writing(engine) as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
    assert described(engine, names) == migrated


def described(engine, names):
    """What a database says of tables, constraints with their names included."""
    look = inspect(engine)
    return {
        name: (
            [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in look.get_columns(name)],
            look.get_pk_constraint(name),
            look.get_foreign_keys(name),
            sorted(look.get_indexes(name), key=str),
            sorted(look.get_unique_constraints(name), key=str),
        )
        for name in names
    }


def test_all_our_tables_have_our_name():
    assert all(table.name.startswith("integrator_") for table in metadata.sorted_tables)


def test_a_revision_can_be_undone(url):
    upgrade(url)
    engine = open_engine(url, foreign_keys=False)
    config = Config(ALEMBIC_FILE.as_posix())
    config.set_main_option("script_location", MIGRATIONS.as_posix())
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert inspect(engine).get_table_names() == [VERSION_TABLE]
    upgrade(url)


def test_upgrading_what_is_new_already_is_one_select(url, monkeypatch):
    upgrade(url)
    said, make = [], open_engine

    def listening(*args, **kwargs):
        engine = make(*args, **kwargs)
        event.listen(engine, "before_cursor_execute", lambda _c, _k, statement, *_: said.append(statement))
        return engine

    monkeypatch.setattr(database, "open_engine", listening)
    upgrade(url)
    assert [" ".join(one.split()) for one in said if one != "BEGIN"] == [f"SELECT version_num FROM {VERSION_TABLE}"]


def test_upgrading_what_is_new_already_does_not_import_alembic(sqlite_url):
    upgrade(sqlite_url)
    code = "import sys; from integrator.store.database import upgrade; upgrade(sys.argv[1]); sys.exit('alembic' in sys.modules)"
    subprocess.run([sys.executable, "-c", code, sqlite_url], check=True)


def test_many_processes_may_upgrade_at_once(url):
    code = "import sys; from integrator.store.database import upgrade; input(); upgrade(sys.argv[1])"
    children = [
        subprocess.Popen([sys.executable, "-c", code, url], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(5)
    ]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    assert [child.communicate(timeout=60)[1] for child in children] == [""] * 5
    assert [child.returncode for child in children] == [0] * 5
    engine = open_engine(url)
    assert revision_of(engine) == HEAD


def test_upgrading_says_nothing(url, capfd, caplog):
    upgrade(url)
    assert capfd.readouterr() == ("", "")


def test_tables_of_a_newer_version_are_left_alone(url):
    upgrade(url)
    engine = open_engine(url)
    with writing(engine) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(StopRunError, match="newer version"):
        upgrade(url)


def test_a_new_file_is_its_users_alone_and_waits_for_writers(tmp_path):
    old = os.umask(0)
    try:
        engine = open_engine(f"sqlite:///{tmp_path / 'new' / 'journal.db'}")
        with writing(engine) as connection:
            connection.execute(text("CREATE TABLE t (a INTEGER)"))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
            asked = [
                connection.execute(text(f"PRAGMA {name}")).scalar()
                for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
            ]
    finally:
        os.umask(old)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert asked == ["wal", 1, 30_000, 1]


@pytest.mark.parametrize("bad", ["", "nonsense", "mysql://root:hush@h/d", "postgresql://u:hush@h:port/d"])
def test_a_url_of_no_use_is_refused_without_its_password(bad):
    with pytest.raises(ConfigError, match="sql_alchemy_conn") as caught:
        open_engine(bad)
    assert "hush" not in "".join(traceback.format_exception(caught.value, chain=False))


def test_a_url_without_a_driver_gets_the_one_that_is_there():
    assert parsed("postgresql://u@h/d").drivername in ("postgresql+psycopg", "postgresql+psycopg2")
    assert parsed("postgresql+psycopg2://u@h/d").drivername == "postgresql+psycopg2"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StopRunError, match=r"file/journal\.db cannot be created"):
        open_engine(f"sqlite:///{tmp_path / 'file' / 'journal.db'}")


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "journal.db").write_text("no database " * 100)
    with pytest.raises(StopRunError, match=r"journal\.db is not a SQLite file"):
        upgrade(f"sqlite:///{tmp_path / 'journal.db'}")


def test_a_locked_file_may_be_tried_again(sqlite_url, monkeypatch):
    journal = journal_at(sqlite_url)
    monkeypatch.setattr(database, "BUSY_S", 0)
    impatient = SqlJournal(open_engine(sqlite_url), stale_after_s=60)
    engine = open_engine(sqlite_url)
    with writing(engine), pytest.raises(TryAgainError, match=r"journal\.db is locked by another process"):
        impatient.set_cursor(KEY, "1")
    with writing(engine):
        assert impatient.cursor(KEY) is None
    impatient.set_cursor(KEY, "1")
    assert journal.cursor(KEY).value == "1"


def test_a_journal_without_tables_says_how_to_make_them(url):
    journal = SqlJournal(open_engine(url), stale_after_s=60)
    with pytest.raises(StopRunError, match="no tables of ours yet; run `airflow db migrate`"):
        journal.runs(None, None, 5)


def test_a_full_disk_is_named_and_loses_nothing_that_was_written(sqlite_url):
    upgrade(sqlite_url)
    engine = open_engine(sqlite_url)
    pages = []

    @event.listens_for(engine, "connect")
    def _small(connection, _record):
        pages.append(connection.execute("PRAGMA max_page_count = 60").fetchone()[0])

    journal = SqlJournal(engine, stale_after_s=60)
    opened = journal.open_flow_run(KEY, RunKey("run", Trigger.SCHEDULE), "me")
    noted = 0
    with pytest.raises(StopRunError, match=r"journal\.db has no room left on its disk") as caught:
        while noted < 1000:
            ids = [f"{CANARY}-{noted}-{number}" for number in range(20)]
            notes = Notes(Counts(read=20, failed=20), [Failure(one, "load", "X") for one in ids], marks=bytearray(4000))
            journal.note(opened.flow_run_id, "me", notes)
            noted += 1
    assert pages and noted > 0
    assert CANARY not in str(caught.value)
    again = journal_at(sqlite_url)
    assert len(again.failures("acme", "orders")) == 20 * noted
    found = again.open_flow_run(KEY, RunKey("run", Trigger.SCHEDULE), "me")
    assert (found.counts.failed, len(found.own_marks)) == (20 * noted, 4000 * noted)
    again.close_flow_run(found.flow_run_id, "me", Status.PARTIAL)


@pytest.mark.parametrize("entity_id", [f"{CANARY}{'x' * 300}", f"{CANARY}\0", f"{CANARY}\ud800"])
def test_a_refused_value_is_not_repeated_in_the_error(url, entity_id):
    journal = journal_at(url)
    opened = journal.open_flow_run(KEY, RunKey("run", Trigger.SCHEDULE), "me")
    try:
        journal.note(opened.flow_run_id, "me", Notes(failures=[Failure(entity_id, "load", "X")]))
    except StopRunError as error:
        assert CANARY not in "".join(traceback.format_exception(error))
        assert "refused a statement" in str(error)
        assert journal.failures("acme", "orders") == []
    else:
        assert [row.entity_id for row in journal.failures("acme", "orders")] == [entity_id]


def test_a_lost_connection_may_be_tried_again(postgres, postgres_url):
    journal = journal_at(postgres_url)
    engine = open_engine(postgres_url)
    with pytest.raises(TryAgainError, match="busy or cannot be reached"), writing(engine) as connection:
        connection.execute(text("SELECT 1"))
        name = postgres_url.rpartition("/")[2]
        postgres.run(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        )
        connection.execute(text("SELECT 1"))
    assert journal.cursor(KEY) is None


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"port": 1}, TryAgainError, "cannot be reached"),
        ({"password": "hush"}, StopRunError, "let us in|refuses the password"),
        ({"database": "nowhere"}, StopRunError, "let us in|is not there"),
    ],
)
def test_who_cannot_connect_is_told_why_without_the_password(postgres, change, error, words):
    url = parsed(postgres.url()).set(**change).render_as_string(hide_password=False)
    with pytest.raises(error, match=words) as caught:
        upgrade(url)
    said = "".join(traceback.format_exception(caught.value))
    assert "hush" not in said
    assert postgres.password not in said


def test_no_room_left_on_the_servers_disk_is_said_so(postgres_url):
    engine = open_engine(postgres_url)
    with pytest.raises(StopRunError, match="no room left on its server's disk"), writing(engine) as connection:
        connection.execute(text("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '53100'; END $$"))


def test_readers_do_not_wait_for_a_writer(url):
    journal = journal_at(url)
    engine = open_engine(url)
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM integrator_cursors"))
        assert journal.open_failure_ids(FlowKey("a", "b", "c"), 1) == set()
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM integrator_runs")).scalar() == 0
