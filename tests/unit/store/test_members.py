"""A project has exactly one owner, whatever is asked and by however many at once; roles are the union over groups. Source: PRODUCT.md P10."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import delete

from integrator.access.roles import TABLE, highest, is_project, may, project_of_dag, project_of_named
from integrator.errors import ConfigError
from integrator.model.access import RANK, Action, Kind, Role
from integrator.store.database import open_engine, upgrade, writing
from integrator.store.members import SqlMembers
from integrator.store.tables import members as rows

NAMES = st.sampled_from(["ann", "bob", "cyd"])
ROLES = st.sampled_from([Role.ADMINISTRATOR, Role.STANDARD])


@pytest.fixture
def members(migrated_url: str) -> SqlMembers:
    return SqlMembers(open_engine(migrated_url))


def owners(members: SqlMembers, project: str = "acme") -> list[str]:
    return [one.name for one in members.of(project) if one.role is Role.OWNER]


def test_the_highest_role_of_a_user_and_their_groups_counts(members: SqlMembers) -> None:
    members.create("acme", "ann", "admin")
    members.create("demo", "bob", "admin")
    members.grant("demo", Kind.USER, "ann", Role.STANDARD, "bob")
    members.grant("demo", Kind.GROUP, "ops", Role.ADMINISTRATOR, "bob")
    members.grant("acme", Kind.GROUP, "ann", Role.STANDARD, "ann")  # a group of a user's name is not that user
    assert members.roles("ann") == {"acme": Role.OWNER, "demo": Role.STANDARD}
    assert members.roles("ann", ["ops", "others"]) == {"acme": Role.OWNER, "demo": Role.ADMINISTRATOR}
    assert members.roles("cyd", ["ann"]) == {"acme": Role.STANDARD}
    assert members.roles("nobody") == members.roles("") == {}
    assert members.revoke("demo", Kind.GROUP, "ops")
    assert not members.revoke("demo", Kind.GROUP, "ops")
    assert members.roles("ann", ["ops"])["demo"] is Role.STANDARD
    assert members.projects() == ["acme", "demo"]


def test_an_owner_is_transferred_and_not_given_or_taken(members: SqlMembers) -> None:
    with pytest.raises(ConfigError, match="no owner yet"):
        members.grant("acme", Kind.USER, "bob", Role.STANDARD, "x")
    members.create("acme", "ann", "admin")
    for ask in (
        lambda: members.create("acme", "bob", "admin"), lambda: members.grant("acme", Kind.USER, "bob", Role.OWNER, "ann"),
        lambda: members.grant("acme", Kind.USER, "ann", Role.STANDARD, "ann"), lambda: members.revoke("acme", Kind.USER, "ann"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match="owner"):
            ask()
    assert members.transfer("acme", "bob", "ann") == "ann"
    assert [(one.name, one.role) for one in members.of("acme")] == [("bob", Role.OWNER), ("ann", Role.ADMINISTRATOR)]
    assert members.owned_by("bob") == ["acme"]
    assert members.forget("acme") == 2
    assert members.of("acme") == []


def test_of_two_who_take_it_at_once_one_has_it(members: SqlMembers, migrated_url: str) -> None:
    members.create("acme", "ann", "admin")
    names = [f"user{n}" for n in range(6)]
    threads = [
        threading.Thread(target=lambda name=name: SqlMembers(open_engine(migrated_url)).transfer("acme", name, "ann"))
        for name in names
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(owners(members)) == 1
    assert len(members.of("acme")) == 7


def test_nor_does_the_database_take_a_second_one(members: SqlMembers, migrated_url: str) -> None:
    members.create("acme", "ann", "admin")
    with pytest.raises(Exception, match="refused"), writing(open_engine(migrated_url)) as c:
        c.exec_driver_sql("INSERT INTO integrator_members VALUES ('acme', 'user', 'bob', 'owner', 'x', '2026-01-01 00:00:00')")


class Membership(RuleBasedStateMachine):
    """Whatever is asked in whatever order: one owner from the first to the end."""

    url = ""

    @initialize()
    def begin(self) -> None:
        engine = open_engine(self.url)
        with writing(engine) as c:
            c.execute(delete(rows))
        self.members = SqlMembers(engine)
        self.members.create("acme", "ann", "admin")

    @rule(name=NAMES, role=ROLES, kind=st.sampled_from(Kind))
    def grant(self, name: str, role: Role, kind: Kind) -> None:
        self.asked(lambda: self.members.grant("acme", kind, name, role, "x"))

    @rule(name=NAMES, kind=st.sampled_from(Kind))
    def revoke(self, name: str, kind: Kind) -> None:
        self.asked(lambda: self.members.revoke("acme", kind, name))

    @rule(name=NAMES)
    def transfer(self, name: str) -> None:
        self.members.transfer("acme", name, "x")

    @staticmethod
    def asked(ask: Any) -> None:
        try:
            ask()
        except ConfigError as refused:
            assert "owns project" in str(refused)

    @invariant()
    def one_owner(self) -> None:
        if hasattr(self, "members"):
            assert len(owners(self.members)) == 1


def test_there_is_one_owner_whatever_is_asked(tmp_path: Path) -> None:
    Membership.url = f"sqlite:///{tmp_path / 'members.db'}"
    upgrade(Membership.url)
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Membership, settings=settings(max_examples=25, stateful_step_count=12, deadline=None))


# PRODUCT.md section 3, row by row: owner, administrator, standard, no role.
ROWS = {
    Action.SEE: (True, True, True, False), Action.RUN: (True, True, True, False), Action.SEE_RECORDS: (True, True, True, False),
    Action.USE_CREDENTIALS: (True, True, True, False), Action.NEW_BASE_URL: (True, True, False, False), Action.CONFIGURE: (True, True, False, False),
    Action.GIVE_ACCESS: (True, True, False, False), Action.OWN: (True, False, False, False),
}  # fmt: skip


@pytest.mark.parametrize("action", list(Action))
def test_the_table_of_roles_is_the_one_that_is_promised(action: Action) -> None:
    asked = (Role.OWNER, Role.ADMINISTRATOR, Role.STANDARD, None)
    assert tuple(may(role, action) for role in asked) == ROWS[action]
    assert set(TABLE) == set(RANK) == set(Role)


def test_a_project_may_keep_records_from_standard_users() -> None:
    assert not may(Role.STANDARD, Action.SEE_RECORDS, records_for_standard=False)
    assert may(Role.ADMINISTRATOR, Action.SEE_RECORDS, records_for_standard=False)
    assert highest([]) is None


@pytest.mark.parametrize(
    ("dag_id", "project"),
    [
        ("acme.orders", "acme"), ("acme.orders.rerun", "acme"), ("acme", None), ("acme.", None), (".orders", None), ("", None), ("Acme.orders", None),
        ("acme__x.orders", None), ("acmé.orders", None), ("аcme.orders", None), ("acme\u200b.orders", None), ("../acme.orders", None), ("acme/x.orders", None),
        ("acme\n.orders", None), ("integrator.upkeep", None), ("_acme.x", None), ("acme_.x", None), ("1acme.x", None),
    ],
)  # fmt: skip
def test_a_dag_belongs_to_the_project_that_its_id_says_exactly(dag_id: str, project: str | None) -> None:
    assert project_of_dag(dag_id) == project


@pytest.mark.parametrize(
    ("name", "project"),
    [("acme__shop", "acme"), ("acme__shop__2", "acme"), ("acme", None), ("__shop", None), ("acme__", None), ("ACME__shop", None), ("a/b__shop", None), ("acme_x__shop", "acme_x")],
)  # fmt: skip
def test_a_connection_belongs_to_the_project_that_its_name_says_exactly(name: str, project: str | None) -> None:
    assert project_of_named(name) == project
    assert is_project("acme")
    assert not is_project("acme\n")


def test_roles_follow_a_name(members: SqlMembers) -> None:
    for project in ("acme", "demo"):
        members.create(project, "ann", "admin")
    members.grant("acme", Kind.USER, "bob", Role.STANDARD, "ann")
    members.grant("acme", Kind.GROUP, "bob", Role.ADMINISTRATOR, "ann")
    assert members.rename(Kind.USER, "ann", "bob") == ["acme", "demo"]
    assert members.roles("bob") == {"acme": Role.OWNER, "demo": Role.OWNER}, "the higher of both"
    assert (members.roles("ann"), owners(members)) == ({}, ["bob"])
    assert members.of_group("bob") == {"acme": Role.ADMINISTRATOR}, "a group of that name is another"
    assert members.rename(Kind.GROUP, "bob", "ops") == ["acme"]
    assert (members.of_group("bob"), members.of_group("ops")) == ({}, {"acme": Role.ADMINISTRATOR})
    assert members.rename(Kind.USER, "nobody", "bob") == []
