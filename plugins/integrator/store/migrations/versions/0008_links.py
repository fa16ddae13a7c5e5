"""Download links that were used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "integrator_spent_links",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="integrator_spent_links_pkey"),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("integrator_spent_links")
