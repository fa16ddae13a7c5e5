"""The audit: who did what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "integrator_audit",
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(300), nullable=False),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("target", sa.String(300), nullable=False),
        sa.Column("origin", sa.String(300), nullable=False),
        sa.Column("came", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("project", "number", name="integrator_audit_pkey"),
    )
    op.create_index("integrator_audit_at_idx", "integrator_audit", ["at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("integrator_audit")
