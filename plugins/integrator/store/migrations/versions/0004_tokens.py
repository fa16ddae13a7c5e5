"""Tokens that sign-ins earned, and sessions that are to be signed out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "integrator_tokens",
        sa.Column("credential", sa.String(400), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_owner", sa.String(250), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("credential", name="integrator_tokens_pkey"),
    )
    op.create_table(
        "integrator_sessions",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("credential", sa.String(400), nullable=False),
        sa.Column("owner", sa.String(250), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="integrator_sessions_pkey"),
    )
    op.create_index("integrator_sessions_credential_idx", "integrator_sessions", ["credential"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("integrator_sessions")
    op.drop_table("integrator_tokens")
