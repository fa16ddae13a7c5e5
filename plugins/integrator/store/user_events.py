"""What has to follow when a user of the platform's sign-in is deleted, renamed, switched off or given another password, or a group deleted or renamed.

Listened to where Airflow's own rows change, so that it holds for its pages, its API and its command line alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from sqlalchemy import event, inspect
from sqlalchemy.orm import Session, object_session

from integrator.model.access import Kind

_DUE = "integrator_users_changed"


class Following(Protocol):
    """What follows."""

    def may_go(self, user: str) -> None:
        """Pass if a user may be deleted. Raises ConfigError: a project would have no owner."""

    def gone(self, user_id: int, user: str) -> None:
        """Forget a user who was deleted."""

    def group_gone(self, group: str) -> None:
        """Forget a group that was deleted."""

    def renamed(self, kind: Kind, before: str, after: str) -> None:
        """Let a user or a group keep what they had under another name."""

    def signed_out(self, user_id: int) -> None:
        """End a user's sessions."""


def watch_users(users: Any, groups: Any, following: Following) -> None:
    """Listen to changes of users and groups, once in a process.

    Args:
        users: Flask-AppBuilder's model, mapped by SQLAlchemy, with `id`, `username`, `password` and `active`.
        groups: its model of groups, with `name`.
    """
    if event.contains(Session, "after_commit", _committed):
        return

    def deleting(_mapper: Any, _connection: Any, target: Any) -> None:
        user_id, name = target.id, target.username
        following.may_go(name)
        _due(target, lambda: following.gone(user_id, name))

    def updating(_mapper: Any, _connection: Any, target: Any) -> None:
        state = inspect(target).attrs
        after = target.username
        _follow_name(target, state.username.history, lambda before: following.renamed(Kind.USER, before, after))
        if state.password.history.has_changes() or (state.active.history.has_changes() and not target.active):
            user_id = target.id
            _due(target, lambda: following.signed_out(user_id))

    def group_deleting(_mapper: Any, _connection: Any, target: Any) -> None:
        name = target.name
        _due(target, lambda: following.group_gone(name))

    def group_updating(_mapper: Any, _connection: Any, target: Any) -> None:
        after = target.name
        _follow_name(target, inspect(target).attrs.name.history, lambda before: following.renamed(Kind.GROUP, before, after))

    event.listen(users, "before_delete", deleting)
    event.listen(users, "before_update", updating)
    event.listen(groups, "before_delete", group_deleting)
    event.listen(groups, "before_update", group_updating)
    event.listen(Session, "after_commit", _committed)
    event.listen(Session, "after_rollback", _rolled_back)


def _follow_name(target: Any, history: Any, renamed: Callable[[str], None]) -> None:
    if history.has_changes() and history.deleted:
        before = str(history.deleted[0])
        _due(target, lambda: renamed(before))


def _due(target: Any, what: Any) -> None:
    session = object_session(target)
    if session is not None:
        session.info.setdefault(_DUE, []).append(what)


def _committed(session: Session) -> None:
    for what in session.info.pop(_DUE, ()):
        what()


def _rolled_back(session: Session) -> None:
    session.info.pop(_DUE, None)
