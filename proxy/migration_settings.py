"""What is proven and believed of migrations: the section `migrations` of the settings.

Next: `proxy.migrations.standing`, which judges proofs by it;
docs/explanation/proven-migrations.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from proxy.migration_gate_settings import GateSettings
from proxy.migrations.profile_history import bookkeeping
from proxy.settings_section import Section

Word = Annotated[str, StringConstraints(min_length=1, max_length=63)]


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
        default_factory=bookkeeping,
        description="Tables of migration tools, as `schema.table`, which the digest "
        "leaves out: those of all tool profiles that are on. The same on staging and "
        "production.",
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
    way_back: Literal["required", "optional"] = Field(
        default="optional",
        description="With `required` a proof counts only if somebody who approves it "
        "says how to take it back: `pgwarden migration approve --way-back` with a plan "
        "that was tried, or `--no-way-back` where only a restore does.",
    )
    valid_for_d: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="Days until a proof that is recorded here expires.",
    )
    gates: GateSettings = GateSettings()

    @model_validator(mode="after")
    def _tables_have_schemas(self) -> Self:
        for name in self.bookkeeping:
            if "." not in name.strip("."):
                raise ValueError(f'"{name}" in "bookkeeping" is no schema.table')
        return self
