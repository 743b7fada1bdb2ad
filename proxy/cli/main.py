"""The `pgwarden` command: one subcommand a file, one way to fail.

A command's file is imported when that command is run, so that `check` in a hook does
not wait for the server's imports. Next: the other files of this folder, `mistakes` for
how they fail.
"""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group
from typing_extensions import override

from proxy.cli.mistakes import tell
from proxy.compiled import check_compiled, is_compiled
from proxy.errors import PgwardenError

COMMANDS: Final = {
    "demo": "demo",
    "serve": "serve",
    "doctor": "doctor",
    "door": "door_app",
    "check": "check",
    "explain": "explain",
    "replay": "replay",
    "policy": "policy_app",
    "catalog": "catalog_app",
    "identity": "identity_app",
    "login": "login",
    "access": "access_app",
    "migration": "migration_app",
    "audit": "audit_app",
}
"""Each command, in the order of the help, and what it is called in its file."""


class _Commands(TyperGroup):
    @override
    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # For a name that is none, all of them: one may be suggested.
        for name in [cmd_name] if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                self.add_command(_imported(name), name)
        return super().get_command(ctx, cmd_name)


def _imported(name: str) -> Any:  # noqa: ANN401 - typer's own class of it is private
    part = getattr(import_module(f"proxy.cli.{name}"), COMMANDS[name])
    around = typer.Typer(rich_markup_mode="markdown")
    if isinstance(part, typer.Typer):
        around.add_typer(part, name=name)
    else:
        around.command(name)(part)
    return get_group(around).commands[name]


app = typer.Typer(
    name="pgwarden",
    cls=_Commands,
    help="The guard in front of a production Postgres: no one destroys it by accident, "
    "whatever tool they use.\n\nFirst steps: `pgwarden demo`, then paste a line that "
    "it prints. Before a deployment: `pgwarden check migration.sql`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
        sys.exit(tell(error))
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        # The rest is the interpreter's own end, which a second Ctrl-C may cut short
        # but must not make it print.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
