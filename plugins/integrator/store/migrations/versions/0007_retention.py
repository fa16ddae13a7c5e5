"""Announced failures, cursors to be checked after a restore, and when purges ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("integrator_failures", sa.Column("announced_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("integrator_cursors", sa.Column("restored_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "integrator_purges",
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=False),
        sa.Column("faults", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("what", name="integrator_purges_pkey"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("integrator_purges")
    with op.batch_alter_table("integrator_cursors") as table:
        table.drop_column("restored_at")
    with op.batch_alter_table("integrator_failures") as table:
        table.drop_column("announced_at")
