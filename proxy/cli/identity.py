"""`pgwarden identity`: who may log in, in a YAML file or in the store.

A running pgwarden follows within two seconds, and ends the sessions of whoever is out.
Passwords come from standard input, a file or typed unseen, never from the command line,
where `ps` would show them. Next: `proxy.cli.roster`, `proxy.cli.identity_list`.
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

from proxy.auth.identities import read_entry
from proxy.auth.secrets import SALT_LENGTH, make_secret
from proxy.cli import identity_options as options
from proxy.cli.document_edit import document_of
from proxy.cli.identity_list import as_json, history_table, shown, table
from proxy.cli.new_password import (
    PASSWORD_BYTES,
    OutputFile,
    given,
    new_password,
    refuse_argv,
)
from proxy.cli.output import counted, output
from proxy.cli.roster import by, found_in, opened
from proxy.cli.roster_file import FileRoster
from proxy.cli.roster_store import StoreRoster
from proxy.cli.rotation import finished, with_password
from proxy.errors import ConfigError
from proxy.store.identities import entry_values

if TYPE_CHECKING:
    from proxy.cli.roster import Entries, Roster
    from proxy.store.engine import Change

identity_app = typer.Typer(help="Who may log in.", no_args_is_help=True)


@identity_app.callback()
def _root() -> None:
    """Who may log in: in the file or the store that the settings name."""


@identity_app.command()
def add(
    name: options.Name,
    *,
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="Of the policy.")],
    network: options.Networks = None,
    valid_until: options.ValidUntil = "",
    expires_in: options.ExpiresIn = "",
    is_typed: options.Typed = False,
    password_file: options.PasswordFile = None,
    output_file: options.OutputFile = None,
    is_json: options.Json = False,
    config: options.Config = None,
    file: options.File = None,
    password: options.Password = None,
) -> None:
    """Add somebody, and show the password that was made up, this once.

    Example: pgwarden identity add ana --role developer --expires-in 90d
    """
    refuse_argv(password)
    roster = opened(config, file)
    until = options.end_of_validity(valid_until, expires_in, datetime.now(UTC))
    made = new_password(is_typed=is_typed, file=password_file)
    secret = make_secret(made.text, salt=secrets.token_bytes(SALT_LENGTH))
    entry = read_entry(
        {
            "name": name,
            "role": role,
            "secret": secret.encode(),
            "networks": network or [],
            "valid_until": until,
        },
        source="identity",
    )

    def edit(entries: Entries) -> Entries:
        if name in entries:
            raise ConfigError(f'there is an identity "{name}" already')
        return {**entries, name: entry}

    with given(name, made, output_file, is_json=is_json):
        roster.change([by("identity.add", name, role=role)], edit)


@identity_app.command("list")
def list_(
    *,
    is_json: options.Json = False,
    config: options.Config = None,
    file: options.File = None,
) -> None:
    """List everybody: role, state, networks, last use. Never a secret."""
    roster = opened(config, file)
    roll, uses, now = roster.read(), roster.uses(), datetime.now(UTC)
    if is_json:
        listed = [as_json(each, uses, now) for each in roll.entries]
        typer.echo(json.dumps(listed, indent=2, ensure_ascii=False))
    else:
        output().print(table(roll.entries, uses, now))
    _warn_of(roll.problems)


@identity_app.command()
def show(
    name: options.Name,
    *,
    is_json: options.Json = False,
    config: options.Config = None,
    file: options.File = None,
) -> None:
    """Show one identity, and when each of its secrets was last used."""
    roster = opened(config, file)
    roll, now = roster.read(), datetime.now(UTC)
    entry = found_in({each.name: each for each in roll.entries}, name)
    if is_json:
        values = as_json(entry, roster.uses(), now)
        typer.echo(json.dumps(values, indent=2, ensure_ascii=False))
    else:
        output().print(shown(entry, roster.uses(), now))


@identity_app.command("set")
def set_(
    name: options.Name,
    *,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="Another role of the policy.")
    ] = "",
    network: options.Networks = None,
    is_anywhere: Annotated[
        bool, typer.Option("--any-network", help="From any network again.")
    ] = False,
    valid_until: options.ValidUntil = "",
    expires_in: options.ExpiresIn = "",
    is_forever: Annotated[
        bool, typer.Option("--no-expiry", help="Without an end again.")
    ] = False,
    config: options.Config = None,
    file: options.File = None,
) -> None:
    """Change role, networks or validity. Another role ends open sessions."""
    until = options.end_of_validity(valid_until, expires_in, datetime.now(UTC))
    changed: dict[str, object] = {}
    if role:
        changed["role"] = role
    if network or is_anywhere:
        changed["networks"] = [] if is_anywhere else network
    if until is not None or is_forever:
        changed["valid_until"] = None if is_forever else until
    if not changed:
        raise ConfigError("nothing to change was given")
    detail = {key: _word(value) for key, value in changed.items()}
    change = by("identity.set", name, **detail)
    _edit_one(opened(config, file), change, changed)


@identity_app.command()
def disable(
    name: options.Name,
    *,
    config: options.Config = None,
    file: options.File = None,
) -> None:
    """Let somebody in no more, and end their sessions within two seconds."""
    roster = opened(config, file)
    _edit_one(roster, by("identity.disable", name), {"disabled": True})


@identity_app.command()
def enable(
    name: options.Name,
    *,
    config: options.Config = None,
    file: options.File = None,
) -> None:
    """Let somebody in again who was disabled."""
    roster = opened(config, file)
    _edit_one(roster, by("identity.enable", name), {"disabled": False})


@identity_app.command()
def rotate(
    name: options.Name,
    *,
    overlap: Annotated[
        str,
        typer.Option(
            "--overlap",
            metavar="TIME",
            help="The old password is right for so long: 24h.",
        ),
    ] = "",
    is_finish: Annotated[
        bool, typer.Option("--finish", help="The old password is right no more.")
    ] = False,
    is_now: Annotated[
        bool, typer.Option("--now", help="A new password, and no other from now on.")
    ] = False,
    is_typed: options.Typed = False,
    password_file: options.PasswordFile = None,
    output_file: options.OutputFile = None,
    is_json: options.Json = False,
    config: options.Config = None,
    file: options.File = None,
    password: options.Password = None,
) -> None:
    """Give somebody a new password; the old one stays right until --finish.

    Two passwords share one salt, since only one can be shown to who logs in. Open
    sessions go on: to end them, disable and enable.

    Example: pgwarden identity rotate ana --overlap 24h
    """
    refuse_argv(password)
    if (bool(overlap), is_finish, is_now).count(True) > 1:
        raise ConfigError("give one of --overlap, --finish and --now")
    roster = opened(config, file)
    if is_finish:
        change = by("identity.rotate", name, step="finished")
        roster.change(
            [change],
            lambda entries: {**entries, name: finished(found_in(entries, name))},
        )
        return
    now = datetime.now(UTC).replace(microsecond=0)
    until = now + options.span(overlap, "--overlap") if overlap else None
    made = new_password(is_typed=is_typed, file=password_file)

    def edit(entries: Entries) -> Entries:
        old = found_in(entries, name)
        new = with_password(old, made.text, keeps_old=not is_now, old_until=until)
        return {**entries, name: new}

    ends = until.isoformat() if until else "at once" if is_now else "when finished"
    with given(name, made, output_file, is_json=is_json):
        roster.change([by("identity.rotate", name, old_secret_ends=ends)], edit)


@identity_app.command()
def remove(
    name: options.Name,
    *,
    config: options.Config = None,
    file: options.File = None,
) -> None:
    """Remove somebody, and end their sessions within two seconds."""
    roster = opened(config, file)
    change = by("identity.remove", name)
    entries = {each.name: each for each in roster.read().entries}
    if name not in entries and isinstance(roster, StoreRoster):
        # Whoever can't be understood is not among the entries.
        roster.remove_broken(change)
        return

    def edit(entries: Entries) -> Entries:
        found_in(entries, name)
        return {key: entry for key, entry in entries.items() if key != name}

    roster.change([change], edit)


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
def export(
    *,
    output_file: options.OutputFile = None,
    config: options.Config = None,
    file: options.File = None,
) -> None:
    """Write everybody as a document. It holds their secrets, though no password."""
    roll = opened(config, file).read()
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


def _edit_one(roster: Roster, change: Change, changed: dict[str, object]) -> None:
    def edit(entries: Entries) -> Entries:
        known = found_in(entries, change.subject)
        values = entry_values(known) | changed
        entry = read_entry(values, source="identity")
        return {**entries, change.subject: entry}

    roster.change([change], edit)


def _warn_of(problems: tuple[str, ...]) -> None:
    for problem in problems:
        typer.echo(f"can't log in: {problem}", err=True)


def _word(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "any"
    return value.isoformat() if isinstance(value, datetime) else str(value or "none")
