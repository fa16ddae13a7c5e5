"""Sessions of people who are signed in, and how often somebody tried a password."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "integrator_user_sessions",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.String(300), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="integrator_user_sessions_pkey"),
    )
    op.create_index("integrator_user_sessions_user_idx", "integrator_user_sessions", ["user_id"])
    op.create_index("integrator_user_sessions_until_idx", "integrator_user_sessions", ["until_at"])
    op.create_table(
        "integrator_tries",
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("who", name="integrator_tries_pkey"),
    )
    op.create_index("integrator_tries_until_idx", "integrator_tries", ["until_at"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("integrator_tries")
    op.drop_table("integrator_user_sessions")
