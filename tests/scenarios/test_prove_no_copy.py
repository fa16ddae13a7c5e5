"""`integrator prove-no-copy`: works from an empty folder, on both databases, leaves nothing behind, and would see what it looks for."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from integrator import settings
from integrator.commands.common import open_parts
from integrator.proving.canaries import Canaries, forms_of
from integrator.proving.proof import Proof, Proving
from integrator.proving.searching import Search
from integrator.proving.stages import STAGES
from integrator.store.database import open_engine
from integrator.store.tables import APPEND_ONLY, metadata
from tests.services.demo import ROOT


def integrator(folder: Path, *words: str, **environ: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "INTEGRATOR_"))}
    command = [sys.executable, "-m", "integrator.cli", *words]
    env = {**kept, "PYTHONPATH": str(ROOT / "plugins"), **environ}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=True).stdout


def prove(folder: Path, *arguments: str, **environ: str) -> tuple[int, Any, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "INTEGRATOR_"))}
    command = [sys.executable, "-m", "integrator.cli", "prove-no-copy", "--json", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT / "plugins"), **environ},
        capture_output=True,
        text=True,
        timeout=170,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_no_copy_is_found_and_nothing_is_left_behind(tmp_path: Path, kind: str, postgres_url: str) -> None:
    environ = {} if kind == "sqlite" else {"AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": postgres_url}
    code, told, said = prove(tmp_path, "--report", "report.md", **environ)
    assert code == 0, (told, said)
    assert (told["hits"], told["complete"]) == (0, True)
    assert told["console_hits"] > 100  # while the console log was on, they are there
    assert {one["stage"] for one in told["stages"]} == {one.name for one in STAGES}
    codes = {(one["stage"], one["console_log"]): one["exit_code"] for one in told["stages"]}
    assert codes["killed in the middle (SIGKILL)", False] == -9
    assert codes["rerun: succeeds", True] == 0
    assert all(
        one["bytes"] > 0
        for one in told["searched"]
        if not one["place"].startswith(("core files", "console store", "object store"))
    )
    assert "NO COPY WAS FOUND" in (tmp_path / "report.md").read_text()
    url = postgres_url if kind == "postgres" else f"sqlite:///{tmp_path / '.integrator' / 'integrator.db'}"
    if kind == "postgres":
        assert postgres_url.rpartition("@")[0].rpartition(":")[2] not in json.dumps(told)  # the database's password
    with open_engine(url).connect() as c:
        for table in metadata.sorted_tables:
            rows = c.execute(table.select()).all()
            assert rows == [] or table.name in APPEND_ONLY, table.name
    assert json.loads(integrator(tmp_path, "audit", "verify", "--json", **environ))["whole"]
    assert not list((tmp_path / ".integrator" / "console").rglob("*.gz"))


@pytest.fixture
def proving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proving:
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "INTEGRATOR_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    open_parts(str(tmp_path / "home"))
    return Proving(settings.environment(str(tmp_path / "home")), lambda _text: None)


def leaks(proving: Proving, home: Path, how: str) -> None:
    """Leave a mark somewhere, as a fault would."""
    word = next(iter(proving._canaries.words))
    if how == "a log file":
        (home / "task.log").write_text(f"Returned value was {word}")
    elif how == "a packed file":
        (home / "task.log.gz").write_bytes(gzip.compress(word.encode()))
    elif how == "base64 in a file":
        (home / "trace.json").write_text(b64encode(f"x{word}".encode()).decode())
    elif how == "far into a large file":
        (home / "large").write_bytes(b"." * ((4 << 20) - 5) + word.encode() + b"." * 100)
    elif how == "a core file":
        (home.parent / "core.4711").write_bytes(b"\x7fELF" + word.encode())
    elif how == "the output":
        proving._said += word.encode()
    else:
        with open_engine(f"sqlite:///{home / 'integrator.db'}").begin() as c:
            c.exec_driver_sql("CREATE TABLE _airflow_deleted__xcom__2026 (value TEXT)")
            c.exec_driver_sql("INSERT INTO _airflow_deleted__xcom__2026 VALUES (?)", (f'{{"name": "{word}"}}',))


@pytest.mark.parametrize(
    "how",
    ["a log file", "a packed file", "base64 in a file", "far into a large file", "a core file", "the output", "an archive table"],
)
def test_a_copy_would_be_found(proving: Proving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr("integrator.proving.proof.STAGES", STAGES[9:11])
    monkeypatch.setattr(proving, "_refuse_blind", lambda _search: leaks(proving, tmp_path / "home", how))
    proof: Proof = proving.make()
    assert proof.hits >= 1
    assert [one.place for one in proof.searched if one.hits]


def test_what_cannot_be_searched_is_not_proven(proving: Proving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integrator.proving.proof.STAGES", STAGES[9:11])
    proving._environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = "postgresql://nobody:secret-of-it@127.0.0.1:1/none"
    proof = proving.make()
    assert (proof.hits, proof.complete) == (0, False)
    assert any(one.fault for one in proof.searched)
    assert "secret-of-it" not in repr(proof)


def test_every_form_of_a_mark_is_seen() -> None:
    canaries = Canaries()
    for number in range(3):
        canaries.record(number)
    search = Search(canaries.forms())
    for word in canaries.words:
        for form in forms_of(word):
            assert search.count(b"a" + form + b"b") >= 1
        for before in range(7):
            packed = b64encode(b"x" * before + word.encode() + b"behind it")
            assert search.count(packed) >= 1, (word, before)
        assert search.count(gzip.compress(b"1" * 100 + word.encode())) == 1
    assert search.count(b"nothing of the kind" * 1000) == 0
    assert search.count(b"\x1f\x8bbroken off") == 0
