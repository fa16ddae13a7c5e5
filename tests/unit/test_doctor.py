"""`integrator doctor`: each thing that is wrong is found and told with its cure; what is well is not complained of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import jwt
import pytest
from sqlalchemy import insert

from integrator.actions.credentials import Found
from integrator.commands.doctor_checks import Finding, Patient, examine
from integrator.model.credential import Credential
from integrator.model.project import Wants
from integrator.model.retention import Purged
from integrator.settings import Settings
from integrator.store.audit import SqlAudit
from integrator.store.database import open_engine, upgrade, writing
from integrator.store.projects import SqlProjects
from integrator.store.purge_notes import Who, note_purge
from integrator.store.tables import runs
from tests.scenarios.test_p4_links import raw
from tests.services.demo import ROOT
from tests.services.ministack import REGION, Ministack
from tests.services.moving import HASH_KEY

JWT = "j" * 64
FERNET = "x" * 43 + "="
WELL = {
    ("core", "auth_manager"): "integrator.sign_in.IntegratorAuthManager", ("fab", "session_backend"): "database",
    ("api_auth", "jwt_expiration_time"): "900", ("core", "hide_sensitive_var_conn_fields"): "True", ("logging", "logging_level"): "INFO",
    ("api", "base_url"): "https://airflow.example.com",
}  # fmt: skip
"""What Airflow's settings say where all is well; `_api_server` adds where tasks ask."""


class Asked(BaseHTTPRequestHandler):
    """The part of the API server that tasks ask, as it answers a task of another project."""

    answer: ClassVar[tuple[int, str]] = (403, '{"detail": {"reason": "access_denied"}}')

    def do_GET(self) -> None:
        token = self.headers["Authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, JWT, algorithms=["HS512"], audience="urn:airflow.apache.org:task")
        assert uuid.UUID(claims["sub"])
        assert self.path == "/execution/connections/doctor__probe"
        status, text = self.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as its parent has it
        del format, args


@pytest.fixture(autouse=True)
def _api_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Asked) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        monkeypatch.setitem(WELL, ("core", "execution_api_server_url"), f"http://127.0.0.1:{server.server_port}/execution/")
        monkeypatch.setitem(WELL, ("api_auth", "jwt_secret"), JWT)
        yield
        server.shutdown()


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    upgrade(url)
    tmp_path.chmod(0o700)
    settings = Settings(sql_alchemy_conn=url, hash_key=HASH_KEY, home=str(tmp_path))
    return Patient(
        {"AIRFLOW__CORE__FERNET_KEY": FERNET, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url},
        settings,
        lambda section, name: WELL.get((section, name), ""),
    )


def bad(patient: Patient) -> list[Finding]:
    return [one for one in examine(patient) if one.level != "ok"]


def test_where_all_is_well_nothing_is_said(patient: Patient) -> None:
    assert bad(patient) == []
    assert bad(replace(patient, airflow=None)) == []


AIRFLOW = [
    (("core", "auth_manager"), "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager", "grave", "member of which project"), (("fab", "session_backend"), "securecookie", "grave", "cookie"),
    (("api_auth", "jwt_expiration_time"), "86400", "warning", "86400 seconds"), (("core", "hide_sensitive_var_conn_fields"), "False", "grave", "does not mask"), (("logging", "logging_level"), "DEBUG", "warning", "DEBUG"),
    (("logging", "remote_logging"), "True", "warning", "stay on each worker"), (("api", "base_url"), "http://airflow.example.com", "warning", "plain http"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "value", "level", "said"), AIRFLOW)
def test_what_is_wrong_with_airflow_is_found(patient: Patient, where: tuple[str, str], value: str, level: str, said: str) -> None:
    [found] = bad(
        replace(patient, airflow=lambda section, name: value if (section, name) == where else WELL.get((section, name), ""))
    )
    assert (found.level, bool(found.cure)) == (level, True)
    assert said in found.what


@pytest.mark.parametrize(
    ("answer", "level", "said"),
    [
        ((200, '{"conn_id": "x"}'), "warning", "connections of every project"),
        ((404, '{"detail": {"reason": "not_found"}}'), "warning", "connections of every project"),
        ((307, ""), "warning", "connections of every project"),
        ((403, '{"detail": "Invalid auth token"}'), "warning", "did not believe"),
        ((401, ""), "warning", "did not believe"),
    ],
)
def test_an_api_server_that_does_not_ask_tasks_is_found(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, str], level: str, said: str
) -> None:
    monkeypatch.setattr(Asked, "answer", answer)
    [found] = bad(patient)
    assert (found.level, bool(found.cure), said in found.what) == (level, True, True), found
    if "every project" in said:
        production = replace(patient, settings=replace(patient.settings, environment="production"))
        assert [one.level for one in bad(production) if said in one.what] == ["grave"]


