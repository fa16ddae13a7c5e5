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
        told = json.loads(made.stdout)
        self.notes, self.code = told["notes"], made.exit_code
        return {one["pipe"]: one for one in told["pipes"]}


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
    (repository.dags / "acme" / "up.yaml").symlink_to("../../outside.yaml")
    (repository.folder / "outside.yaml").write_text("flows: {}")
    (repository.dags / "acme" / "load_pipes.py").write_text("raise SystemExit('ran')")
    repository.commit()
    (repository.dags / "acme" / "link.yaml").unlink()
    (repository.dags / "acme" / "up.yaml").unlink()
    assert repository.json() == {}
    assert {note.split(":")[0] for note in repository.notes} == {"left out acme/link.yaml", "left out acme/up.yaml"}
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


def test_a_link_to_a_pipe_of_the_same_folder_is_that_pipe(repository: Repository) -> None:
    (repository.dags / "acme" / "link.yaml").symlink_to("kept.yaml")
    repository.commit()
    assert repository.json() == {}
    repository.pipe("kept", flow(tolerate=2))
    assert list(repository.json()) == ["acme/kept", "acme/link"]


def test_a_submodule_is_not_looked_into_and_that_is_said(repository: Repository, tmp_path: Path) -> None:
    other = Repository(tmp_path / "other")
    other.git("init", "-q")
    other.commit()
    repository.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other.folder), "dags/more")
    repository.commit()
    assert repository.json() == {}
    assert repository.notes == ["left out dags/more: it is a submodule"]


def test_a_revision_without_the_folder_says_so(repository: Repository) -> None:
    (repository.folder / "pipes" / "acme").mkdir(parents=True)
    repository.dags = repository.folder / "pipes"
    repository.pipe("new", flow())
    assert {name: one["change"] for name, one in repository.json().items()} == {"acme/new": "added"}
    assert repository.notes == ["git HEAD has no folder pipes, so every pipe is told as added"]


def test_code_of_another_folder_is_never_run(repository: Repository, tmp_path: Path) -> None:
    shutil.copytree(repository.dags, tmp_path / "other" / "dags")
    code = tmp_path / "other" / "include" / "transforms" / "mine.py"
    code.parent.mkdir(parents=True)
    code.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef lower_twice(x): return x\n")
    assert repository.json("--against", str(tmp_path / "other" / "dags")) == {}
    assert not (tmp_path / "ran").exists()


def test_a_hook_of_another_repository_does_not_lead_it_away(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.pipe("kept", flow(tolerate=2))
    monkeypatch.setenv("GIT_DIR", ".git")  # as git sets it in a hook, below the folder it is called in
    assert list(repository.json()) == ["acme/kept"]


def test_without_git_it_says_what_to_do(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository.folder / "nothing-here"))
    assert "git cannot be called here; name another state's folder" in str(repository.plan().exception)
