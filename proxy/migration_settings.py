"""What is proven and believed of migrations: the section `migrations` of the settings.

Next: `proxy.migrations.standing`, which judges proofs by it;
docs/explanation/proven-migrations.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from proxy.settings_section import Section

Word = Annotated[str, StringConstraints(min_length=1, max_length=63)]

BOOKKEEPING = (
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
)
"""Tables in which tools write what they have applied."""


class AcceptedSource(Section):
    """A database elsewhere whose proofs are good here."""

    environment: Word = Field(description="As the other pgwarden's settings call it.")
    database: Word = Field(description="The database's name there.")
    serves: Word | None = Field(
        default=None,
        description="The database here that they are good for; without it, the one of "
        "the same name.",
    )


class MigrationSettings(Section):
    """Which migrations are proven, by whose word, and for what."""

    environment: Word = Field(
        description="What this environment is called in proofs, as `staging`."
    )
    keys: Path = Field(
        description="The public keys that proofs are believed by: a document that "
        "`pgwarden migration keys` writes and you deploy like the policy. Whoever can "
        "write it can make proofs."
    )
    signing_key: Path | None = Field(
        default=None,
        description="The private key, mode 0600. Only where staging is recorded or "
        "approved; never in production.",
    )
    schemas: Annotated[tuple[Word, ...], Field(min_length=1)] = Field(
        default=("public",),
        description="What the schema digest is of. The same on staging and production, "
        "or no proof fits.",
    )
    privileges: bool = Field(
        default=False,
        description="Whether grants count in the digest. Only where roles have the "
        "same names everywhere.",
    )
    bookkeeping: tuple[Word, ...] = Field(
        default=BOOKKEEPING,
        description="Tables of migration tools, as `schema.table`, which the digest "
        "leaves out. The same on staging and production.",
    )
    accept: tuple[AcceptedSource, ...] = Field(
        default=(),
        description="Where proofs may come from. Without it, only from here, which is "
        "right for staging and lets nothing pass in production.",
    )
    approvals: int = Field(
        default=1,
        ge=0,
        le=10,
        description="How many different people have to approve a proof; 0 lets it "
        "count as soon as it is recorded.",
    )
    valid_for_d: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="Days until a proof that is recorded here expires.",
    )

    @model_validator(mode="after")
    def _tables_have_schemas(self) -> Self:
        for name in self.bookkeeping:
            if "." not in name.strip("."):
                raise ValueError(f'"{name}" in "bookkeeping" is no schema.table')
        return self