def test_what_could_not_be_asked_is_said(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WELL, ("core", "execution_api_server_url"), "http://127.0.0.1:1/execution/")
    assert "nobody answers at http://127.0.0.1:1" in bad(patient)[0].what
    monkeypatch.setitem(WELL, ("api_auth", "jwt_secret"), "")
    assert "key of tokens is not known" in bad(patient)[0].what


OURS: list[tuple[dict[str, Any], dict[str, str], str, str]] = [
    ({}, {"AIRFLOW__CORE__FERNET_KEY": ""}, "grave", "no Fernet key"), ({}, {"AIRFLOW__CORE__FERNET_KEY": "short"}, "grave", "no Fernet key"), ({"hash_key": ""}, {}, "grave", "no hash key"),
    ({"allowed_networks": "0.0.0.0/0"}, {}, "grave", "nearly everything"), ({"allowed_networks": "ten"}, {}, "grave", "CIDR"), ({"sql_alchemy_conn": "nonsense"}, {}, "grave", "not a SQLAlchemy URL"),
    ({"sql_alchemy_conn": "postgresql://u:secret-of-it@127.0.0.1:1/x?sslmode=require"}, {}, "grave", "no tables"), ({"sql_alchemy_conn": "sqlite:////nowhere/x.db"}, {}, "warning", "no journal yet"),
    ({"console_store": "s3://"}, {}, "grave", "s3://bucket/prefix"), ({"environment": "production"}, {}, "warning", "one machine alone"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "environ", "level", "said"), OURS)
def test_what_is_wrong_with_us_is_found(
    patient: Patient, settings: dict[str, Any], environ: dict[str, str], level: str, said: str
) -> None:
    found = bad(replace(patient, settings=replace(patient.settings, **settings), environ={**patient.environ, **environ}))
    assert [(one.level, bool(one.cure)) for one in found if said in one.what] == [(level, True)], found
    assert "secret-of-it" not in repr(found)


def kept(patient: Patient, days: float, purges: dict[str, tuple[float, int]] | None = None, plan: str = "standard") -> None:
    """Keep a run so many days old, and note purges that ended so many days ago with so many faults."""
    engine, now = open_engine(patient.settings.database_url), datetime.now(UTC)
    with writing(engine) as c:
        c.execute(
            insert(runs).values(
                id="r", project="acme", pipe="p", trigger="manual", pipe_version="", started_at=now - timedelta(days=days)
            )
        )
    SqlProjects(engine).set("acme", Wants(plan=plan), "a test")
    for what, (ago, faults) in (purges or {}).items():
        told = [Purged("acme", "standard", fault="it refuses")] * faults
        note_purge(engine, SqlAudit(engine, b"key"), Who("a test"), what, told, now - timedelta(days=ago))
    engine.dispose()


WAY = {"INTEGRATOR_MAINTENANCE_CONN": "postgresql://u:secret-of-it@db/airflow"}
PURGES: list[tuple[dict[str, Any], dict[str, str], list[str]]] = [
    ({"days": 1}, WAY, []),
    ({"days": 1}, {}, ["warning: no purge of what Airflow keeps of our pipes has ended yet, and there is no maintenance connection"]),
    ({"days": 9}, WAY, ["grave: no purge of our own rows and console logs has ever", "grave: no purge of what Airflow keeps of our pipes has ever"]),
    ({"days": 9, "purges": {"ours": (0.5, 0)}}, {}, ["grave: no purge of what Airflow keeps of our pipes has ended yet"]),
    ({"days": 9, "purges": {"ours": (1.9, 0), "airflow": (1.9, 0)}}, {}, []),
    ({"days": 9, "purges": {"ours": (3, 0), "airflow": (5, 0)}}, {}, ["grave: the last purge of our own rows and console logs ended 3 days ago", "grave: the last purge of what Airflow keeps of our pipes ended 5"]),
    ({"days": 9, "purges": {"ours": (1, 2), "airflow": (1, 0)}}, {}, ["warning: the last purge of our own rows and console logs could not purge 2 projects"]),
    ({"days": 1, "plan": "gold"}, WAY, ["grave: project acme has the plan 'gold', which there is not"]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "environ", "said"), PURGES)
