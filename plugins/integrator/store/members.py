"""Members of projects, one row each. Raises as `store.database.ours`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, and_, delete, insert, or_, select, update

from integrator.access.roles import highest
from integrator.errors import ConflictError
from integrator.model.access import Kind, Member, Role
from integrator.store.database import lock, reading, writing
from integrator.store.tables import members


class SqlMembers:
    """Keeps who has which role in which project. Whether somebody may change it is the asker's business; that a project keeps its owner is kept here."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def roles(self, user: str, groups: Collection[str] = ()) -> dict[str, Role]:
        """Return a user's role in each project: the highest of their own and of their groups'."""
        m = members.c
        own = and_(m.kind == Kind.USER, m.name == user)
        mine = or_(own, and_(m.kind == Kind.GROUP, m.name.in_(list(groups)))) if groups else own
        found: dict[str, list[Role]] = {}
        with reading(self._engine) as c:
            for project, role in c.execute(select(m.project, m.role).where(mine)):
                found.setdefault(project, []).append(Role(role))
        return {project: role for project, several in found.items() if (role := highest(several)) is not None}

    def of(self, project: str) -> list[Member]:
        """Return a project's members: its owner, then by kind and name."""
        m = members.c
        with reading(self._engine) as c:
            rows = c.execute(select(members).where(m.project == project).order_by(m.kind.desc(), m.name)).all()
        return sorted((_member(row) for row in rows), key=lambda one: one.role is not Role.OWNER)

    def projects(self) -> list[str]:
        """Return every project that has members."""
        with reading(self._engine) as c:
            return list(c.scalars(select(members.c.project).distinct().order_by(members.c.project)))

    def owners(self) -> dict[str, str]:
        """Return the owner of each project that has one."""
        m = members.c
        with reading(self._engine) as c:
            rows = c.execute(select(m.project, m.name).where(m.role == Role.OWNER).order_by(m.project)).all()
        return {row.project: row.name for row in rows}

    def create(self, project: str, owner: str, by: str) -> None:
        """Give a project its owner.

        Raises:
            ConflictError: it has one.
        """
        with self._alone(project) as c:
            now = _owner(c, project)
            if now is not None:
                raise ConflictError(f"project {project} has an owner: {now}")
            _put(c, project, Kind.USER, owner, Role.OWNER, by)

    def grant(self, project: str, kind: Kind, name: str, role: Role, by: str) -> None:
        """Give a role, in place of whatever the member had.

        Raises:
            ConflictError: it is the owner's, which is transferred and not given or taken; or the project has no owner.
        """
        if role is Role.OWNER:
            raise ConflictError("a project has one owner; transfer its ownership")
        with self._alone(project) as c:
            owner = _owner(c, project)
            if owner is None:
                raise ConflictError(f"project {project} has no owner yet; create it first")
            if (kind, name) == (Kind.USER, owner):
                raise ConflictError(f"{name} owns project {project}; transfer its ownership first")
            _put(c, project, kind, name, role, by)

    def revoke(self, project: str, kind: Kind, name: str) -> bool:
        """Take a member's role; returns whether there was one.

        Raises:
            ConflictError: it is the owner's.
        """
        with self._alone(project) as c:
            if (kind, name) == (Kind.USER, _owner(c, project)):
                raise ConflictError(f"{name} owns project {project}; transfer its ownership first")
            m = members.c
            return bool(c.execute(delete(members).where(m.project == project, m.kind == kind, m.name == name)).rowcount)

    def transfer(self, project: str, to: str, by: str) -> str | None:
        """Make a user the owner; the former one becomes an administrator. Returns who that was."""
        with self._alone(project) as c:
            before = _owner(c, project)
            if before == to:
                return before
            m = members.c
            if before is not None:
                mine = (m.project == project) & (m.kind == Kind.USER) & (m.name == before)
                c.execute(
                    update(members).where(mine).values(role=Role.ADMINISTRATOR, given_by=by[:250], given_at=datetime.now(UTC))
                )
            _put(c, project, Kind.USER, to, Role.OWNER, by)
        return before

    def forget(self, project: str) -> int:
        """Take every role in a project."""
        with self._alone(project) as c:
            return int(c.execute(delete(members).where(members.c.project == project)).rowcount)

    def of_group(self, name: str) -> dict[str, Role]:
        """Return a group's role in each project."""
        m = members.c
        with reading(self._engine) as c:
            rows = c.execute(select(m.project, m.role).where(m.kind == Kind.GROUP, m.name == name).order_by(m.project)).all()
        return {row.project: Role(row.role) for row in rows}

    def forget_group(self, name: str) -> list[str]:
        """Take a group's roles in every project, whether or not there is such a group; returns the projects. A group owns none."""
        m = members.c
        with writing(self._engine) as c:
            mine = (m.kind == Kind.GROUP) & (m.name == name)
            found = sorted(c.scalars(select(m.project).where(mine)))
            c.execute(delete(members).where(mine))
        return found

    def owned_by(self, user: str) -> list[str]:
        """Return the projects that a user owns, which would be left without an owner."""
        m = members.c
        with reading(self._engine) as c:
            return list(
                c.scalars(select(m.project).where(m.kind == Kind.USER, m.name == user, m.role == Role.OWNER).order_by(m.project))
            )

    def rename(self, kind: Kind, before: str, after: str) -> list[str]:
        """Let the roles of a user or a group follow them to another name, the higher one where that has some already; returns the projects."""
        m = members.c
        with reading(self._engine) as c:
            projects = list(c.scalars(select(m.project).where(m.kind == kind, m.name == before).order_by(m.project)))
        for project in projects:
            with self._alone(project) as c:
                of = (m.project == project) & (m.kind == kind)
                both = [_member(row) for row in c.execute(select(members).where(of & m.name.in_([before, after])))]
                if best := highest(one.role for one in both):
                    c.execute(delete(members).where(of & m.name.in_([before, after])))
                    by = next(one.given_by for one in both if one.role is best)
                    _put(c, project, kind, after, best, by)
        return projects

    @contextmanager
    def _alone(self, project: str) -> Iterator[Connection]:
        """Give a transaction in which nobody else changes the project's members."""
        with writing(self._engine) as c:
            lock(c, f"integrator members {project}")
            yield c


def _owner(c: Connection, project: str) -> str | None:
    m = members.c
    found = c.scalar(select(m.name).where(m.project == project, m.kind == Kind.USER, m.role == Role.OWNER))
    return None if found is None else str(found)


def _put(c: Connection, project: str, kind: Kind, name: str, role: Role, by: str) -> None:
    m = members.c
    c.execute(delete(members).where(m.project == project, m.kind == kind, m.name == name))
    row = {"project": project, "kind": kind, "name": name, "role": role, "given_by": by[:250], "given_at": datetime.now(UTC)}
    c.execute(insert(members).values(row))


def _member(row: Any) -> Member:
    return Member(row.project, Kind(row.kind), row.name, Role(row.role), row.given_by, row.given_at)
