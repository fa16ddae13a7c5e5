"""Parts of records, and flow runs that write nothing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns."""
    for name in ("parts", "parts_failed"):
        op.add_column("integrator_flow_runs", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("integrator_flow_runs", sa.Column("shadow", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("integrator_failures", sa.Column("parts", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop the columns."""
    with op.batch_alter_table("integrator_failures") as table:
        table.drop_column("parts")
    with op.batch_alter_table("integrator_flow_runs") as table:
        for name in ("shadow", "parts_failed", "parts"):
            table.drop_column(name)
