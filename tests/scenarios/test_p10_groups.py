"""P10: groups of Airflow's sign-in, made and filled by the platform's administrators alone; a deleted group leaves no role behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, delete, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from integrator.actions.acting import Acting
from integrator.actions.groups import Groups
from integrator.actions.projects import Projects
from integrator.actions.who import Who
from integrator.errors import ConfigError, RoleTooLowError, StopRunError
from integrator.model.access import Kind, Role
from integrator.store.audit import SqlAudit
from integrator.store.members import SqlMembers
from integrator.store.sign_in_groups import GROUPS, OF_GROUPS, SqlGroups, metadata
from integrator.store.tables import audit_lines, members
from tests.services import warm
from tests.services.airflow_schema import AirflowDatabase, MakeAirflow, Schema
from tests.unit.test_sign_in import number


class Site:
    """The sign-in of an Airflow, and projects over the same database."""

    def __init__(self, airflow: AirflowDatabase) -> None:
        self.airflow = airflow
        with airflow.engine.begin() as c:
            for table in (members, audit_lines):
                c.execute(delete(table))

        # As another program would: a plain SQLite does not look after foreign keys.
        plain = create_engine(airflow.engine.url, poolclass=NullPool)

        @contextmanager
        def session() -> Iterator[Session]:
            with Session(plain) as made, made.begin():
                yield made

        self.members, self.audit = SqlMembers(airflow.engine), SqlAudit(airflow.engine, b"key")
        self.sign_in = SqlGroups(session)
        self.groups, self.projects = Groups(self.sign_in, self.members), Projects(self.members)
        for name in ("ann", "bob"):
            number(airflow, name)

    def who(self, name: str = "root", *, platform: bool = True) -> Who:
        return Who(Acting(name, "192.0.2.1", self.audit), platform, {} if platform else {"acme": Role.OWNER})

    def lines(self) -> list[tuple[str, str, str, str]]:
        return [(one.line.action, one.line.project, one.line.target, one.line.came.value) for one in self.audit.lines()]


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, new_airflow: MakeAirflow) -> Site:
    return Site(new_airflow(request.param))


def test_a_group_is_made_filled_emptied_and_deleted(site: Site) -> None:
    groups, who = site.groups, site.who()
    assert groups.all(who) == {}
    assert groups.create(who, "ops") == {}
    groups.create(who, "sales")
    assert [groups.add(who, "ops", user) for user in ("ann", "bob", "ann")] == [True, True, False]
    groups.add(who, "sales", "ann")
    assert groups.all(who) == {"ops": ["ann", "bob"], "sales": ["ann"]}
    assert [groups.remove(who, "ops", "ann") for _ in range(2)] == [True, False]
    assert groups.delete(who, "ops") == []
    assert groups.all(who) == {"sales": ["ann"]}
    assert site.lines()[0] == ("group.delete", "", "ops", "done")
    assert {one[0] for one in site.lines()} == {"group.create", "group.add", "group.remove", "group.delete"}


ASKED: dict[str, Callable[[Groups, Who], Any]] = {
    "list": lambda groups, who: groups.all(who),
    "create": lambda groups, who: groups.create(who, "new"),
    "delete": lambda groups, who: groups.delete(who, "ops"),
    "add": lambda groups, who: groups.add(who, "ops", "ann"),
    "remove": lambda groups, who: groups.remove(who, "ops", "bob"),
}


@pytest.mark.parametrize("what", ASKED)
def test_an_owner_of_a_project_may_do_none_of_it(site: Site, what: str) -> None:
    site.groups.create(site.who(), "ops")
    site.groups.add(site.who(), "ops", "bob")
    site.projects.create(site.who(), "acme", "olga")
    site.projects.grant(site.who(), "acme", Kind.GROUP, "ops", Role.STANDARD)
    with pytest.raises(RoleTooLowError, match="platform's administrators"):
        ASKED[what](site.groups, site.who("olga", platform=False))
    assert site.sign_in.groups() == {"ops": ["bob"]}
    assert site.members.of_group("ops") == {"acme": Role.STANDARD}
    assert what == "list" or (site.lines()[0][0] == f"group.{what}" and site.lines()[0][3] == "refused")


def test_a_later_group_of_a_deleted_one_s_name_has_none_of_its_roles(site: Site) -> None:
    who = site.who()
    site.groups.create(who, "ops")
    role = site.airflow.add("ab_role", name="Admin")["id"]
    with site.airflow.engine.begin() as c:
        at = c.scalar(select(GROUPS.c.id))
        c.execute(OF_GROUPS.insert().values(role_id=role, group_id=at))
    site.groups.add(who, "ops", "ann")
    for project in ("acme", "beta"):
        site.projects.create(who, project, "olga")
        site.projects.grant(who, project, Kind.GROUP, "ops", Role.ADMINISTRATOR)
        site.projects.grant(who, project, Kind.USER, "ops", Role.STANDARD)  # a user of that name keeps theirs
    assert site.members.roles("ann", ["ops"]) == dict.fromkeys(("acme", "beta"), Role.ADMINISTRATOR)
    assert site.groups.delete(who, "ops") == ["acme", "beta"]
    assert site.groups.create(who, "ops") == {}
    site.groups.add(who, "ops", "bob")
    assert site.members.roles("bob", ["ops"]) == {}
    assert site.members.roles("ops") == dict.fromkeys(("acme", "beta"), Role.STANDARD)
    with site.airflow.engine.connect() as c:
        assert c.scalar(select(OF_GROUPS.c.id)) is None
    assert [one for one in site.lines() if one[0] == "project.revoke"] == [
        ("project.revoke", project, "group:ops", "done") for project in ("beta", "acme")
    ]


def test_a_role_that_is_given_while_the_group_is_deleted_goes_too(site: Site) -> None:
    who = site.who()
    site.projects.create(who, "acme", "olga")
    site.groups.create(who, "ops")
    gone = site.sign_in.delete

    class Slow(SqlGroups):
        def delete(self, name: str) -> int:
            site.projects.grant(who, "acme", Kind.GROUP, "ops", Role.ADMINISTRATOR)
            return gone(name)

    assert Groups(Slow(site.sign_in._session), site.members).delete(who, "ops") == ["acme"]
    assert site.members.of_group("ops") == {}


def test_what_is_given_to_a_name_that_is_not_there_yet_holds_once_it_is(site: Site) -> None:
    who = site.who()
    site.projects.create(who, "acme", "olga")
    site.projects.grant(who, "acme", Kind.GROUP, "later", Role.STANDARD)
    assert [
        site.sign_in.knows(kind, name) for kind, name in ((Kind.USER, "ann"), (Kind.USER, "later"), (Kind.GROUP, "later"))
    ] == [True, False, False]
    assert site.groups.create(who, "later") == {"acme": Role.STANDARD}
    assert site.sign_in.knows(Kind.GROUP, "later")
    site.airflow.add("ab_role", name="from_single_sign_on")
    assert site.sign_in.knows(Kind.GROUP, "from_single_sign_on")
    assert not site.sign_in.knows(Kind.USER, "from_single_sign_on")


@pytest.mark.parametrize("ask", [
    lambda g, who: g.create(who, "ops"), lambda g, who: g.create(who, " x"), lambda g, who: g.create(who, ""), lambda g, who: g.create(who, "a\u202eb"), lambda g, who: g.create(who, "x" * 101),
    lambda g, who: g.add(who, "nothing", "ann"), lambda g, who: g.add(who, "ops", "nobody"), lambda g, who: g.add(who, "OPS", "ann"), lambda g, who: g.add(who, "ops", "ann' OR 1=1 --"),
    lambda g, who: g.remove(who, "ops", "nobody"), lambda g, who: g.delete(who, "nothing"),
])  # fmt: skip
def test_what_cannot_be_done_is_refused_and_noted(site: Site, ask: Callable[[Groups, Who], Any]) -> None:
    site.groups.create(site.who(), "ops")
    with pytest.raises(ConfigError):
        ask(site.groups, site.who())
    assert site.sign_in.groups() == {"ops": []}
    assert site.lines()[0][3] == "refused"


def test_what_a_name_was_invited_to_stays_when_there_is_no_group_to_delete(site: Site) -> None:
    site.projects.create(site.who(), "acme", "olga")
    site.projects.grant(site.who(), "acme", Kind.GROUP, "later", Role.STANDARD)
    with pytest.raises(ConfigError, match="is an invitation"):
        site.groups.delete(site.who(), "later")
    assert site.members.of_group("later") == {"acme": Role.STANDARD}


def test_the_tables_are_as_flask_appbuilder_makes_them(airflow_schema: Schema) -> None:
    for one in metadata.sorted_tables:
        assert {column.name for column in one.columns} <= set(airflow_schema.tables[one.name]["columns"])


def test_without_the_sign_in_s_tables_it_says_so(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")

    @contextmanager
    def session() -> Iterator[Session]:
        with Session(engine) as made, made.begin():
            yield made

    with pytest.raises(StopRunError, match="airflow db migrate"):
        SqlGroups(session).groups()


def test_the_command_line_does_all_of_it(new_airflow: MakeAirflow, tmp_path: Path) -> None:
    airflow = new_airflow("sqlite")
    number(airflow, "ann")
    environ = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow.url,
        "AIRFLOW_HOME": str(tmp_path / "af"),
        "AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": airflow.url,
    }
    made = Line(tmp_path, environ)
    assert made("group", "create", "ops")["roles"] == {}
    assert made("group", "add", "ops", "ann")["new"] is True
    made("project", "create", "acme", "--owner", "ann")
    assert made("project", "grant", "acme", "ops", "--group")["invited"] is False
    assert made("project", "grant", "acme", "later", "--group")["invited"] is True
    assert made("project", "grant", "acme", "ann2")["invited"] is True
    assert {one["name"]: one["invited"] for one in made("project", "members", "acme")} == {
        "ann": False,
        "ops": False,
        "later": True,
        "ann2": True,
    }
    assert made("group", "list") == [{"group": "ops", "users": ["ann"], "roles": {"acme": "standard"}}]
    assert "say so with --yes" in made("group", "delete", "ops", code=2)
    assert made("group", "delete", "ops", "--yes")["projects"] == ["acme"]
    assert "no group 'ops'" in made("group", "remove", "ops", "ann", code=2)
    alone = Line(tmp_path, {})
    assert "there is no Airflow here" in alone("group", "list", code=2)
    alone("project", "create", "acme", "--owner", "ann")
    assert alone("project", "grant", "acme", "nobody")["invited"] is False  # nothing is known of a sign-in


class Line:
    """The command line, in processes of its own: Airflow reads its settings once."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder, self.environ = folder / f"home{len(environ)}", environ

    def __call__(self, *words: str, code: int = 0) -> Any:
        import os

        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "INTEGRATOR"))}
        done = warm.start(
            "integrator.cli", *words, "--home", str(self.folder), "--json", env={**kept, **self.environ}, cwd=self.folder.parent
        )
        out, err = done.communicate(120)
        assert done.returncode == code, err
        return json.loads(out) if code == 0 else err
