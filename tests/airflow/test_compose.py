"""The deployment's files: compose takes them, no secret stands in them, and our own command makes what they need."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet

from integrator.launching import platform_env
from integrator.settings import MAINTENANCE_VARIABLE
from tests.services.demo import ROOT
from tests.services.platform import launcher_environ

COMPOSE = ROOT / "docker-compose.yaml"
SERVICES = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]
NO_DATABASE = "postgresql+psycopg2://nobody@localhost:1/none"
ONE_SHOT = {"migrate"}
OWN = {"AIRFLOW__CORE__EXECUTOR", "AIRFLOW__API__WORKERS", "AIRFLOW__API__HOST", "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES",
       "AIRFLOW__LOGGING__NAMESPACE_LEVELS"}  # fmt: skip
"""Settings of the embedded platform that a deployment sets otherwise, or leaves to Airflow."""


def env_command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "integrator.cli", "env", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=launcher_environ())


def read(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text("utf-8").splitlines() if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An env file that the command wrote, and what it said."""
    file = tmp_path_factory.mktemp("env") / "deploy" / ".env"
    done = env_command(file)
    assert done.returncode == 0, done.stderr
    return file, done.stdout + done.stderr


def test_the_env_file_is_for_one_user_and_its_secrets_are_shown_by_nobody(written: tuple[Path, str]) -> None:
    file, said = written
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secrets = {name: value for name, value in read(file).items() if len(value) > 10}
    assert len(secrets) == 14
    assert [name for name, value in secrets.items() if value in said] == []
    assert len(set(secrets.values())) == len(secrets)
    assert (
        Fernet(secrets["AIRFLOW__CORE__FERNET_KEY"]).decrypt(Fernet(secrets["AIRFLOW__CORE__FERNET_KEY"]).encrypt(b"x")) == b"x"
    )
    assert re.fullmatch(r"[0-9a-f]{64}", secrets["S3_ENCRYPTION_KEY"])
    assert all(re.fullmatch(r"[\w-]+=*", value) for value in secrets.values())


def test_an_env_file_is_never_overwritten(written: tuple[Path, str]) -> None:
    before = written[0].read_text("utf-8")
    done = env_command(written[0])
    assert (done.returncode, written[0].read_text("utf-8")) == (2, before)
    assert "was not changed" in done.stderr
    assert env_command(written[0].parent).returncode == 2


def test_two_env_files_share_no_secret(written: tuple[Path, str], tmp_path: Path) -> None:
    assert env_command(tmp_path / "other").returncode == 0
    other, first = read(tmp_path / "other"), read(written[0])
    assert [name for name, value in first.items() if len(value) > 10 and other[name] == value] == []


def test_the_example_names_the_same_variables_and_no_secret(written: tuple[Path, str]) -> None:
    example = read(ROOT / "deploy" / "env.example")
    assert {*example} == {*read(written[0])}
    assert {name for name, value in example.items() if value} == {"INTEGRATOR_ADMIN_USER", "INTEGRATOR_PORT"}
    ignored = (ROOT / ".gitignore").read_text().split()
    assert "/deploy/.env" in ignored


def _compose() -> list[str]:
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    assert shutil.which("docker-compose"), "install Debian's docker-compose; no engine is needed"
    return ["docker-compose"]


def test_compose_takes_the_file_with_the_env_file_and_says_what_to_do_without(written: tuple[Path, str], tmp_path: Path) -> None:
    command = [*_compose(), "-f", str(COMPOSE), "--env-file"]
    done = subprocess.run([*command, str(written[0]), "config"], capture_output=True, text=True, env=launcher_environ())
    assert done.returncode == 0, done.stderr
    made = yaml.safe_load(done.stdout)
    assert {*made["services"]} == {*SERVICES}
    (tmp_path / "empty").touch()
    done = subprocess.run([*command, str(tmp_path / "empty"), "config"], capture_output=True, text=True, env=launcher_environ())
    assert done.returncode != 0
    assert "integrator env" in done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_watched_pinned_and_holds_no_secret(name: str) -> None:
    service: dict[str, Any] = SERVICES[name]
    assert ("healthcheck" in service) != (name in ONE_SHOT)
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
    assert re.search(r":[^:/]*\d+\.\d+", service["image"]), service["image"]
    assert "latest" not in service["image"]
    for variable, value in service.get("environment", {}).items():
        named = re.search(r"PASSWORD|SECRET|KEY|CONN$|BROKER_URL|BACKEND$", variable)
        if named and not variable.endswith("SESSION_BACKEND") and value != NO_DATABASE:
            assert re.search(r"\$\{\w+:\?", str(value)), variable


def test_a_service_is_handed_only_the_secrets_it_needs() -> None:
    def named(service: str) -> set[str]:
        return set(re.findall(r"\$\{(\w+):\?", str(SERVICES[service])))

    assert named("store") == {"S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_ENCRYPTION_KEY"}
    assert named("broker") == {"BROKER_PASSWORD"}
    assert named("watcher") == {"INTEGRATOR_DB_PASSWORD"}
    assert named("retention") == {"AIRFLOW_DB_PASSWORD", "INTEGRATOR_DB_PASSWORD", "AIRFLOW__INTEGRATOR__HASH_KEY"}
    for service in ("api-server", "scheduler", "dag-processor", "triggerer", "worker"):
        assert not named(service) & {"POSTGRES_PASSWORD", "INTEGRATOR_ADMIN_PASSWORD", "S3_SECRET_KEY"}


def test_only_the_purge_is_handed_the_maintenance_connection() -> None:
    assert [name for name, service in SERVICES.items() if MAINTENANCE_VARIABLE in str(service)] == ["retention"]


def test_the_deployment_sets_what_the_embedded_platform_sets() -> None:
    embedded = {
        name: value for name, value in platform_env.defaults().items() if name not in OWN | {"AIRFLOW__CORE__PARALLELISM"}
    }
    deployed = SERVICES["scheduler"]["environment"]
    assert {name: str(deployed.get(name)) for name in embedded} == embedded


def test_only_loopback_is_published_and_only_the_api_server() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api-server": ["${INTEGRATOR_LISTEN:-127.0.0.1}:${INTEGRATOR_PORT:-8080}:8080"]}


def test_the_image_runs_as_nobody_special_and_installs_by_hash() -> None:
    lines = (ROOT / "Dockerfile").read_text("utf-8")
    assert re.findall(r"^USER (.*)$", lines, re.MULTILINE)[-1] == "50000:0"
    assert lines.count("--require-hashes --no-deps") == 2
    assert all(":" in image for image in re.findall(r"^FROM (\S+)", lines, re.MULTILINE))
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", lines, re.MULTILINE) for word in line.split()]
    assert [word for word in copied if not (ROOT / word).exists()] == []


def test_a_worker_has_neither_the_keys_of_credentials_and_tokens_nor_airflows_database() -> None:
    """What a task can read is what its DAG's author can read."""
    environ = SERVICES["worker"]["environment"]
    assert not {"AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET"} & {*environ}
    assert environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == NO_DATABASE
    assert "AIRFLOW_DB_PASSWORD" not in str(environ)
    assert "{INTEGRATOR_DB_PASSWORD" not in str(environ)
    assert "AIRFLOW__INTEGRATOR__TOKEN_KEY" in environ
    for one in ("api-server", "scheduler", "dag-processor", "triggerer"):
        assert "AIRFLOW__CORE__FERNET_KEY" in SERVICES[one]["environment"], one
