"""Requests for lent roles, and what became of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "grants",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("requested_at", sa.String(27), nullable=False),
        sa.Column("reviewed_at", sa.String(27)),
        sa.Column("body", sa.JSON, nullable=False),
    )
    op.create_index("ix_grants_state", "grants", ["state"])
    op.create_index("ix_grants_requested_at", "grants", ["requested_at"])
