"""What has to follow when a user of the platform's sign-in is deleted, renamed, switched off or given another password.

Listened to where Airflow's own rows change, so that it holds for its pages, its API and its command line alike.
"""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import event, inspect
from sqlalchemy.orm import Session, object_session

_DUE = "integrator_users_changed"


class Following(Protocol):
    """What follows."""

    def may_go(self, user: str) -> None:
        """Pass if a user may be deleted. Raises ConfigError: a project would have no owner."""

    def gone(self, user_id: int, user: str) -> None:
        """Forget a user who was deleted."""

    def renamed(self, before: str, after: str) -> None:
        """Let a user keep what they had under another name."""

    def signed_out(self, user_id: int) -> None:
        """End a user's sessions."""


def watch_users(model: Any, following: Following) -> None:
    """Listen to changes of users; once for each model.

    Args:
        model: Flask-AppBuilder's, mapped by SQLAlchemy, with `id`, `username`, `password` and `active`.
    """
    if event.contains(Session, "after_commit", _committed):
        return

    def deleting(_mapper: Any, _connection: Any, target: Any) -> None:
        user_id, name = target.id, target.username
        following.may_go(name)
        _due(target, lambda: following.gone(user_id, name))

    def updating(_mapper: Any, _connection: Any, target: Any) -> None:
        state = inspect(target).attrs
        if state.username.history.has_changes() and state.username.history.deleted:
            before, after = state.username.history.deleted[0], target.username
            _due(target, lambda: following.renamed(before, after))
        if state.password.history.has_changes() or (state.active.history.has_changes() and not target.active):
            user_id = target.id
            _due(target, lambda: following.signed_out(user_id))

    event.listen(model, "before_delete", deleting)
    event.listen(model, "before_update", updating)
    event.listen(Session, "after_commit", _committed)
    event.listen(Session, "after_rollback", _rolled_back)


def _due(target: Any, what: Any) -> None:
    session = object_session(target)
    if session is not None:
        session.info.setdefault(_DUE, []).append(what)


def _committed(session: Session) -> None:
    for what in session.info.pop(_DUE, ()):
        what()


def _rolled_back(session: Session) -> None:
    session.info.pop(_DUE, None)
