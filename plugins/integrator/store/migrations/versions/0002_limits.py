"""Limits of credentials, counted for all workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "integrator_limits",
        sa.Column("credential", sa.String(400), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("credential", name="integrator_limits_pkey"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("integrator_limits")
