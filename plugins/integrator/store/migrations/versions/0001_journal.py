"""The journal: runs, flow runs, failures, cursors, marks, selections."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.DateTime(timezone=True)
_WHOLE_COUNTS = (
    "read",
    "created",
    "updated",
    "deleted",
    "skipped",
    "waiting",
    "failed",
    "unknown",
    "api_calls",
    "retries",
)


def upgrade() -> None:
    """Create every table."""
    _runs()
    _flow_runs()
    _failures()
    _progress()
    _selections()


def downgrade() -> None:
    """Drop every table."""
    for name in ("selection_ids", "selections", "marks", "cursors", "failures", "flow_runs", "runs"):
        op.drop_table(f"integrator_{name}")


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _flow_key() -> list[sa.Column[Any]]:
    return [_text(name, 200) for name in ("project", "pipe", "flow")]


def _count(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default="0")


def _runs() -> None:
    op.create_table(
        "integrator_runs",
        _text("id", 36),
        _text("project", 200),
        _text("pipe", 200),
        _text("dag_id", 250, nullable=True),
        _text("dag_run_id", 250, nullable=True),
        _text("trigger", 16),
        _text("parent_run_id", 36, nullable=True),
        _text("pipe_version", 250),
        _text("actor", 250, nullable=True),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="integrator_runs_pkey"),
        sa.UniqueConstraint("dag_id", "dag_run_id", name="integrator_runs_dag_id_dag_run_id_key"),
    )
    op.create_index("integrator_runs_pipe_idx", "integrator_runs", ["project", "pipe", "started_at"])
    op.create_index("integrator_runs_started_idx", "integrator_runs", ["started_at"])


def _flow_runs() -> None:
    op.create_table(
        "integrator_flow_runs",
        _text("id", 36),
        _text("run_id", 36),
        *_flow_key(),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        _text("status", 16),
        _text("owner", 300),
        sa.Column("heartbeat_at", _INSTANT, nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("ended_at", _INSTANT),
        *(_count(name, sa.BigInteger()) for name in _WHOLE_COUNTS),
        _count("throttled_s", sa.Float()),
        _count("bytes_read", sa.BigInteger()),
        _count("bytes_sent", sa.BigInteger()),
        sa.Column("cursor_before", sa.Text()),
        sa.Column("cursor_after", sa.Text()),
        sa.Column("checkpoint", sa.Text()),
        _text("error", 100, nullable=True),
        _count("claimed_up_to", sa.BigInteger()),
        sa.ForeignKeyConstraint(
            ["run_id"], ["integrator_runs.id"], name="integrator_flow_runs_run_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="integrator_flow_runs_pkey"),
        sa.UniqueConstraint("run_id", "flow", "ordinal", name="integrator_flow_runs_run_id_flow_ordinal_key"),
    )
    op.create_index("integrator_flow_runs_flow_idx", "integrator_flow_runs", ["project", "pipe", "flow", "status"])


def _failures() -> None:
    op.create_table(
        "integrator_failures",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        *_flow_key(),
        _text("entity_id", 256),
        _text("stage", 16),
        _text("error", 100),
        sa.Column("http_status", sa.Integer()),
        _text("code", 64, nullable=True),
        sa.Column("field", sa.Text()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_failed_at", _INSTANT, nullable=False),
        sa.Column("last_failed_at", _INSTANT, nullable=False),
        _text("first_run_id", 36),
        _text("run_id", 36),
        _text("flow_run_id", 36),
        _text("state", 16),
        _text("resolved_run_id", 36, nullable=True),
        _text("lease_flow_run_id", 36, nullable=True),
        sa.PrimaryKeyConstraint("id", name="integrator_failures_pkey"),
        sa.UniqueConstraint(
            "project", "pipe", "flow", "entity_id", name="integrator_failures_project_pipe_flow_entity_id_key"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("integrator_failures_state_idx", "integrator_failures", ["project", "pipe", "flow", "state"])
    op.create_index("integrator_failures_lease_idx", "integrator_failures", ["lease_flow_run_id"])


def _progress() -> None:
    op.create_table(
        "integrator_cursors",
        *_flow_key(),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("seen", sa.LargeBinary(), nullable=False),
        _text("run_id", 36, nullable=True),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("project", "pipe", "flow", name="integrator_cursors_pkey"),
    )
    op.create_table(
        "integrator_marks",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        *_flow_key(),
        _text("flow_run_id", 36),
        _text("kind", 16),
        sa.Column("marks", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="integrator_marks_pkey"),
        sqlite_autoincrement=True,
    )
    op.create_index("integrator_marks_flow_idx", "integrator_marks", ["project", "pipe", "flow"])
    op.create_index("integrator_marks_flow_run_idx", "integrator_marks", ["flow_run_id"])


def _selections() -> None:
    op.create_table(
        "integrator_selections",
        _text("id", 36),
        _text("project", 200),
        _text("pipe", 200),
        _text("flow", 200, nullable=True),
        sa.Column("created_at", _INSTANT, nullable=False),
        _text("created_by", 250),
        sa.PrimaryKeyConstraint("id", name="integrator_selections_pkey"),
    )
    op.create_table(
        "integrator_selection_ids",
        _text("selection_id", 36),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        _text("entity_id", 256),
        sa.ForeignKeyConstraint(
            ["selection_id"],
            ["integrator_selections.id"],
            name="integrator_selection_ids_selection_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("selection_id", "ordinal", name="integrator_selection_ids_pkey"),
    )
