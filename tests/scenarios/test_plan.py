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
    assert one["schedule"] == {
        "changed": True,
        "from": {"schedule": "@daily", "timezone": None, "paused": False},
        "to": {"schedule": "@weekly", "timezone": None, "paused": False},
    }
    assert one["credentials"] == {"added": ["elsewhere"], "removed": [], "kept": ["there"]}
    assert one["hosts"] == {"added": ["127.0.0.1:8123"], "removed": [], "kept": [], "of": {"elsewhere": "127.0.0.1:8123"}}
    assert one["dags"] == {"added": [], "removed": [], "kept": ["acme.changed", "acme.changed.rerun"]}
    mappings = {made["path"].removeprefix("flows.items.map."): (made.get("from"), made.get("to")) for made in one["mappings"]}
    assert mappings == {"ext": ("id", "upper(id)"), "name": ("name", None), "amount": ("amount", None), "more": (None, "name")}
    settings = {made["path"]: made.get("to") for made in one["settings"]}
    assert settings["flows.items.source.entity_id"] == "number"
    assert settings["flows.items.tolerate"] == 3
    assert any("the entity ID changes" in warning for warning in one["warnings"])
    assert any("written twice" in warning for warning in one["warnings"])
    made = repository.plan()
    assert made.exit_code == 0
    assert "flows.items.map.ext: id -> upper(id)" in made.stdout
    assert "schedule: @daily (its project's zone) -> @weekly (its project's zone)" in made.stdout
    assert "+ credential elsewhere (127.0.0.1:8123)" in made.stdout
    assert "acme/kept: no change in meaning" in made.stdout
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
    assert "no project, no pipe and no pipe file" in str(repository.plan("acm").exception)


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


def test_a_function_that_changes_is_told_with_the_pipes_that_call_it(repository: Repository) -> None:
    code = repository.folder / "include" / "transforms" / "mine.py"
    code.parent.mkdir(parents=True)
    code.write_text("def plan_rounds(x):\n    return x\n\ndef plan_stays(x):\n    return x\n")
    repository.pipe("kept", flow(map={"ext": "plan_rounds(id)"}))
    repository.pipe("other", flow(map={"ext": "plan_stays(id)"}))
    repository.commit()
    assert repository.json() == {}
    code.write_text("def plan_rounds(x):\n    return x + 1\n\ndef plan_stays(x):\n    return x  # a remark\n")
    told = repository.json()
    assert {name: one["change"] for name, one in told.items()} == {"acme/kept": "changed"}
    assert told["acme/kept"]["functions"] == [{"name": "plan_rounds", "file": "include/transforms/mine.py"}]
    assert "it calls what changes in include/transforms: plan_rounds()" in repository.plan().stdout
    code.write_text("def plan_stays(x):\n    return x\n")
    repository.pipe("kept", flow(map={"ext": "id"}))
    assert repository.json()["acme/kept"]["faulty_before"] is False


def test_a_pipe_that_was_faulty_is_told_when_it_goes_or_is_mended(repository: Repository) -> None:
    repository.pipe("goes", flow(map={"x": "nonsense("}))
    repository.pipe("mended", flow(map={"x": "nonsense("}))
    repository.pipe("unreadable", "flows: [")
    repository.commit()
    (repository.dags / "acme" / "goes.yaml").unlink()
    (repository.dags / "acme" / "unreadable.yaml").unlink()
    repository.pipe("mended", flow(map={"x": "name"}))
    told = repository.json()
    assert {name: (one["change"], one["faulty_before"]) for name, one in told.items()} == {
        "acme/goes": ("removed", True), "acme/mended": ("changed", True), "acme/unreadable": ("removed", True),
    }  # fmt: skip
    assert told["acme/mended"]["mappings"] == [
        {"path": "flows.items.map.x", "change": "changed", "from": "nonsense(", "to": "name"}
    ]
    assert told["acme/unreadable"]["dags"]["removed"] == ["acme.unreadable", "acme.unreadable.rerun"]
    assert repository.code == 0
    assert repository.plan().exit_code == 0


def test_a_faulty_pipe_has_the_same_keys_as_others(repository: Repository) -> None:
    repository.pipe("kept", "flows: [")
    repository.pipe("new", flow())
    told = repository.json()
    assert (told["acme/kept"]["change"], repository.code) == ("faulty", 2)
    assert list(told["acme/kept"]) == list(told["acme/new"])
    assert told["acme/kept"]["dags"]["kept"] == ["acme.kept", "acme.kept.rerun"]


def test_faults_of_deployed_functions_are_listed_as_check_lists_them(repository: Repository) -> None:
    code = repository.folder / "include" / "transforms" / "broken.py"
    code.parent.mkdir(parents=True)
    code.write_text("raise RuntimeError")
    made = repository.plan()
    assert made.exit_code == 2
    assert made.stdout.count("include/transforms/broken.py:1:") == 1


@pytest.mark.parametrize("named", ["acme/kept.yaml", "acme/kept", "acme.kept", "{dags}/acme/kept.yaml"])
def test_a_pipe_may_be_named_by_its_file_too(repository: Repository, named: str) -> None:
    repository.pipe("kept", flow(tolerate=2))
    repository.pipe("changed", flow(tolerate=2))
    assert list(repository.json(named.format(dags=repository.dags))) == ["acme/kept"]


def test_a_file_or_folder_that_is_gone_may_be_named(repository: Repository) -> None:
    (repository.dags / "acme" / "gone.yaml").unlink()
    assert list(repository.json(str(repository.dags / "acme" / "gone.yaml"))) == ["acme/gone"]
    shutil.rmtree(repository.dags / "acme")
    assert list(repository.json(str(repository.dags / "acme"))) == ["acme/changed", "acme/gone", "acme/kept"]


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("https://user:secret-1@erp.example.com:8443/api", ["erp.example.com:8443"]),
        ("https://user:sec/ret-1@erp.example.com", []),
        ("https://sec#ret-1@erp.example.com", []),
        ("https://user:1/secret-1@erp.example.com", []),
        ("https://[secret-1", []),
        ("erp.example.com", ["erp.example.com"]),
        ("https://[2001:db8::1]:8443/api", ["[2001:db8::1]:8443"]),
        ("", []),
        (5, []),
    ],
)
def test_no_more_of_an_address_is_told_than_its_host(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, host: Any, told: list[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ACME__THERE", json.dumps({"conn_type": "integrator_none", "host": host}))
    repository.pipe("new", flow())
    assert repository.json()["acme/new"]["hosts"]["added"] == told
    made = repository.plan()
    assert "ret-1" not in made.output
    assert "user" not in made.output


def test_a_pipe_that_git_calls_renamed_is_one_that_comes_and_one_that_goes(repository: Repository) -> None:
    repository.git("mv", "dags/acme/gone.yaml", "dags/acme/renamed.yaml")
    told = repository.json()
    assert {name: one["change"] for name, one in told.items()} == {"acme/gone": "removed", "acme/renamed": "added"}
    assert any("stay in the journal under this name" in said for said in told["acme/gone"]["warnings"])


def test_a_hook_of_another_repository_does_not_lead_it_away(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.pipe("kept", flow(tolerate=2))
    monkeypatch.setenv("GIT_DIR", ".git")  # as git sets it in a hook, below the folder it is called in
    assert list(repository.json()) == ["acme/kept"]


def test_without_git_it_says_what_to_do(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository.folder / "nothing-here"))
    assert "git cannot be called here; name another state's folder" in str(repository.plan().exception)
