"""`pgwarden migration`: migrations before, while and after they run.

`proxy.cli.main` adds `migration_app`; each command is in a module of its own.
"""

from __future__ import annotations

import typer

from proxy.cli.migration_baseline import baseline
from proxy.cli.migration_check import check_migrations
from proxy.cli.migration_keys import keys_app
from proxy.cli.migration_ledger import approve, list_, revoke, show
from proxy.cli.migration_move import export, import_, verify
from proxy.cli.migration_rollback import plan_rollback
from proxy.cli.migration_scan import scan_commands
from proxy.cli.migration_schema import digest_, drift
from proxy.cli.migration_settle import settle

migration_app = typer.Typer(
    name="migration",
    help="Migrations: check and prove them, plan the way back, compare schemas.",
    no_args_is_help=True,
)

migration_app.command("check")(check_migrations)
migration_app.command("rollback-plan")(plan_rollback)
migration_app.command("scan")(scan_commands)
migration_app.command("list")(list_)
migration_app.command("show")(show)
migration_app.command("approve")(approve)
migration_app.command("revoke")(revoke)
migration_app.command("settle")(settle)
migration_app.command("export")(export)
migration_app.command("import")(import_)
migration_app.command("verify")(verify)
migration_app.command("baseline")(baseline)
migration_app.command("digest")(digest_)
migration_app.command("drift")(drift)
migration_app.add_typer(keys_app, name="keys")
