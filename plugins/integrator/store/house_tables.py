"""Tables beside the journal's: what projects want, console logs, who did what, and what was purged."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text, UniqueConstraint, text

from integrator.store.columns import UtcDateTime, metadata

projects = Table(
    "integrator_projects",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("wants", Text(), nullable=False),
    Column("updated_at", UtcDateTime(), nullable=False),
    Column("updated_by", String(250), nullable=False),
)
"""What a project wants, as JSON (`model.project.Wants`): its console policy, its plan, whom to tell."""

members = Table(
    "integrator_members",
    metadata,
    Column("project", String(200), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("name", String(250), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("given_by", String(250), nullable=False),
    Column("given_at", UtcDateTime(), nullable=False),
    Index("integrator_members_name_idx", "kind", "name"),
    Index(
        "integrator_members_owner_key",
        "project",
        unique=True,
        sqlite_where=text("role = 'owner'"),
        postgresql_where=text("role = 'owner'"),
    ),
)
"""Users and groups with a role in a project; a project has one owner at most, whatever two people do at once."""

user_sessions = Table(
    "integrator_user_sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", BigInteger(), nullable=False),
    Column("origin", String(300), nullable=False),
    Column("opened_at", UtcDateTime(), nullable=False),
    Column("seen_at", UtcDateTime(), nullable=False),
    Column("until_at", UtcDateTime(), nullable=False),
    Index("integrator_user_sessions_user_idx", "user_id"),
    Index("integrator_user_sessions_until_idx", "until_at"),
)
"""Sessions of people who are signed in: every token names one, and is worth nothing without it."""

tries = Table(
    "integrator_tries",
    metadata,
    Column("who", String(64), primary_key=True),
    Column("count", Integer(), nullable=False),
    Column("until_at", UtcDateTime(), nullable=False),
    Index("integrator_tries_until_idx", "until_at"),
)
"""How often somebody tried a password lately. `who` is a keyed hash of a name or an address, since people type passwords as names."""

console_switches = Table(
    "integrator_console_switches",
    metadata,
    Column("project", String(200), primary_key=True),
    Column("pipe", String(200), primary_key=True),
    Column("contents", String(100), nullable=False),
    Column("until_at", UtcDateTime(), nullable=False),
    Column("max_mb", Integer(), nullable=False),
    Column("enabled_by", String(250), nullable=False),
    Column("enabled_at", UtcDateTime(), nullable=False),
    Column("reason", Text()),
)

console_logs = Table(
    "integrator_console_logs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project", String(200), nullable=False),
    Column("pipe", String(200), nullable=False),
    Column("run_id", String(36), nullable=False),
    Column("flow", String(200), nullable=False),
    Column("attempt", Integer(), nullable=False),
    Column("state", String(16), nullable=False),
    Column("started_at", UtcDateTime(), nullable=False),
    Column("ended_at", UtcDateTime()),
    Column("objects", Integer(), nullable=False),
    Column("bytes", BigInteger(), nullable=False),
    Column("lines", BigInteger(), nullable=False),
    Column("dropped", BigInteger(), nullable=False),
    Column("fault", String(32)),
    UniqueConstraint("run_id", "flow", "attempt"),
    Index("integrator_console_logs_pipe_idx", "project", "pipe", "started_at"),
)
"""Which console logs there are, and which were deleted: a late flush asks here. What was logged lies in the object store."""

spent_links = Table(
    "integrator_spent_links",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("until_at", UtcDateTime(), nullable=False),
)
"""Hashes of download links that were used, until they would have been over."""

audit_lines = Table(
    "integrator_audit",
    metadata,
    Column("project", String(200), primary_key=True),
    Column("number", BigInteger(), primary_key=True, autoincrement=False),
    Column("at", UtcDateTime(), nullable=False),
    Column("actor", String(300), nullable=False),
    Column("action", String(60), nullable=False),
    Column("target", String(300), nullable=False),
    Column("origin", String(300), nullable=False),
    Column("came", String(16), nullable=False),
    Column("detail", Text(), nullable=False),
    Column("digest", String(64), nullable=False),
    Index("integrator_audit_at_idx", "at"),
)
"""Who did what, as `model.audit` says: lines are added, and nothing but a purge by plan takes them away."""
APPEND_ONLY = frozenset({audit_lines.name})
"""Tables whose rows our own database role may add and read, and neither change nor delete."""

OF_PEOPLE = frozenset({members.name, user_sessions.name, tries.name, spent_links.name})
"""Tables of who is who, which nothing that moves records has to do with: the role of workers may not even read them."""

purges = Table(
    "integrator_purges",
    metadata,
    Column("what", String(16), primary_key=True),
    Column("ended_at", UtcDateTime(), nullable=False),
    Column("deleted", BigInteger(), nullable=False),
    Column("faults", Integer(), nullable=False),
)
"""When a purge of our own rows, and one of Airflow's, last came to its end."""
