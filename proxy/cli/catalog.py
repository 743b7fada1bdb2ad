"""`pgwarden catalog export`: what `check --catalog` needs to answer as the wire.

`proxy.cli.main` adds `catalog_app`. Next: `proxy.catalog.load`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.catalog.load import load
from proxy.catalog.model import encode
from proxy.cli.asking import session
from proxy.cli.mistakes import fail
from proxy.cli.output import counted
from proxy.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from proxy.catalog.model import Catalog

catalog_app = typer.Typer(
    name="catalog",
    help="What a database's own catalog says of its functions and views.",
    no_args_is_help=True,
)


@catalog_app.callback()
def _group() -> None:
    """Keep `export` a word of its own, however many there are."""


@catalog_app.command("export")
def export(
    database: Annotated[str, typer.Argument(metavar="DATABASE", help="Which one.")],
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            envvar="PGWARDEN_CONFIG",
            metavar="FILE",
            help="Settings of `pgwarden serve`: asks its upstream with its login.",
        ),
    ] = None,
    dsn_env: Annotated[
        str | None,
        typer.Option(
            "--dsn-env",
            metavar="NAME",
            help="Instead: the variable that holds a URL of the server, of whatever "
            "role may connect.",
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Instead of stdout."),
    ] = None,
) -> None:
    """Write a database's catalog to a file, for `check`, `explain` and `replay`.

    It holds names, signatures and the texts of views and policies, never a row. Asks in
    one read-only transaction. Exit status: 0 written, 2 it could not be asked.

    Example: pgwarden catalog export shop --config pgwarden.yaml -o shop.catalog.json;
    pgwarden check --catalog shop.catalog.json query.sql
    """
    try:
        catalog = asyncio.run(_asked(database, config, dsn_env))
        data = encode(catalog) + b"\n"
        if to is None:
            sys.stdout.buffer.write(data)
        else:
            to.write_bytes(data)
    except OSError as error:
        fail(ConfigError(_not_exported(database, reason_of(error))))
    except ConfigError as error:
        fail(error)
    sys.stderr.write(
        f"catalog of {database} on PostgreSQL {catalog.server_version}, version "
        f"{catalog.version}: {counted(len(catalog.functions), 'function')} and "
        f"{counted(len(catalog.relations), 'relation')}\n"
    )


def _not_exported(database: str, why: str) -> str:
    return f'the catalog of "{database}" was not exported: {why}'


async def _asked(database: str, config: Path | None, dsn_env: str | None) -> Catalog:
    what = f'the catalog of "{database}" was not exported'
    async with session(database, config, dsn_env, what=what) as asker:
        return await load(asker)
