"""P10: projects have an owner and members with roles; each action asks for the role first and is noted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, delete

from integrator.actions.acting import Acting
from integrator.actions.projects import Projects
from integrator.actions.who import Who
from integrator.cli import cli
from integrator.errors import AccessError, ConfigError, ConflictError, IntegratorError, NotAMemberError, RoleTooLowError
from integrator.model.access import Action, Kind, Role
from integrator.store.audit import SqlAudit
from integrator.store.console_files import FolderObjects
from integrator.store.database import writing
from integrator.store.kept_of_project import KeptOfProject
from integrator.store.ledger import Ledger
from integrator.store.members import SqlMembers
from integrator.store.tables import audit_lines, members


class Site:
    """Projects over one database, asked by whoever."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        with writing(engine) as c:
            for table in (members, audit_lines):
                c.execute(delete(table))
        self.audit, self.members = SqlAudit(engine, b"key"), SqlMembers(engine)
        self.projects = Projects(self.members)
        self.kept = KeptOfProject(engine, FolderObjects(folder), None, "acme")
        self.projects.create(self.who("admin", platform=True), "acme", "olga")
        for name, role in (("ada", Role.ADMINISTRATOR), ("stan", Role.STANDARD)):
            self.projects.grant(self.who("olga"), "acme", Kind.USER, name, role)

    def who(self, name: str, *, platform: bool = False) -> Who:
        return Who(Acting(name, "192.0.2.1", self.audit), platform, self.members.roles(name))

    def roles(self) -> dict[str, str]:
        return {one.name: one.role.value for one in self.members.of("acme")}


@pytest.fixture
def site(emptied_engine: Engine, tmp_path: Path) -> Site:
    return Site(emptied_engine, tmp_path)


# what -> who may: owner, administrator, standard, nobody, platform administrator
ASKED: dict[str, tuple[Any, tuple[bool, ...]]] = {
    "grant": (
        lambda site, who: site.projects.grant(who, "acme", Kind.USER, "new", Role.STANDARD),
        (True, True, False, False, True),
    ),
    "revoke": (lambda site, who: site.projects.revoke(who, "acme", Kind.USER, "stan"), (True, True, False, False, True)),
    "raise": (
        lambda site, who: site.projects.grant(who, "acme", Kind.USER, "stan", Role.ADMINISTRATOR),
        (True, True, False, False, True),
    ),
    "touch the owner": (
        lambda site, who: site.projects.grant(who, "acme", Kind.USER, "olga", Role.STANDARD),
        (False, False, False, False, False),
    ),
    "revoke the owner": (
        lambda site, who: site.projects.revoke(who, "acme", Kind.USER, "olga"),
        (False, False, False, False, False),
    ),
    "make an owner": (
        lambda site, who: site.projects.grant(who, "acme", Kind.USER, "ada", Role.OWNER),
        (False, False, False, False, False),
    ),
    "transfer": (lambda site, who: site.projects.transfer(who, "acme", "ada"), (True, False, False, False, True)),
    "delete": (lambda site, who: site.projects.delete(who, "acme", site.kept), (True, False, False, False, True)),
    "create": (lambda site, who: site.projects.create(who, "brandnew", "nora"), (False, False, False, False, True)),
}


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize("at", range(5), ids=["owner", "administrator", "standard", "nobody", "platform"])
def test_the_role_decides_and_both_ways_are_noted(site: Site, what: str, at: int) -> None:
    ask, allowed = ASKED[what]
    who = site.who(("olga", "ada", "stan", "nora", "root")[at], platform=at == 4)
    before = site.roles()
    try:
        ask(site, who)
        went = True
    except (AccessError, ConfigError) as refused:
        went = False
        if at == 3:
            assert isinstance(refused, RoleTooLowError if what == "create" else NotAMemberError)
            assert "acme" not in str(refused) or str(refused) == "there is no project acme"
    assert went == allowed[at]
    assert went or site.roles() == before
    line = next(site.audit.lines())
    assert (line.line.actor, line.line.came.value, line.line.origin) == (
        who.acting.actor,
        "done" if went else "refused",
        "192.0.2.1",
    )


def test_what_is_given_or_taken_holds_at_the_next_request(site: Site) -> None:
    site.who("stan").need("acme", Action.RUN)
    with pytest.raises(RoleTooLowError, match="its owner or an administrator"):
        site.who("stan").need("acme", Action.CONFIGURE)
    site.projects.grant(site.who("ada"), "acme", Kind.USER, "stan", Role.ADMINISTRATOR)
    site.who("stan").need("acme", Action.CONFIGURE)
    site.projects.revoke(site.who("ada"), "acme", Kind.USER, "stan")
    with pytest.raises(NotAMemberError):
        site.who("stan").need("acme", Action.SEE)


