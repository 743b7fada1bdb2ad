"""The ledger of proven migrations: rows are added, and never changed or removed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_REFUSAL = "the ledger of proven migrations is only ever added to"


def upgrade() -> None:
    """Make the tables, and what keeps their rows as they are."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.create_table(
        "proofs",
        sa.Column(
            "number", sa.Integer if is_sqlite else sa.BigInteger, primary_key=True
        ),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("about", sa.String(64), nullable=False),
        sa.Column("added_at", sa.String(27), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_proofs_about", "proofs", ["about"])
    op.create_table(
        "schema_snapshots",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    for statement in _sqlite() if is_sqlite else _postgres():
        op.execute(statement)


def _sqlite() -> list[str]:
    return [
        f"CREATE TRIGGER {table}_no_{event} BEFORE {event} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        for table in ("proofs", "schema_snapshots")
        for event in ("update", "delete")
    ]


def _postgres() -> list[str]:
    return [
        "CREATE FUNCTION ledger_only_grows() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$",
        *(
            f"CREATE TRIGGER {table}_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE "
            f"ON {table} FOR EACH STATEMENT EXECUTE FUNCTION ledger_only_grows()"
            for table in ("proofs", "schema_snapshots")
        ),
    ]
