"""`integrator plan`: what changes between two states of the pipes, by meaning, against a folder or a git revision."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from integrator.cli import cli
from tests.services.moving import MATCH, flow


class Repository:
    """A git repository with a dags folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.dags = folder, folder / "dags"
        (self.dags / "acme").mkdir(parents=True)

    def git(self, *words: str) -> None:
        names = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(self.folder), *names, *words], check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "state", "--allow-empty")

    def pipe(self, name: str, made: dict[str, Any] | str, **more: Any) -> None:
        text = made if isinstance(made, str) else yaml.safe_dump({"flows": {"items": made}, **more}, sort_keys=False)
        (self.dags / "acme" / f"{name}.yaml").write_text(text)

    def plan(self, *words: str) -> Result:
        return CliRunner().invoke(cli, ["plan", *words, "--dags", str(self.dags), "--home", str(self.folder / "home")])

    def json(self, *words: str) -> dict[str, dict[str, Any]]:
        made = self.plan(*words, "--json")
        assert made.stdout, made.output
        return {one["pipe"]: one for one in json.loads(made.stdout)["pipes"]}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    made.git("init", "-q")
    made.pipe("kept", flow())
    made.pipe("gone", flow())
    made.pipe("changed", flow(destination={"match": MATCH}), schedule="@daily")
    made.commit()
    return made


def test_nothing_changes_when_nothing_was_changed(repository: Repository) -> None:
    made = repository.plan()
    assert (made.exit_code, made.stdout) == (0, "")
    assert "against git HEAD: 0 pipes with changes" in made.stderr


def test_what_is_added_removed_and_changed_is_told_by_meaning(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"token": "a-very-secret-token", "plain_http": True}
    connection = {"conn_type": "integrator_bearer", "host": "http://127.0.0.1:8123/api", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ACME__ELSEWHERE", json.dumps(connection))
    (repository.dags / "acme" / "gone.yaml").unlink()
    repository.pipe("new", flow(), schedule="@hourly")
    repository.pipe("kept", "# a remark\n" + (repository.dags / "acme" / "kept.yaml").read_text())
    changed = flow(
        source={"entity_id": "number"},
        destination={"credential": "elsewhere"},
        map={"ext": "upper(id)", "more": "name"},
        tolerate=3,
    )
    repository.pipe("changed", changed, schedule="@weekly")
    told = repository.json()
    assert {name: one["change"] for name, one in told.items()} == {
        "acme/changed": "changed", "acme/gone": "removed", "acme/kept": "same_meaning", "acme/new": "added",
    }  # fmt: skip
    assert told["acme/new"]["dags"]["added"] == ["acme.new", "acme.new.rerun"]
    assert told["acme/gone"]["dags"]["removed"] == ["acme.gone", "acme.gone.rerun"]
    one = told["acme/changed"]
    assert one["schedule"] == [{"path": "schedule", "from": "@daily", "to": "@weekly"}]
    assert one["credentials"] == {"added": ["elsewhere"], "removed": [], "kept": ["there"]}
    assert one["hosts"]["added"] == ["127.0.0.1:8123"]
    mappings = {made["path"].removeprefix("flows.items.map."): (made.get("from"), made.get("to")) for made in one["mappings"]}
    assert mappings == {"ext": ("id", "upper(id)"), "name": ("name", None), "amount": ("amount", None), "more": (None, "name")}
    settings = {made["path"]: made.get("to") for made in one["settings"]}
    assert settings["flows.items.source.entity_id"] == "number"
    assert settings["flows.items.tolerate"] == "3"
    assert any("the entity ID changes" in warning for warning in one["warnings"])
    assert any("written twice" in warning for warning in one["warnings"])
    made = repository.plan()
    assert made.exit_code == 0
    assert "flows.items.map.ext: id -> upper(id)" in made.stdout
    assert "- DAG acme.gone" in made.stdout
    assert "secret-token" not in made.output + json.dumps(told)


def test_a_folder_or_any_revision_may_be_compared_with(repository: Repository, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(repository.dags, copy)
    repository.pipe("kept", flow(tolerate=9))
    repository.commit()
    assert repository.json() == {}
    assert list(repository.json("--against", "HEAD~1")) == ["acme/kept"]
    assert list(repository.json("--against", str(copy))) == ["acme/kept"]
    assert repository.json("acme/gone", "--against", "HEAD~1") == {}


def test_faults_here_are_listed_and_the_others_are_planned(repository: Repository) -> None:
    repository.pipe("kept", flow(map={"x": "nonsense("}))
    repository.pipe("new", flow())
    made = repository.plan()
    assert made.exit_code == 2
    assert "acme/new: added" in made.stdout
    assert "acme/kept.yaml:" in made.stdout
    repository.commit()
    repository.pipe("kept", flow())
    assert any("had faults in the other state" in warning for warning in repository.json()["acme/kept"]["warnings"])


@pytest.mark.parametrize(
    ("against", "said"),
    [("no-such-branch", "no git revision"), ("--upload-pack=x", "neither a folder nor"), ("HEAD:dags", "no git revision")],
)
def test_what_cannot_be_read_says_what_to_do(repository: Repository, against: str, said: str) -> None:
    assert said in str(repository.plan(f"--against={against}").exception)


def test_without_a_repository_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    made = CliRunner().invoke(cli, ["plan", "--dags", str(tmp_path / "dags")], env={"GIT_CEILING_DIRECTORIES": str(tmp_path)})
    assert "not in a git repository" in str(made.exception)


def test_links_and_code_of_the_other_state_are_left_alone(repository: Repository, tmp_path: Path) -> None:
    (repository.dags / "acme" / "link.yaml").symlink_to("/etc/hostname")
    (repository.dags / "acme" / "load_pipes.py").write_text("raise SystemExit('ran')")
    repository.commit()
    (repository.dags / "acme" / "link.yaml").unlink()
    assert repository.json() == {}
    assert not list(tmp_path.glob("**/integrator-plan-*"))


def test_a_pipe_that_repeats_is_told_pipe_by_pipe(repository: Repository) -> None:
    repository.pipe("many", flow(), **{"with": {"shop": ["us", "eu"]}})
    repository.commit()
    repository.pipe("many", flow(), **{"with": {"shop": ["us", "de"]}})
    assert {name: one["change"] for name, one in repository.json().items()} == {
        "acme/many_de": "added", "acme/many_eu": "removed", "acme/many_us": "same_meaning",
    }  # fmt: skip


def test_only_what_is_named_is_planned_with_its_own_faults(repository: Repository) -> None:
    made = flow(map={"x": "nonsense("})
    repository.pipe("many", made, **{"with": {"shop": ["us", "eu"]}})
    repository.pipe("kept_too", made)
    told = repository.plan("acme/many_us")
    assert told.exit_code == 2
    assert "acme/many.yaml:" in told.stdout
    assert "kept_too" not in told.stdout
    assert repository.plan("acme/kept").exit_code == 0
    assert "did you mean 'acme/kept'" in str(repository.plan("acme/kpet").exception)
    assert "no project and no pipe" in str(repository.plan("acm").exception)


def test_a_member_called_credential_is_none(repository: Repository) -> None:
    repository.pipe("changed", flow(map={"credential": "name"}, destination={"match": MATCH}), schedule="@daily")
    assert repository.json()["acme/changed"]["credentials"] == {"added": [], "removed": [], "kept": ["there"]}
