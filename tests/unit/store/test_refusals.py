"""What is said when the database refuses, and what is never said."""

from __future__ import annotations

import traceback

import pytest
from sqlalchemy import event, text

from integrator.errors import ConfigError, StopRunError, TryAgainError
from integrator.model.run import (
    Counts,
    Failure,
    Notes,
    RunKey,
    Status,
    Trigger,
)
from integrator.store import database
from integrator.store.database import (
    open_engine,
    parsed,
    upgrade,
    writing,
)
from integrator.store.journal import SqlJournal
from tests.unit.store.conftest import KEY
from tests.unit.store.desk import journal_at

CANARY = "canary-7f3a"


@pytest.mark.parametrize("bad", ["", "nonsense", "mysql://root:hush@h/d", "postgresql://u:hush@h:port/d"])
def test_a_url_of_no_use_is_refused_without_its_password(bad):
    with pytest.raises(ConfigError, match="sql_alchemy_conn") as caught:
        open_engine(bad)
    assert "hush" not in "".join(traceback.format_exception(caught.value, chain=False))


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
        pages.append(connection.execute("PRAGMA max_page_count = 80").fetchone()[0])

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
