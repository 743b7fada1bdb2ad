"""The `pgwarden` command: one subcommand a file, one way to fail.

An expected error is one clear line and an exit code: 2 for a mistake in what was asked
or configured, 1 for something that failed. Next: the other files of this folder.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from proxy.cli.audit import audit_app
from proxy.cli.check import check
from proxy.cli.demo import demo
from proxy.cli.explain import explain
from proxy.cli.identity import identity_app
from proxy.cli.policy import policy_app
from proxy.cli.serve import serve
from proxy.compiled import check_compiled, is_compiled
from proxy.errors import ConfigError, PgwardenError

app = typer.Typer(
    name="pgwarden",
    help="The guard in front of a production Postgres: no one destroys it by accident, "
    "whatever tool they use.\n\nFirst steps: `pgwarden demo`, then paste a line that "
    "it prints. Before a deployment: `pgwarden check migration.sql`.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command()(demo)
app.command()(serve)
app.command()(check)
app.command()(explain)
app.add_typer(policy_app, name="policy")
app.add_typer(identity_app, name="identity")
app.add_typer(audit_app, name="audit")


def _version(value: bool) -> None:  # noqa: FBT001 - typer calls it so
    if value:
        form = "compiled" if is_compiled() else "interpreted"
        typer.echo(f"pgwarden {version('pgwarden')} ({form})")
        raise typer.Exit


@app.callback()
def _root(
    *,
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; never a traceback for what can be expected."""
    try:
        check_compiled()
        app()
    except PgwardenError as error:
        for line in error.message.splitlines():
            sys.stderr.write(f"pgwarden: {line}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