@pytest.mark.parametrize("name", ["", " ann", "ann\n", "x" * 251, "a\x00b", "ann\u202e"])
def test_a_name_that_is_none_is_refused(site: Site, name: str) -> None:
    with pytest.raises(ConfigError, match="no name"):
        site.projects.grant(site.who("olga"), "acme", Kind.USER, name, Role.STANDARD)


@pytest.mark.parametrize("project", ["Acme", "integrator", "a__b", "../x", "acmé", "x" * 101, ""])
def test_a_project_is_called_as_projects_are(site: Site, project: str) -> None:
    before = site.audit.projects()
    with pytest.raises(ConfigError, match="not a project's name"):
        site.projects.create(site.who("root", platform=True), project, "ann")
    with pytest.raises(RoleTooLowError):
        site.projects.create(site.who("nora"), "made_up", "nora")
    assert site.audit.projects() == sorted({"", *before}), "a name that is none has no chain of the audit"


class Busy:
    """A project whose flow runs go on."""

    def going(self) -> int:
        return 2

    def erase(self, by: str) -> dict[str, int]:
        raise AssertionError(by)

    forget = going


def test_nothing_of_a_project_goes_while_a_run_goes_on_or_its_owner_does_not_ask(site: Site) -> None:
    with pytest.raises(ConflictError, match="2 flow runs of project acme still go on; pause"):
        site.projects.delete(site.who("olga"), "acme", Busy())
    with pytest.raises(RoleTooLowError):
        site.projects.delete(site.who("ada"), "acme", Busy())
    assert site.roles()["olga"] == "owner"


def line(home: Path, *words: str, code: int = 0, typed: str | None = None) -> Any:
    made = CliRunner().invoke(cli, ["project", *words, "--home", str(home), "--json"], input=typed)
    if code:
        assert isinstance(made.exception, IntegratorError), made.output
        return str(made.exception)
    assert made.exit_code == 0, f"{made.output} {made.exception!r}"
    return json.loads(made.stdout)


def test_the_command_line_does_all_of_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert line(home, "create", "acme", "--owner", "olga") == {"project": "acme", "owner": "olga"}
    assert "has an owner: olga" in line(home, "create", "acme", "--owner", "ann", code=2)
    line(home, "grant", "acme", "ann", "--role", "administrator")
    line(home, "grant", "acme", "ops", "--group")
    shown = [(one["kind"], one["name"], one["role"]) for one in line(home, "members", "acme")]
    assert shown == [("user", "olga", "owner"), ("user", "ann", "administrator"), ("group", "ops", "standard")]
    assert line(home, "revoke", "acme", "ops", "--group")["was_member"] is True
    assert line(home, "transfer", "acme", "ann") == {"project": "acme", "owner": "ann", "before": "olga"}
    line(home, "configure", "acme", "--plan", "trial")
    assert "say so with --yes" in line(home, "delete", "acme", code=2)
    line(home, "delete", "acme", "--yes")
    remembered = [one for _, one in Ledger(FolderObjects(home / "console")).entries()]
    assert [(one.what, one.project) for one in remembered] == [("all", "acme")]  # a restored backup would bring it back otherwise
    assert line(home, "members", "acme") == []
    assert line(home, "configure", "acme")["plan"] == "standard"
    told = json.loads(CliRunner().invoke(cli, ["audit", "list", "acme", "--home", str(home), "--json"]).stdout)
    assert [one["action"] for one in reversed(told)] == [
        "project.create", "project.create", "project.grant", "project.grant", "project.revoke", "project.transfer", "project.configure", "project.delete",
    ]  # fmt: skip


def test_every_project_that_is_known_is_listed_with_its_owner(tmp_path: Path) -> None:
    home, dags = tmp_path / "home", tmp_path / "dags"
    line(home, "create", "acme", "--owner", "olga")
    line(home, "configure", "wanting", "--zone", "Asia/Tokyo", "--egress", "api.example.com")
    for name in ("acme", "orphan", "Not_One"):
        (dags / name).mkdir(parents=True)
        (dags / name / "sync.yaml").write_text("flows: {}")
    (dags / "empty").mkdir()
    told = {one["project"]: one for one in line(home, "list", "--dags", str(dags))}
    assert {name: (one["owner"], one["folder"]) for name, one in told.items()} == {
        "acme": ("olga", True), "orphan": (None, True), "wanting": (None, False),
    }  # fmt: skip
    assert (told["wanting"]["zone"], told["wanting"]["egress"], told["orphan"]["plan"]) == (
        "Asia/Tokyo",
        ["api.example.com"],
        "standard",
    )
    assert {one["folder"] for one in line(home, "list", "--dags", str(tmp_path / "none"))} == {None}
    said = CliRunner().invoke(cli, ["project", "list", "--home", str(home), "--dags", str(dags)])
    assert said.exit_code == 0
    assert "orphan has a folder of pipes and no owner yet" in said.stderr
    assert "wanting has no owner" in said.stderr
    assert "acme has" not in said.stderr
