"""`pgwarden migration check`: what there is to say of migrations before they run.

`proxy.cli.migration` registers it. Exit status: 0 nothing that fails, 1 findings, 2
usage. Next: `proxy.migrations.check`.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.around import around
from proxy.cli.check import judge_text
from proxy.cli.migration_ledger import entries
from proxy.cli.migration_options import ledger_of, settings_of
from proxy.cli.migration_output import AsJson, FailOn, Form, Format, show
from proxy.cli.mistakes import fail
from proxy.cli.offline import catalog_note, load_policy, load_resolver
from proxy.cli.options import CatalogFile, Database, PolicyFile, ServerVersion
from proxy.cli.output import counted
from proxy.errors import ConfigError
from proxy.migrations.check import Checked, Checks, check
from proxy.migrations.check_findings import Finding, Level
from proxy.migrations.check_proven import Ledger
from proxy.migrations.check_squawk import MISSING, squawk_path
from proxy.migrations.configured import trust_of
from proxy.migrations.folder import Migration, around as beside, read_folder
from proxy.migrations.folder_asked import ask
from proxy.migrations.folder_since import Since, since
from proxy.migrations.standing import standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.migrations.check import Proven


def check_migrations(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Folders of a tool, or single migrations."),
    ],
    *,
    policy: PolicyFile = None,
    role: Annotated[
        str, typer.Option(metavar="ROLE", help="Role that runs migrations.")
    ] = "migrator",
    catalog: CatalogFile = None,
    database: Database = "",
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="Settings with a section `migrations` and a store: says what was "
            "changed after it was proven, and what is not proven yet.",
        ),
    ] = None,
    server_version: ServerVersion = None,
    asked: Annotated[
        str,
        typer.Option(
            "--ask",
            metavar="COMMAND",
            help='How to call the tool where migrations are programs: "alembic -c '
            'alembic.ini", "python manage.py". It is asked for the SQL; nothing runs.',
        ),
    ] = "",
    ref: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="REF",
            help="Only what is new since this branch left the commit, as origin/main.",
        ),
    ] = "",
    is_squawk_left_out: Annotated[
        bool, typer.Option("--no-squawk", help="Don't look for long locks.")
    ] = False,
    fail_on: FailOn = Level.WARNING,
    form: Format = Form.TABLE,
    as_json: AsJson = False,
) -> None:
    """Check migrations before they run: policy, losses, long locks, the way back.

    Finds out whose migrations they are (Prisma, Drizzle, Flyway, golang-migrate,
    dbmate, goose, Liquibase's SQL, diesel, sqitch, else plain SQL), and says for each
    statement whether production's policy would let it pass, what it destroys, what
    locks for long (asked of squawk, where it is installed) and what has no way back.
    With --config it looks into the ledger, too.

    A finding is waived by a comment above its statement: "-- pgwarden: allow
    drop-column until 2027-01-31: the reason".

    Exit status: 0 nothing to say, 1 findings, 2 wrong usage.

    Example: pgwarden migration check prisma/migrations --since origin/main
    """
    try:
        loaded = load_policy(policy)
        loaded.role(role)
        resolver = load_resolver(catalog)
        where = around(database=database, server_major=server_version or 0)
        context = [other for each in paths if each.is_file() for other in beside(each)]
        migrations, unread = read_folder([*paths, *context])
        if asked:
            written, unread = ask(asked, unread)
            migrations += written
        _refuse_none(paths, len(migrations) + len(unread))
        scope = _Scope(paths, since(ref, paths) if ref else None)
        program = None if is_squawk_left_out else squawk_path()
        judge = where.judge(loaded, role, resolver)
        proven, unreadable = _ledger(config, database)
        checked = check(
            migrations,
            unread,
            Checks(
                decide=lambda text, file: judge_text(judge, text, file),
                today=datetime.now(UTC).date(),
                squawk=program,
                proven=proven,
                waivers=loaded.document.model.migration_checks.waive,
            ),
            wanted=scope.takes,
        )
    except ConfigError as error:
        fail(error)
    findings = [*checked.findings, *scope.edited(migrations)]
    named = [*(each.file for each in migrations), *(each.file for each in unread)]
    files = [each for each in named if scope.takes(each)]
    notes = [catalog_note(resolver), *where.left_open(loaded, role), *unreadable]
    if program is None and not is_squawk_left_out:
        notes.append(MISSING)
    more = {
        "policy": loaded.name,
        "policy_version": loaded.version,
        "role": role,
        "files": files,
        "statements": checked.statements,
        "notes": notes,
    }
    status = show(
        findings,
        Form.JSON if as_json else form,
        name="pgwarden migration check",
        files=files,
        least=fail_on,
        more=more,
    )
    if form is Form.TABLE and not as_json:
        _sum_up(findings, checked, migrations, files)
    for note in notes:
        sys.stderr.write(f"note: {note}\n")
    raise typer.Exit(status)


def _ledger(config: Path | None, database: str) -> tuple[Proven | None, list[str]]:
    """What the ledger knows of a migration, and a line for each row that is broken.

    Raises:
        ConfigError: the settings have no ledger.
        StoreUnavailable: the store is down.
    """
    if config is None:
        return None, []
    settings, section = settings_of(config)
    trust, now = trust_of(section), datetime.now(UTC)
    known, problems = entries(ledger_of(settings))
    rows = [(each, standing(each, trust, now)) for each in known]
    return Ledger(rows, database).findings, problems


def _refuse_none(paths: Sequence[Path], number: int) -> None:
    """A slip of the pen in CI must not look like a clean folder."""
    if not number:
        raise ConfigError(
            f'no migration was found in "{paths[0]}"',
            hint="Name the folder in which the tool keeps them.",
        )


class _Scope:
    """Which files are checked: those asked for, and of those the new ones."""

    def __init__(self, paths: Sequence[Path], changes: Since | None) -> None:
        self._paths = [each.resolve() for each in paths]
        self._changes = changes

    def takes(self, file: str) -> bool:
        path = Path(file).resolve()
        changes = self._changes
        return any(path.is_relative_to(each) for each in self._paths) and (
            changes is None or path in changes.new or path in changes.edited
        )

    def edited(self, migrations: Sequence[Migration]) -> list[Finding]:
        """What stood there already and reads otherwise now: no tool runs it again."""
        changes = self._changes
        if changes is None:
            return []
        return [
            Finding(
                each.file,
                1,
                "edited",
                Level.ERROR,
                "it stood there before and was edited: where it has run it does not "
                "run again",
                "Leave it as it was, and write a new migration.",
            )
            for each in migrations
            if self.takes(each.file) and Path(each.file).resolve() in changes.edited
        ]


def _sum_up(
    findings: Sequence[Finding],
    checked: Checked,
    migrations: Sequence[Migration],
    files: Sequence[str],
) -> None:
    tools = ", ".join(sorted({each.tool for each in migrations})) or "no tool"
    looked = (
        f"{counted(len(files), 'migration')} ({tools}), "
        f"{counted(checked.statements, 'statement')}"
    )
    levels = [
        counted(number, level.value)
        for level in Level
        if (number := sum(e.level is level and not e.waived for e in findings))
    ]
    waived = sum(bool(each.waived) for each in findings)
    said = ", ".join([*levels, *([f"{waived:,} waived"] if waived else [])])
    sys.stdout.write(f"{looked}: {said or 'nothing to say'}\n")
