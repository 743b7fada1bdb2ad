"""`pgwarden doctor`: what pgwarden's own logins could do if pgwarden were not there.

Exit status 0: nothing critical. 1: something critical. 2: nobody could be asked.
Next: `proxy.doctor.examine`; `proxy.cli.serve` has the gate.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from proxy.audit.tail import printable
from proxy.cli.mistakes import tell
from proxy.cli.output import counted, output
from proxy.doctor.examine import each_login, examine, logins_of
from proxy.doctor.findings import CRITICAL, NOTE, WARNING
from proxy.doctor.quoting import one_line
from proxy.doctor.script import roles_script, whole_script
from proxy.errors import ConfigError, PgwardenError
from proxy.server.dial import Dialler
from proxy.server.health import UpstreamError
from proxy.server.sources import read_policy, read_sources
from proxy.server.tasks import Tasks
from proxy.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.doctor.examine import Report
    from proxy.doctor.findings import Finding
    from proxy.server.sources import Sources
    from proxy.settings import Settings

_STYLES: Final = {CRITICAL: "bold red", WARNING: "yellow", NOTE: "dim"}
_CANNOT: Final = 2
SHOWN_OBJECTS: Final = 5
"""Of a finding, in the table; `--json` has more."""


def doctor(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            envvar="PGWARDEN_CONFIG",
            metavar="FILE",
            help="Settings of `pgwarden serve`; PGWARDEN_* variables are laid on top.",
        ),
    ] = None,
    *,
    is_json: Annotated[
        bool, typer.Option("--json", help="Everything that was found, for machines.")
    ] = False,
    is_fix: Annotated[
        bool,
        typer.Option(
            "--fix-sql",
            help="Look at nothing: print the script for psql that makes the "
            "least-privilege roles, with the names of the settings.",
        ),
    ] = False,
) -> None:
    """Tell what pgwarden's own logins could do if pgwarden were not there.

    Logs in to the database as each login that a role of the policy uses, in each
    database that is served, and looks: superuser, ownership, privileges, memberships,
    functions, extensions, other ways in, a pooler on the way. Tries whether a read-only
    session really is one, and whether Postgres refuses a write. Changes nothing. Each
    finding comes with the SQL that mends it, to be read and run by a superuser.

    Exit status 0: nothing critical. 1: something critical. 2: the database could not be
    asked, or the configuration can't be used.

    All findings: docs/reference/findings.md.
    """
    settings = None if config is None else load_settings(config, os.environ)
    if is_fix:
        typer.echo(_script(settings) if settings else roles_script(), nl=False)
        return
    if settings is None:
        raise ConfigError(
            "--config is missing", hint="pgwarden doctor --config pgwarden.yaml"
        )
    report = _examined(settings)
    if is_json:
        typer.echo(json.dumps(as_json(report), indent=2, ensure_ascii=False))
    else:
        show(report)
    if any(each.severity is CRITICAL for each in report.findings):
        raise typer.Exit(1)


def _script(settings: Settings) -> str:
    """For the logins whose roles a script can make by name."""
    known = settings.upstream.logins
    policy = read_policy(settings.policy, settings)
    named = logins_of(policy, {name: each.user for name, each in known.items()})
    shared = [each for each in named if not known[each.name].is_per_identity]
    personal = {role for each in named if each not in shared for role in each.roles}
    lent = [name for name in policy.document.model.access.roles if name not in personal]
    return whole_script(shared, lent)


def _examined(settings: Settings) -> Report:
    sources = read_sources(settings)
    progress = Console(stderr=True)
    try:
        with progress.status("looking ...") as status:
            return asyncio.run(
                _examine(
                    settings,
                    sources,
                    lambda what: status.update(escape(printable(what))),
                )
            )
    except UpstreamError as error:
        _cannot(error.note)
    except ConfigError:
        raise
    except PgwardenError as error:
        _cannot(error.message)


async def _examine(
    settings: Settings, sources: Sources, progress: Callable[[str], None]
) -> Report:
    dialler = Dialler(settings.upstream, tasks=Tasks(), keys=sources.keys)
    users = {name: each.user for name, each in settings.upstream.logins.items()}
    logins = each_login(
        logins_of(sources.policy, users), settings.upstream, sources.keys
    )
    return await examine(dialler, list(logins), tell=progress)


def _cannot(why: str) -> NoReturn:
    tell(PgwardenError(f"the database can't be asked: {why}"))
    raise typer.Exit(_CANNOT)


# --- for machines ----------------------------------------------------------------


def as_json(report: Report) -> dict[str, Any]:
    """The report as `--json` has it."""
    return {
        "version": 1,
        "logins": [
            {
                "login": each.name,
                "user": each.user,
                "read_only": each.is_reader,
                "roles": list(each.roles),
                "databases": report.databases.get(each.user, []),
            }
            for each in report.logins
        ],
        "findings": [
            {
                "finding": each.id,
                "severity": each.severity.value,
                "login": each.login,
                "user": each.user,
                "database": each.database,
                "means": each.means,
                "detail": each.detail,
                "objects": list(each.objects),
                "count": each.count,
                "sql": list(each.sql),
            }
            for each in report.findings
        ],
        "summary": {
            severity.value: _number(report, severity)
            for severity in (CRITICAL, WARNING, NOTE)
        },
    }


def _number(report: Report, severity: object) -> int:
    return sum(each.severity is severity for each in report.findings)


# --- for people -----------------------------------------------------------------


def show(report: Report) -> None:
    """The report as a table, and the SQL under it."""
    console = output()
    for login in report.logins:
        bar = "reads only" if login.is_reader else "writes"
        where = ", ".join(
            one_line(each) for each in report.databases.get(login.user, [])
        )
        console.print(
            f'looked as "{escape(printable(login.user))}" (login {login.name}, {bar}) '
            f"in {escape(where)}",
        )
    if report.findings:
        console.print(findings_table(report.findings))
    _show_sql(report.findings)
    console.print(
        ", ".join(
            [
                f"{_number(report, CRITICAL)} critical",
                counted(_number(report, WARNING), "warning"),
                counted(_number(report, NOTE), "note"),
            ]
        )
    )


def findings_table(findings: Sequence[Finding]) -> Table:
    """One row a finding."""
    table = Table(show_lines=True)
    for column in ("", "finding", "login", "database", "what it means"):
        table.add_column(column, overflow="fold")
    for each in findings:
        table.add_row(
            f"[{_STYLES[each.severity]}]{each.severity.value}[/]",
            each.id,
            escape(each.login),
            escape(one_line(each.database)),
            escape(_said(each)),
        )
    return table


def _said(finding: Finding) -> str:
    lines = [finding.means]
    if finding.detail:
        lines.append(one_line(finding.detail))
    if finding.objects:
        more = finding.count - len(finding.objects[:SHOWN_OBJECTS])
        lines += map(one_line, finding.objects[:SHOWN_OBJECTS])
        lines += [f"and {more:,} more"] if more else []
    return "\n".join(lines)


def _show_sql(findings: Sequence[Finding]) -> None:
    """The SQL by database, as it can be copied: never wrapped."""
    by_database: dict[str, dict[str, None]] = {}
    for each in findings:
        by_database.setdefault(each.database, {}).update(dict.fromkeys(each.sql))
    for database, statements in by_database.items():
        if statements:
            where = (
                f'in database "{one_line(database)}"' if database else "in any database"
            )
            typer.echo(f"\n-- to be read, and run by a superuser {where}")
            for statement in statements:
                typer.echo(statement)
    typer.echo("")
