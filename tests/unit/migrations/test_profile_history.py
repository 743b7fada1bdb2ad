"""The tables of the known tools: left out of the schema digest, and read."""

from __future__ import annotations

from proxy.migrations.profile_history import bookkeeping, histories
from proxy.migrations.profile_load import shipped_profiles


def test_what_the_digest_leaves_out_changes_only_on_purpose() -> None:
    """It is part of every digest: whoever changes it makes all proofs worth nothing."""
    assert bookkeeping() == (
        "drizzle.__drizzle_migrations",
        "public.__drizzle_migrations",
        "public._prisma_migrations",
        "public.alembic_version",
        "public.ar_internal_metadata",
        "public.databasechangelog",
        "public.databasechangeloglock",
        "public.django_migrations",
        "public.flyway_schema_history",
        "public.knex_migrations",
        "public.knex_migrations_lock",
        "public.schema_migrations",
        "sqitch.changes",
        "sqitch.dependencies",
        "sqitch.events",
        "sqitch.projects",
        "sqitch.releases",
        "sqitch.tags",
    )


def test_every_tool_that_is_on_and_keeps_a_history_says_where() -> None:
    keeping = {
        each.tool
        for each in shipped_profiles()
        if each.is_on and each.model.script.order != "no-row"
    }
    assert histories().keys() == keeping
