"""Members of projects, and their roles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "integrator_members",
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(250), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("given_by", sa.String(250), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project", "kind", "name", name="integrator_members_pkey"),
    )
    op.create_index("integrator_members_name_idx", "integrator_members", ["kind", "name"])
    owner = sa.text("role = 'owner'")
    op.create_index("integrator_members_owner_key", "integrator_members", ["project"], unique=True, sqlite_where=owner, postgresql_where=owner)


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("integrator_members")
