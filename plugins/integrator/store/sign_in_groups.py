"""Groups of Airflow's sign-in: read and changed with Airflow's own session. What a group may do in projects is kept in `store.members`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Column, Integer, MetaData, Sequence, String, Table, delete, insert, select
from sqlalchemy.orm import Session

from integrator.errors import ConfigError, ConflictError, NotThereError, StopRunError
from integrator.model.access import Kind
from integrator.store.translation import FOREIGN

metadata = MetaData()


def _links(name: str, other: str) -> Table:
    """Return a table of links to groups; its numbers come from a sequence of Flask-AppBuilder's, which SQLite has none of."""
    key = Column("id", Integer, Sequence(f"{name}_id_seq"), primary_key=True)
    return Table(name, metadata, key, Column(other, Integer), Column("group_id", Integer))


USERS = Table("ab_user", metadata, Column("id", Integer, primary_key=True), Column("username", String(512)))
GROUPS = Table(
    "ab_group", metadata, Column("id", Integer, Sequence("ab_group_id_seq"), primary_key=True), Column("name", String(100))
)
ROLES = Table("ab_role", metadata, Column("id", Integer, primary_key=True), Column("name", String(64)))
IN_GROUPS = _links("ab_user_group", "user_id")
OF_GROUPS = _links("ab_group_role", "role_id")
NAME_MAX = 100
"""Characters of the longest name that the table holds."""


class SqlGroups:
    """Fits `actions.groups.SignIn`.

    Args:
        session: gives a session of Airflow's database that is committed at its end, such as `airflow.utils.session.create_session`.
    """

    def __init__(self, session: Callable[[], AbstractContextManager[Any]]) -> None:
        self._session = session

    def groups(self) -> dict[str, list[str]]:
        """Return the users of each group, by its name."""
        with self._asked() as s:
            found: dict[str, list[str]] = {name: [] for name in s.scalars(select(GROUPS.c.name).order_by(GROUPS.c.name))}
            rows = (
                select(GROUPS.c.name, USERS.c.username)
                .where(GROUPS.c.id == IN_GROUPS.c.group_id, USERS.c.id == IN_GROUPS.c.user_id)
                .order_by(USERS.c.username)
            )
            for group, user in s.execute(rows):
                found[group].append(user)
        return found

    def knows(self, kind: Kind, name: str) -> bool:
        """Tell whether there is such a user or group; a role of the sign-in's own counts as a group of its name."""
        columns = (USERS.c.username,) if kind is Kind.USER else (GROUPS.c.name, ROLES.c.name)
        with self._asked() as s:
            return any(s.scalar(select(column).where(column == name)) is not None for column in columns)

    def create(self, name: str) -> None:
        """Make a group of nobody.

        Raises:
            ConflictError: there is one.
            ConfigError: its name is too long.
        """
        if len(name) > NAME_MAX:
            raise ConfigError(f"a group's name has up to {NAME_MAX} characters")
        with self._asked() as s:
            if s.scalar(select(GROUPS.c.id).where(GROUPS.c.name == name)) is not None:
                raise ConflictError(f"there is a group {name!r} already")
            s.execute(insert(GROUPS).values(name=name))

    def delete(self, name: str) -> int:
        """Delete a group; returns how many users were in it.

        Raises:
            NotThereError: there is none.
        """
        with self._asked() as s:
            number = _number(s, name)
            gone: Any = s.execute(delete(IN_GROUPS).where(IN_GROUPS.c.group_id == number))
            s.execute(delete(OF_GROUPS).where(OF_GROUPS.c.group_id == number))
            s.execute(delete(GROUPS).where(GROUPS.c.id == number))
        return int(gone.rowcount)

    def add(self, name: str, user: str) -> bool:
        """Put a user into a group; returns whether they were not in it.

        Raises:
            NotThereError: there is no such group or user.
        """
        with self._asked() as s:
            pair = {"group_id": _number(s, name), "user_id": _user(s, user)}
            mine = (IN_GROUPS.c.group_id == pair["group_id"]) & (IN_GROUPS.c.user_id == pair["user_id"])
            if s.scalar(select(IN_GROUPS.c.id).where(mine)) is not None:
                return False
            s.execute(insert(IN_GROUPS).values(pair))
        return True

    def remove(self, name: str, user: str) -> bool:
        """Take a user out of a group; returns whether they were in it.

        Raises:
            NotThereError: there is no such group or user.
        """
        with self._asked() as s:
            mine = (IN_GROUPS.c.group_id == _number(s, name)) & (IN_GROUPS.c.user_id == _user(s, user))
            gone: Any = s.execute(delete(IN_GROUPS).where(mine))
        return bool(gone.rowcount)

    @contextmanager
    def _asked(self) -> Iterator[Session]:
        try:
            with self._session() as session:
                yield session
        except FOREIGN as error:
            raise StopRunError(
                f"the tables of Airflow's sign-in cannot be read or written ({type(error).__name__}); was `airflow db migrate` run, and is the auth manager "
                "one of Flask-AppBuilder's?"
            ) from None


def _number(session: Session, group: str) -> int:
    found = session.scalar(select(GROUPS.c.id).where(GROUPS.c.name == group))
    if found is None:
        raise NotThereError(f"there is no group {group!r}; make it first: integrator group create")
    return int(found)


def _user(session: Session, user: str) -> int:
    found = session.scalar(select(USERS.c.id).where(USERS.c.username == user))
    if found is None:
        raise NotThereError(f"Airflow's sign-in has no user {user!r}; make them there first, under Security")
    return int(found)
