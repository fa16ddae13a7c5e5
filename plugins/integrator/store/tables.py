"""Every table that this product keeps. No table holds a record, nor any value of one but its entity ID.

The migrations say the same once more, frozen per revision; a test holds both equal.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from integrator.model.run import COUNT_NAMES
from integrator.store.columns import UtcDateTime, metadata
from integrator.store.house_tables import (
    APPEND_ONLY,
    OF_PEOPLE,
    audit_lines,
    console_logs,
    console_switches,
    members,
    projects,
    purges,
    spent_links,
    tries,
    user_sessions,
)

VERSION_TABLE = "alembic_version_integrator"
HEAD = "0010"
"""Newest revision in `migrations/versions`; kept here so that asking for it needs no Alembic."""

_Number = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts up by itself only in an INTEGER


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

__all__ = [
    "APPEND_ONLY", "HEAD", "OF_PEOPLE", "VERSION_TABLE", "UtcDateTime", "audit_lines", "console_logs", "console_switches", "cursors", "failures", "flow_runs",
    "limits", "marks", "members", "metadata", "projects", "purges", "runs", "selection_ids", "selections", "sessions", "spent_links", "tokens",
    "tries", "user_sessions",
]  # fmt: skip
