"""After a restored backup: what had expired or been deleted goes again, nothing stale is used, and cursors wait to be looked at."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, text, update

from integrator.model.console import Content, Switch
from integrator.model.project import Wants
from integrator.store.console import SqlConsole
from integrator.store.database import writing
from integrator.store.ledger import CREDENTIAL, Deleted, Ledger
from integrator.store.projects import SqlProjects
from integrator.store.tables import cursors, failures, flow_runs, sessions, tokens
from tests.services.airflow_schema import NOW
from tests.services.demo import ROOT
from tests.services.installation import Installation, audit

RESTORE = ("after-restore", "--yes", "--json")


def backed_up(there: Installation) -> None:
    """Fill in what a living installation has, and make a backup of it."""
    SqlProjects(there.engine).set("acme", Wants(plan="enterprise"), "a test")
    now = datetime.now(UTC)
    SqlConsole(there.engine).enable(Switch("acme", "sync", frozenset({Content.CALL}), now, 50, "x", now), 24)
    with writing(there.engine) as c:
        c.execute(insert(tokens).values(credential="acme__shop", content="sealed", state="good", updated_at=NOW))
        c.execute(insert(sessions).values(id="s", credential="acme__erp", owner="x", content="sealed", opened_at=NOW))
        c.execute(
            insert(cursors).values(
                project="demo", pipe="orders", flow="orders", value="2026-01-01T00:00:00Z", seen=b"", updated_at=NOW
            )
        )
        c.execute(update(failures).where(failures.c.run_id == "acme-sync-1").values(state="retrying", lease_flow_run_id="gone"))
        c.execute(update(failures).where(failures.c.project == "foreign").values(last_failed_at=NOW - timedelta(days=40)))
    there.engine.dispose()
    shutil.copyfile(there.folder / "airflow.db", there.folder / "backup.db")


def restored(there: Installation) -> None:
    there.engine.dispose()
    for file in there.folder.glob("airflow.db*"):
        file.unlink()
    shutil.copyfile(there.folder / "backup.db", there.folder / "airflow.db")


def rows(there: Installation, *columns: Any) -> list[Any]:
    with there.engine.connect() as c:
        return [tuple(row) for row in c.execute(select(*columns))]


def test_what_was_gone_goes_again_and_nothing_stale_stays(installation: tuple[Installation, Any]) -> None:
    there, call = installation
    backed_up(there)
    assert call("delete", "acme/other", "--before", "2026-05-25", "--yes", "--json").returncode == 0
    assert call("console", "delete", "--run", "acme-sync-10", "--yes").returncode == 0
    there.objects.put("acme/sync/later/items-1/0.jsonl.gz", b"written after the backup")
    restored(there)
    told = json.loads(call(*RESTORE).stdout)
    left = there.left(cursors_kept=4)
    assert left["integrator_runs"] == ["acme-other-1", "acme-sync-0", "acme-sync-1", "acme-sync-10"]
    assert (told["ended_runs"], told["deletions_repeated"], told["faults"]) == (1, 2, [])
    assert (told["tokens_dropped"], told["switched_off"], told["unknown_objects"]) == (["acme__erp", "acme__shop"], 1, 1)
    assert rows(there, flow_runs.c.status, flow_runs.c.error, flow_runs.c.ended_at).count(("failed", "RestoredError", NOW)) == 1
    assert set(rows(there, failures.c.project, failures.c.state)) == {("acme", "open")}  # the other project's were expired
    assert rows(there, tokens.c.credential) == rows(there, sessions.c.id) == []
    assert SqlConsole(there.engine).logs(run_id="acme-sync-10") == []
    assert left["dag_run"] == [
        "acme.other manual__1_success",
        "acme.sync manual__0_running",
        "acme.sync manual__10_success",
        "acme.sync manual__1_success",
    ]
    assert "acme-sync-10" not in left["objects"]
    assert [line.line.action for line in audit(there).lines("")] == ["restore.after"]
    again = json.loads(call(*RESTORE).stdout)
    assert (again["deleted"], again["ended_runs"], again["tokens_dropped"], again["unknown_objects"]) == ({}, 0, [], 0)


def test_a_restored_cursor_is_shown_until_somebody_looked_at_it(installation: tuple[Installation, Any]) -> None:
    there, call = installation
    backed_up(there)
    assert json.loads(call(*RESTORE).stdout)["cursors_to_check"] == 4
    dags = ("--dags", str(ROOT / "dags"))
    for command in (("cursor", "show", "demo/orders", *dags), ("runs", "demo/orders")):
        assert "came out of a backup" in call(*command).stderr
    assert "4 cursors came out of a backup" in call("doctor").stdout
    assert json.loads(call("cursor", "keep", "demo/orders", *dags, "--json").stdout) == {"kept": 1}
    assert "came out of a backup" not in call("cursor", "show", "demo/orders", *dags).stderr
    assert call("runs").stderr.count("came out of a backup") == 3


def test_it_is_refused_while_something_moves_and_where_nobody_is_asked(installation: tuple[Installation, Any]) -> None:
    there, call = installation
    backed_up(there)
    asked = call("after-restore")
    assert (asked.returncode, "say with --yes" in asked.stderr) == (2, True)
    with writing(there.engine) as c:
        c.execute(update(flow_runs).where(flow_runs.c.status == "running").values(heartbeat_at=datetime.now(UTC)))
    refused = call(*RESTORE)
    assert (refused.returncode, "acme/sync is moving records" in refused.stderr) == (2, True)
    assert rows(there, tokens.c.credential) == [("acme__shop",)]


def test_only_a_credential_that_was_removed_after_the_backup_is_removed_again(installation: tuple[Installation, Any]) -> None:
    there, call = installation
    for number, name in enumerate(("acme__shop", "acme__erp", "acme__other"), 1):
        there.airflow.add("connection", id=number, conn_id=name, conn_type="integrator_none")
    backed_up(there)
    ledger = Ledger(there.objects)
    ledger.note(Deleted(CREDENTIAL, "acme", datetime.now(UTC), "cli:x", "shop"))
    ledger.note(Deleted(CREDENTIAL, "acme", NOW - timedelta(days=1), "cli:x", "erp"))  # and made again before the backup
    assert json.loads(call(*RESTORE).stdout)["credentials_removed"] == ["acme__shop"]
    with there.engine.connect() as c:
        assert sorted(c.scalars(text("SELECT conn_id FROM connection"))) == ["acme__erp", "acme__other"]
