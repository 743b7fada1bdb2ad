"""What the settings say of proofs, as the values that judge and make them.

For the server and the commands alike. Reads the files that the settings name.
Next: `proxy.migration_settings`, `proxy.migrations.standing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import ConfigError
from proxy.migrations.keys import read_keys, read_private
from proxy.migrations.profile_history import bookkeeping
from proxy.migrations.schema import Scope
from proxy.migrations.standing import Source, Trust

if TYPE_CHECKING:
    from proxy.migration_settings import MigrationSettings
    from proxy.migrations.keys import SigningKey


def trust_of(settings: MigrationSettings) -> Trust:
    """What is believed here.

    Raises:
        ConfigError: the public keys can't be read.
    """
    return Trust(
        keys=read_keys(settings.keys),
        environment=settings.environment,
        sources=sources_of(settings),
        approvals=settings.approvals,
        needs_way_back=settings.way_back == "required",
    )


def sources_of(settings: MigrationSettings) -> tuple[Source, ...]:
    """Where proofs may come from."""
    return tuple(
        Source(each.environment, each.database, each.serves or each.database)
        for each in settings.accept
    )


def scope_of(
    settings: MigrationSettings | None, schemas: list[str] | None = None
) -> Scope:
    """What a schema digest is of: by the settings, or over the schemas that are named.

    Raises:
        ConfigError: a schema that is none of the team's, or nothing names one.
    """
    if settings is None:
        return Scope.of(schemas or [], bookkeeping=bookkeeping())
    return Scope.of(
        schemas or settings.schemas,
        bookkeeping=settings.bookkeeping,
        privileges=settings.privileges,
    )


def signing_key_of(settings: MigrationSettings) -> SigningKey:
    """The private key.

    Raises:
        ConfigError: there is none here, or it can't be read.
    """
    if settings.signing_key is None:
        raise ConfigError(
            "there is no signing key here, so nothing can be signed",
            hint='it is where staging is recorded: "migrations.signing_key"',
        )
    return read_private(settings.signing_key)
