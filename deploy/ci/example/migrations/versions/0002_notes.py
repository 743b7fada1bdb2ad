"""The column that nobody reads any more goes."""

from __future__ import annotations

from alembic import op

revision = "0002_notes"
down_revision = "0001_points"


def upgrade() -> None:
    """Drop it; what it held is in the backup."""
    op.execute(
        "-- pgwarden: allow drop-column, policy/migrator.drop-column"
        " until 2027-06-30: unread since release 12\n"
        "ALTER TABLE orders DROP COLUMN note"
    )


def downgrade() -> None:
    """Give the column back, without what it held."""
    op.execute("ALTER TABLE orders ADD COLUMN note text")