def test_purges_that_do_not_come_to_their_end_are_found(
    patient: Patient, what: dict[str, Any], environ: dict[str, str], said: list[str]
) -> None:
    kept(patient, **what)
    settings = replace(patient.settings, environment="production")
    found = bad(replace(patient, settings=settings, environ={"AIRFLOW__CORE__FERNET_KEY": FERNET, **environ}))
    told = [f"{one.level}: {one.what}" for one in found if "SQLite file" not in one.what]
    assert [line[: len(start)] for line, start in zip(told, said, strict=True)] == said
    assert all(one.cure for one in found)
    assert "secret-of-it" not in repr(found)


@pytest.mark.parametrize("setting", [{"plans": "gold"}, {"platform_plan": "gold"}])
def test_plans_that_are_not_there_are_found(patient: Patient, setting: dict[str, str]) -> None:
    [found] = list(bad(replace(patient, settings=replace(patient.settings, **setting), environ={**patient.environ, **WAY})))
    assert (found.level, "gold" in found.what, bool(found.cure)) == ("warning", True, True)


def test_a_home_that_others_may_read_is_found(patient: Patient) -> None:
    home = Path(patient.settings.home)
    (home / "env").write_text("x")
    (home / "env").chmod(0o644)
    home.chmod(0o755)
    assert sorted(one.cure for one in bad(patient)) == [f"chmod 600 {home / 'env'}", f"chmod 700 {home}"]


@pytest.fixture
def bucket(ministack: Ministack, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Any]]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ministack.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ministack.secret_access_key)
    name, client = f"doctor-{uuid.uuid4().hex[:10]}", raw(ministack)
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield name, client
    client.close()


def test_a_bucket_is_looked_at(patient: Patient, ministack: Ministack, bucket: tuple[str, Any]) -> None:
    name, client = bucket
    there = replace(patient.settings, console_store=f"s3://{name}/console", console_endpoint=ministack.url, console_region=REGION)
    sick = replace(patient, settings=there)
    client.delete_public_access_block(Bucket=name)
    assert "does not block public access" in " ".join(one.what for one in bad(sick))
    assert "without TLS" in " ".join(one.what for one in bad(sick))
    everything = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}
    client.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=everything)
    rule = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    client.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=rule)
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObjectAcl",
        "Resource": f"arn:aws:s3:::{name}/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    client.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert bad(sick) == []
    missing = replace(patient, settings=replace(there, console_store="s3://no-such-bucket-at-all"))
    assert [one.level for one in bad(missing)] == ["grave"]


@pytest.mark.parametrize(("environment", "code"), [("development", 0), ("production", 1)])
def test_in_production_what_is_grave_fails(tmp_path: Path, environment: str, code: int) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "INTEGRATOR_"))}
    done = subprocess.run(
        [sys.executable, "-m", "integrator.cli", "doctor", "--home", str(tmp_path / "home"), "--json"],
        env={**kept, "PYTHONPATH": str(ROOT / "plugins"), "AIRFLOW__INTEGRATOR__ENVIRONMENT": environment}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    told = json.loads(done.stdout)
    assert (told["environment"], told["grave"] >= 2) == (environment, True)
    assert not (tmp_path / "home").exists()  # it looks, and makes nothing


def test_a_credential_that_its_project_does_not_allow_is_told(patient: Patient) -> None:
    SqlProjects(open_engine(patient.settings.database_url)).set(
        "acme", Wants(egress=("api.example.com",), production=True), "a test"
    )
    known = {
        "acme__good": Found("Airflow", Credential("acme", "good", "none", "https://api.example.com", {})),
        "acme__far": Found("Airflow", Credential("acme", "far", "none", "https://far.example.com", {})),
        "acme__plain": Found("Airflow", Credential("acme", "plain", "none", "http://127.0.0.1", {"plain_http": True})),
        "acme__lost": Found("Airflow", "it was encrypted with another key"),
        "other__far": Found("Airflow", Credential("other", "far", "none", "https://far.example.com", {})),
        "other__bad": Found("environment", Credential("other", "bad", "basic", "https://x.example", {"passwrd": "s"})),
    }
    told = {one.what.split()[1]: one for one in bad(replace(patient, credentials=lambda: known))}
    assert set(told) == {"acme__far", "acme__plain", "acme__lost", "other__bad"}
    assert "egress list" in told["acme__far"].what
    assert "production project" in told["acme__plain"].what
    assert {one.level for one in told.values()} == {"warning"}
