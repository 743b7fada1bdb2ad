"""`pgwarden migration keys`: make, list and retire the keys of the ledger.

The private part is written to a file and shown to nobody.
Next: `proxy.migrations.keys`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from proxy.cli import migration_options as options
from proxy.cli.output import output
from proxy.errors import ConfigError
from proxy.migrations.keys import (
    KeyDocument,
    PublicKey,
    Use,
    make_private,
    public_of,
    read_keys,
    write_keys,
)

if TYPE_CHECKING:
    from proxy.migration_settings import MigrationSettings

keys_app = typer.Typer(help="Who may sign proofs and approvals.", no_args_is_help=True)

USES: tuple[Use, ...] = ("record", "approve")


@keys_app.command()
def new(
    private: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="New file (0600) of the private key; else `migrations.signing_key`.",
        ),
    ] = None,
    *,
    use: Annotated[
        list[str] | None,
        typer.Option(
            "--use", metavar="USE", help="record, approve. Repeatable; both without."
        ),
    ] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=3650, help="How long it may sign.")
    ] = 365,
    config: options.Config,
) -> None:
    """Make a key: the private part in a file, the public one in the keys document.

    Give the document to every pgwarden that should believe it; leave the private part
    where staging is recorded. Several keys may be valid at once.

    Example: pgwarden migration keys new staging-2027.key --days 400
    """
    _, section = options.settings_of(config)
    file = private or section.signing_key
    if file is None:
        raise ConfigError(
            "where to? name a file", hint='or set "migrations.signing_key"'
        )
    wanted = tuple(each for each in USES if each in (use or USES))
    unknown = [each for each in use or () if each not in USES]
    if unknown:
        raise ConfigError(f'--use: "{unknown[0]}" is neither record nor approve')
    document = _document(section)
    made = make_private(file)
    now = datetime.now(UTC).replace(microsecond=0)
    public = public_of(
        made,
        environment=section.environment,
        uses=wanted,
        valid_from=now,
        valid_until=now + timedelta(days=days),
    )
    try:
        _write(section, [*document.keys, public])
    except ConfigError:
        file.unlink(missing_ok=True)
        raise
    output().print(f"{public.id}: private part in {file}, public in {section.keys}")


@keys_app.command("list")
def list_(*, is_json: options.Json = False, config: options.Config) -> None:
    """List the public keys, and what each is good for now."""
    _, section = options.settings_of(config)
    rows = [_row(each) for each in _document(section).keys]
    if is_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    heads = ("id", "state", "environment", "uses", "valid_from", "valid_until")
    table = Table(*(each.replace("_", " ") for each in heads), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(row[each]) for each in heads))
    output().print(table)


@keys_app.command()
def retire(
    key: Annotated[str, typer.Argument(metavar="ID", help="As in K-0123456789abcdef.")],
    *,
    is_distrusted: Annotated[
        bool,
        typer.Option(
            "--distrust",
            help="It got into wrong hands: nothing that it ever signed counts.",
        ),
    ] = False,
    config: options.Config,
) -> None:
    """Let a key sign no more. What it signed before still counts, without --distrust.

    Deploy the keys document afterwards, and remove the private file.
    """
    _, section = options.settings_of(config)
    document = _document(section)
    known = document.find(key)
    if known is None:
        raise ConfigError(f'there is no key "{key}" in {section.keys}')
    now = datetime.now(UTC)
    retired = known.model_copy(
        update={
            "retired_at": known.retired_at or now,
            "distrusted": known.distrusted or is_distrusted,
        }
    )
    _write(section, [retired if each is known else each for each in document.keys])
    output().print(f"{key} is {_state(retired, now)}")


def _document(section: MigrationSettings) -> KeyDocument:
    if not section.keys.exists():
        return KeyDocument(version=1)
    return read_keys(section.keys)


def _write(section: MigrationSettings, keys: list[PublicKey]) -> None:
    write_keys(section.keys, KeyDocument(version=1, keys=tuple(keys)))


def _row(key: PublicKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "state": _state(key, datetime.now(UTC)),
        "environment": key.environment,
        "uses": ", ".join(key.uses),
        "valid_from": key.valid_from.isoformat(),
        "valid_until": key.valid_until.isoformat(),
        "retired_at": key.retired_at.isoformat() if key.retired_at else None,
    }


def _state(key: PublicKey, now: datetime) -> str:
    if key.distrusted:
        return "distrusted"
    if key.retired_at is not None:
        return "retired"
    if now < key.valid_from:
        return "not yet valid"
    return "valid" if now < key.valid_until else "expired"
