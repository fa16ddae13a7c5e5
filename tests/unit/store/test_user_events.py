"""What follows when users and groups of the sign-in change: after the commit, and not at all when there is none."""

from __future__ import annotations

import subprocess
import sys

from tests.services.demo import ROOT

CODE = """
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from integrator.store.user_events import watch_users

class Base(DeclarativeBase):
    pass

class User(Base):
    __tablename__ = "u"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]
    password: Mapped[str] = mapped_column(default="p")
    active: Mapped[bool] = mapped_column(default=True)
    logins: Mapped[int] = mapped_column(default=0)

class Group(Base):
    __tablename__ = "g"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

told = []

class Following:
    def may_go(self, user):
        if user == "owner":
            raise ValueError("owns")
    def gone(self, user_id, user): told.append(("gone", user_id, user))
    def group_gone(self, group): told.append(("group_gone", group))
    def renamed(self, kind, before, after): told.append(("renamed", kind.value, before, after))
    def signed_out(self, user_id): told.append(("signed_out", user_id))

engine = create_engine("sqlite://")
Base.metadata.create_all(engine)
watch_users(User, Group, Following())
watch_users(User, Group, Following())  # a second auth manager in the same process

def after(work):
    told.clear()
    with Session(engine) as session:
        try:
            work(session)
            session.commit()
        except ValueError:
            session.rollback()
    return list(told)

def user(session, name): return session.query(User).filter_by(username=name).one()
def group(session): return session.query(Group).one()

after(lambda s: s.add_all([User(username=name) for name in ("owner", "ann", "bob")] + [Group(name="ops")]))
assert after(lambda s: setattr(user(s, "ann"), "logins", 3)) == []
assert after(lambda s: setattr(user(s, "ann"), "username", "anna")) == [("renamed", "user", "ann", "anna")]
assert after(lambda s: setattr(user(s, "anna"), "password", "q")) == [("signed_out", 2)]
assert after(lambda s: setattr(user(s, "anna"), "active", False)) == [("signed_out", 2)]
assert after(lambda s: setattr(user(s, "anna"), "active", True)) == []
assert after(lambda s: setattr(group(s), "name", "night")) == [("renamed", "group", "ops", "night")]

def given_up(session):
    session.delete(user(session, "bob"))
    session.flush()
    session.rollback()
assert after(given_up) == []
assert after(lambda s: s.delete(user(s, "owner"))) == []
with Session(engine) as session:
    assert user(session, "owner") and user(session, "bob")
assert after(lambda s: s.delete(user(s, "bob"))) == [("gone", 3, "bob")]
assert after(lambda s: s.delete(group(s))) == [("group_gone", "night")]
print("WELL")
"""


def test_what_follows_comes_after_the_commit_and_only_then() -> None:
    """In a process of its own, since whoever listens to SQLAlchemy's sessions does so for all of a process."""
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(ROOT / "plugins")},
    )
    assert done.stdout.strip() == "WELL", done.stderr[-2000:]
