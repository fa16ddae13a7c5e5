"""Every table that this product keeps. No table holds a record, nor any value of one but its entity ID.

The migrations say the same once more, frozen per revision; a test holds both equal.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)

from integrator.model.run import COUNT_NAMES

VERSION_TABLE = "alembic_version_integrator"
HEAD = "0007"
"""Newest revision in `migrations/versions`; kept here so that asking for it needs no Alembic."""

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
    }
)
_Number = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts up by itself only in an INTEGER


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC instant on every database; SQLite alone would forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the instant in UTC. Raises nothing of ours: a naive instant is a fault in the code."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError("an instant without a zone")
        instant = value.astimezone(UTC)
        return instant.replace(tzinfo=None) if dialect.name == "sqlite" else instant

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the instant as aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _flow_key(*, primary_key: bool = False) -> list[Column[Any]]:
    names = ("project", "pipe", "flow")
    return [Column(name, String(200), primary_key=primary_key, nullable=False) for name in names]


def _count(name: str) -> Column[Any]:
    kind: Any = Float() if name.endswith("_s") else BigInteger()
    return Column(name, kind, nullable=False, default=0, server_default="0")


runs = Table(
    "integrator_runs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project", String(200), nullable=False),
    Column("pipe", String(200), nullable=False),
    Column("dag_id", String(250)),
    Column("dag_run_id", String(250)),
    Column("trigger", String(16), nullable=False),
    Column("parent_run_id", String(36)),
    Column("pipe_version", String(250), nullable=False),
    Column("actor", String(250)),
    Column("started_at", UtcDateTime(), nullable=False),
    UniqueConstraint("dag_id", "dag_run_id"),
    Index("integrator_runs_pipe_idx", "project", "pipe", "started_at"),
    Index("integrator_runs_started_idx", "started_at"),
)

_PARTS = ("parts", "parts_failed")
"""Counts that came with a later revision, and stand behind the older columns."""

flow_runs = Table(
    "integrator_flow_runs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("run_id", String(36), ForeignKey("integrator_runs.id", ondelete="CASCADE"), nullable=False),
    *_flow_key(),
    Column("ordinal", Integer(), nullable=False),
    Column("status", String(16), nullable=False),
    Column("owner", String(300), nullable=False),
    Column("heartbeat_at", UtcDateTime(), nullable=False),
    Column("started_at", UtcDateTime(), nullable=False),
    Column("ended_at", UtcDateTime()),
    *(_count(name) for name in COUNT_NAMES if name not in _PARTS),
    Column("cursor_before", Text()),
    Column("cursor_after", Text()),
    Column("checkpoint", Text()),
    Column("error", String(100)),
    Column("claimed_up_to", BigInteger(), nullable=False, default=0, server_default="0"),
    *(_count(name) for name in _PARTS),
    Column("shadow", Boolean(), nullable=False, default=False, server_default=false()),
    UniqueConstraint("run_id", "flow", "ordinal"),
    Index("integrator_flow_runs_flow_idx", "project", "pipe", "flow", "status"),
)

failures = Table(
    "integrator_failures",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    *_flow_key(),
    Column("entity_id", String(256), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("error", String(100), nullable=False),
    Column("http_status", Integer()),
    Column("code", String(64)),
    Column("field", Text()),
    Column("attempts", Integer(), nullable=False),
    Column("first_failed_at", UtcDateTime(), nullable=False),
    Column("last_failed_at", UtcDateTime(), nullable=False),
    Column("first_run_id", String(36), nullable=False),
    Column("run_id", String(36), nullable=False),
    Column("flow_run_id", String(36), nullable=False),
    Column("state", String(16), nullable=False),
    Column("resolved_run_id", String(36)),
    Column("lease_flow_run_id", String(36)),
    Column("parts", Text()),
    Column("announced_at", UtcDateTime()),
    UniqueConstraint("project", "pipe", "flow", "entity_id"),
    Index("integrator_failures_state_idx", "project", "pipe", "flow", "state"),
    Index("integrator_failures_lease_idx", "lease_flow_run_id"),
    sqlite_autoincrement=True,
)
"""A lease is the name of the rerun's flow run: it lasts as long as that one's heartbeat is younger than LEASE_S,
so that renewing it never touches the rows."""

cursors = Table(
    "integrator_cursors",
    metadata,
    *_flow_key(primary_key=True),
    Column("value", Text(), nullable=False),
    Column("seen", LargeBinary(), nullable=False),
    Column("run_id", String(36)),
    Column("updated_at", UtcDateTime(), nullable=False),
    Column("restored_at", UtcDateTime()),
)
"""`restored_at` is set by a restore, after which somebody has to look whether the value is still right."""

marks = Table(
    "integrator_marks",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    *_flow_key(),
    Column("flow_run_id", String(36), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("marks", LargeBinary(), nullable=False),
    Index("integrator_marks_flow_idx", "project", "pipe", "flow"),
    Index("integrator_marks_flow_run_idx", "flow_run_id"),
    sqlite_autoincrement=True,
)

selections = Table(
    "integrator_selections",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project", String(200), nullable=False),
    Column("pipe", String(200), nullable=False),
    Column("flow", String(200)),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("created_by", String(250), nullable=False),
)

selection_ids = Table(
    "integrator_selection_ids",
    metadata,
    Column("selection_id", String(36), ForeignKey("integrator_selections.id", ondelete="CASCADE"), primary_key=True),
    Column("ordinal", Integer(), primary_key=True, autoincrement=False),
    Column("entity_id", String(256), nullable=False),
)

limits = Table(
    "integrator_limits",
    metadata,
    Column("credential", String(400), primary_key=True),
    Column("state", Text(), nullable=False),
    Column("updated_at", UtcDateTime(), nullable=False),
)
"""How far each limited credential has been used, as `store.limit_rules` keeps it: instants and numbers, and no secret."""

tokens = Table(
    "integrator_tokens",
    metadata,
    Column("credential", String(400), primary_key=True),
    Column("content", Text()),
    Column("state", String(16), nullable=False),
    Column("expires_at", UtcDateTime()),
    Column("lease_owner", String(250)),
    Column("lease_until", UtcDateTime()),
    Column("updated_at", UtcDateTime(), nullable=False),
)
"""What sign-ins earned, as `store.token_rules.Kept`; `content` is encrypted."""

sessions = Table(
    "integrator_sessions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("credential", String(400), nullable=False),
    Column("owner", String(250), nullable=False),
    Column("content", Text(), nullable=False),
    Column("opened_at", UtcDateTime(), nullable=False),
    Index("integrator_sessions_credential_idx", "credential"),
)
"""Sessions with systems that count them, so that one whose process died is signed out by the next; `content` is encrypted."""

projects = Table(
    "integrator_projects",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("wants", Text(), nullable=False),
    Column("updated_at", UtcDateTime(), nullable=False),
    Column("updated_by", String(250), nullable=False),
)
"""What a project wants, as JSON (`model.project.Wants`): its console policy, its plan, whom to tell."""

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

purges = Table(
    "integrator_purges",
    metadata,
    Column("what", String(16), primary_key=True),
    Column("ended_at", UtcDateTime(), nullable=False),
    Column("deleted", BigInteger(), nullable=False),
    Column("faults", Integer(), nullable=False),
)
"""When a purge of our own rows, and one of Airflow's, last came to its end."""
