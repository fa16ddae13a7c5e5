"""Console logs: which pipes have one, and what was written; and what a project wants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "integrator_projects",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("wants", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.String(250), nullable=False),
        sa.PrimaryKeyConstraint("name", name="integrator_projects_pkey"),
    )
    op.create_table(
        "integrator_console_switches",
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("pipe", sa.String(200), nullable=False),
        sa.Column("contents", sa.String(100), nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("max_mb", sa.Integer(), nullable=False),
        sa.Column("enabled_by", sa.String(250), nullable=False),
        sa.Column("enabled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("project", "pipe", name="integrator_console_switches_pkey"),
    )
    op.create_table(
        "integrator_console_logs",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("pipe", sa.String(200), nullable=False),
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("flow", sa.String(200), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("objects", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.Column("fault", sa.String(32), nullable=True),
        sa.PrimaryKeyConstraint("id", name="integrator_console_logs_pkey"),
        sa.UniqueConstraint("run_id", "flow", "attempt", name="integrator_console_logs_run_id_flow_attempt_key"),
    )
    op.create_index("integrator_console_logs_pipe_idx", "integrator_console_logs", ["project", "pipe", "started_at"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("integrator_console_logs")
    op.drop_table("integrator_console_switches")
    op.drop_table("integrator_projects")
