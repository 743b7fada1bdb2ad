"""`pgwarden migration`: migrations before, while and after they run.

`proxy.cli.main` adds `migration_app`; each command is in a module of its own.
"""

from __future__ import annotations

import typer

from proxy.cli.migration_check import check_migrations
from proxy.cli.migration_rollback import plan_rollback
from proxy.cli.migration_scan import scan_commands

migration_app = typer.Typer(
    name="migration",
    help="Migrations: check them, plan the way back, find commands that destroy.",
    no_args_is_help=True,
)

migration_app.command("check")(check_migrations)
migration_app.command("rollback-plan")(plan_rollback)
migration_app.command("scan")(scan_commands)
