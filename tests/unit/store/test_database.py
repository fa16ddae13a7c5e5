"""Making connections and tables, and what is said when the database refuses."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, inspect, text

from integrator.errors import StopRunError
from integrator.model.run import (
    FlowKey,
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
from integrator.store.tables import HEAD, VERSION_TABLE, metadata
from tests.unit.store.desk import journal_at

CANARY = "canary-7f3a"


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
            sorted((_plain(one) for one in look.get_indexes(name)), key=str),
            sorted(look.get_unique_constraints(name), key=str),
        )
        for name in names
    }


def _plain(index):
    """The condition of an index as text: as SQLAlchemy gives it, two alike are not equal."""
    return index | {"dialect_options": {name: str(value) for name, value in index.get("dialect_options", {}).items()}}


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


def test_a_url_without_a_driver_gets_the_one_that_is_there():
    assert parsed("postgresql://u@h/d").drivername in ("postgresql+psycopg", "postgresql+psycopg2")
    assert parsed("postgresql+psycopg2://u@h/d").drivername == "postgresql+psycopg2"


def test_readers_do_not_wait_for_a_writer(url):
    journal = journal_at(url)
    engine = open_engine(url)
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM integrator_cursors"))
        assert journal.open_failure_ids(FlowKey("a", "b", "c"), 1) == set()
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM integrator_runs")).scalar() == 0
