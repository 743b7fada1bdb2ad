"""`pgwarden identity`: who may log in, in a YAML file or in the store.

A running pgwarden follows within two seconds, and ends the sessions of whoever is out.
Passwords come from standard input, a file or typed unseen, never from the command line,
where `ps` would show them. Next: `proxy.cli.identity_change`, `proxy.cli.roster`,
`proxy.cli.identity_list`.
"""

from __future__ import annotations

import getpass
import json
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.auth.secrets import SALT_LENGTH, make_secret
from proxy.cli import identity_change as change, identity_options as options
from proxy.cli.document_edit import document_of
from proxy.cli.identity_list import as_json, history_table, shown, table
from proxy.cli.new_password import PASSWORD_BYTES, OutputFile
from proxy.cli.output import counted, output
from proxy.cli.roster import Roster, by, found_in, opened
from proxy.cli.roster_file import FileRoster
from proxy.cli.taking import taking
from proxy.errors import ConfigError

if TYPE_CHECKING:
    from proxy.cli.roster import Entries

identity_app = typer.Typer(help="Who may log in.", no_args_is_help=True)


@identity_app.callback()
def _root() -> None:
    """Who may log in: in the file or the store that the settings name."""


identity_app.command()(change.add)


@identity_app.command("list")
@taking(roster=options.roster)
def list_(
    *,
    is_json: options.Json = False,
    roster: Roster,
) -> None:
    """List everybody: role, state, networks, last use. Never a secret."""
    roll, uses, now = roster.read(), roster.uses(), datetime.now(UTC)
    if is_json:
        listed = [as_json(each, uses, now) for each in roll.entries]
        typer.echo(json.dumps(listed, indent=2, ensure_ascii=False))
    else:
        output().print(table(roll.entries, uses, now))
    _warn_of(roll.problems)


@identity_app.command()
@taking(roster=options.roster)
def show(
    name: options.Name,
    *,
    is_json: options.Json = False,
    roster: Roster,
) -> None:
    """Show one identity, and when each of its secrets was last used."""
    roll, now = roster.read(), datetime.now(UTC)
    entry = found_in({each.name: each for each in roll.entries}, name)
    if is_json:
        values = as_json(entry, roster.uses(), now)
        typer.echo(json.dumps(values, indent=2, ensure_ascii=False))
    else:
        output().print(shown(entry, roster.uses(), now))


identity_app.command("set")(change.set_)
for _command in (change.disable, change.enable, change.rotate, change.remove):
    identity_app.command()(_command)


@identity_app.command("import")
def import_(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="An identities document.")
    ],
    *,
    is_replacing: Annotated[
        bool, typer.Option("--replace", help="Replace whoever is there already.")
    ] = False,
    config: options.Config = None,
) -> None:
    """Take over everybody in a document: all of them, or with a mistake nobody."""
    wanted = FileRoster(source, None, lambda _before, _after: None).read().entries
    roster = opened(config, None)

    def edit(entries: Entries) -> Entries:
        twice = [each.name for each in wanted if each.name in entries]
        if twice and not is_replacing:
            listed = ", ".join(f'"{name}"' for name in twice)
            raise ConfigError(f"there already: {listed}", hint="--replace, if meant")
        return {**entries, **{each.name: each for each in wanted}}

    roster.change(
        [by("identity.import", each.name, role=each.role) for each in wanted], edit
    )
    typer.echo(f"{counted(len(wanted), 'identity', 'identities')} in {roster.place}")


@identity_app.command()
@taking(roster=options.roster)
def export(
    *,
    output_file: options.OutputFile = None,
    roster: Roster,
) -> None:
    """Write everybody as a document. It holds their secrets, though no password."""
    roll = roster.read()
    text = document_of(roll.entries)
    if output_file is None:
        typer.echo(text, nl=False)
    else:
        with OutputFile(output_file) as written:
            written.write(text)
    _warn_of(roll.problems)


@identity_app.command()
def history(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Only of this one.")
    ] = "",
    *,
    is_json: options.Json = False,
    config: options.Config = None,
) -> None:
    """Say who changed what, the newest first; the store keeps it."""
    events = opened(config, None).history(name)
    if is_json:
        listed = [
            {
                "at": each.at.isoformat(),
                "by": each.actor,
                "action": each.action,
                "subject": each.subject,
                "detail": each.detail,
            }
            for each in events
        ]
        typer.echo(json.dumps(listed, indent=2, ensure_ascii=False))
    else:
        output().print(history_table(events))


@identity_app.command()
def secret(
    *,
    generate: Annotated[
        bool,
        typer.Option("--generate", help="Make up a password, too, and show it once."),
    ] = False,
) -> None:
    """Print the SCRAM secret of a password, for `identities.yaml`.

    The password is typed unseen, or read from standard input: one line. A role of your
    own in Postgres takes the same form: ALTER ROLE ... PASSWORD '...'.

    Examples: pgwarden identity secret --generate; pgwarden identity secret <
    reader.password
    """
    if generate:
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        typer.echo(f"password, shown this once: {password}", err=True)
    elif sys.stdin.isatty():
        password = getpass.getpass("password: ")
        if getpass.getpass("again: ") != password:
            raise ConfigError("the two passwords differ")
    else:
        password = sys.stdin.readline().removesuffix("\n")
    if not password:
        raise ConfigError("the password is empty")
    typer.echo(make_secret(password, salt=secrets.token_bytes(SALT_LENGTH)).encode())


def _warn_of(problems: tuple[str, ...]) -> None:
    for problem in problems:
        typer.echo(f"can't log in: {problem}", err=True)
