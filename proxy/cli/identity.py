"""`pgwarden identity secret`: make the SCRAM secret of an identity.

The password comes from standard input or is typed unseen, never from the command line,
where `ps` would show it. Next: `proxy.auth.secrets`.
"""

from __future__ import annotations

import getpass
import secrets
import sys
from typing import Annotated

import typer

from proxy.auth.secrets import make_secret
from proxy.errors import ConfigError

identity_app = typer.Typer(help="Who may log in.", no_args_is_help=True)

PASSWORD_BYTES = 18
"""144 random bits: 24 letters of URL-safe base64."""


@identity_app.callback()
def _root() -> None:
    """Who may log in."""


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
    typer.echo(make_secret(password, salt=secrets.token_bytes(16)).encode())
