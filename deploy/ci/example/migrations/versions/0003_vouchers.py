"""Vouchers, which points are changed into."""

from __future__ import annotations

from alembic import op

revision = "0003_vouchers"
down_revision = "0002_notes"


def upgrade() -> None:
    """A table that nobody uses yet."""
    op.execute(
        "CREATE TABLE vouchers ("
        "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
        "customer_id bigint NOT NULL REFERENCES customers (id), "
        "points integer NOT NULL CHECK (points > 0))"
    )
    op.execute("CREATE INDEX vouchers_customer ON vouchers (customer_id)")


def downgrade() -> None:
    """Drop the table."""
    op.execute("DROP TABLE vouchers")
