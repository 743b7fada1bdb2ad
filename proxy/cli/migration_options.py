"""What the commands of the ledger share: options, settings, and the store.

Next: `proxy.cli.migration_ledger`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from proxy.errors import ConfigError
from proxy.settings import load_settings

if TYPE_CHECKING:
    from proxy.migration_settings import MigrationSettings
    from proxy.settings import Settings
    from proxy.store_settings import StoreSettings

Config = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        envvar="PGWARDEN_CONFIG",
        metavar="FILE",
        help="Settings of `pgwarden serve`, with a section `migrations`.",
    ),
]
OptionalConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="PGWARDEN_CONFIG",
        metavar="FILE",
        help="Settings of `pgwarden serve`; without them, --dsn-env and --schema.",
    ),
]
Schemas = Annotated[
    list[str] | None,
    typer.Option(
        "--schema",
        metavar="NAME",
        help="Over this one instead of `migrations.schemas`. Repeatable.",
    ),
]
DsnEnv = Annotated[
    str | None,
    typer.Option(
        "--dsn-env",
        metavar="NAME",
        help="Ask there instead: the variable that holds a URL of the server. Any role "
        "that may connect will do.",
    ),
]
ProofId = Annotated[
    str, typer.Argument(metavar="ID", help="Of a proof: its first letters will do.")
]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="What to say to it.")]
By = Annotated[
    str,
    typer.Option(
        "--by",
        metavar="NAME",
        help="Who says so, if not the user of this machine: in CI, the person.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask: for scripts.")]
NO_SECTION: Final = "docs/explanation/proven-migrations.md says what belongs there"


def settings_of(config: Path) -> tuple[Settings, MigrationSettings]:
    """The settings, and their section on migrations.

    Raises:
        ConfigError: they have none.
    """
    settings = load_settings(config, os.environ)
    if settings.migrations is None:
        raise ConfigError(
            f'{config}: there is no section "migrations"', hint=NO_SECTION
        )
    return settings, settings.migrations


def ledger_of(settings: Settings) -> StoreSettings:
    """Where the ledger is kept.

    Raises:
        ConfigError: nowhere.
    """
    if settings.store is None:
        raise ConfigError(
            "the ledger of migrations is in the store, and the settings name none",
            hint='add "store: {url: ...}"',
        )
    return settings.store
