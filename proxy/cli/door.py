"""`pgwarden door report`: every login that went round pgwarden, from Postgres' log.

Exit status 0: none did. 1: some did. 2: the log can't tell.
Next: `proxy.doctor.door`; docs/how-to/one-door.md.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from proxy.cli.output import counted, output
from proxy.doctor.door import (
    ROUND_WAYS,
    Doorkeeper,
    DoorReport,
    LogFormat,
    Way,
    arrivals,
    known_of,
    network_of,
)
from proxy.doctor.quoting import one_line
from proxy.errors import ConfigError
from proxy.settings import load_settings
from proxy.settings_upstream import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TextIO

    from proxy.settings import Settings

door_app = typer.Typer(
    no_args_is_help=True, help="Is pgwarden the only door to the database?"
)
_CANNOT: Final = 2


@door_app.callback()
def _root() -> None:
    pass


@door_app.command()
def report(
    config: Annotated[
        Path,
        typer.Option(
            "--config",
            "-c",
            envvar="PGWARDEN_CONFIG",
            metavar="FILE",
            help="Settings of `pgwarden serve`, for the names of its logins.",
        ),
    ],
    *,
    logs: Annotated[
        list[Path],
        typer.Option(
            "--log", metavar="FILE", help="Postgres' log; again for more. - is stdin."
        ),
    ],
    come_from: Annotated[
        list[str],
        typer.Option(
            "--from",
            metavar="ADDRESS",
            help="Where pgwarden connects from, as Postgres sees it; or a network.",
        ),
    ],
    known: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE[@ADDRESS]",
            help="Who else may come in, the application for example: app@10.0.1.0/24, "
            "or postgres@local.",
        ),
    ] = None,
    kind: Annotated[
        LogFormat | None,
        typer.Option(
            "--format", help="Of the log; by default what the name says, or stderr."
        ),
    ] = None,
    is_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Tell every login that went round pgwarden, from Postgres' own log.

    The server needs `log_connections` (`all` or `on`). It reads the plain format
    (whose log_line_prefix has [%p]), csvlog and jsonlog. A login counts as pgwarden's
    if role and address are pgwarden's; whoever holds pgwarden's password on pgwarden's
    own machine can't be told apart.

    Exit status 0: none went round. 1: some did. 2: the log can't tell: no login stands
    in it, log_connections was changed, or lines can't be read.

    Example: pgwarden door report -c pgwarden.yaml --from 10.0.0.5 --known app
    --log postgresql.csv
    """
    keeper = Doorkeeper(
        is_own_of(load_settings(config, os.environ)),
        tuple(map(network_of, come_from)),
        tuple(map(known_of, known or ())),
    )
    found = DoorReport()
    for log in logs:
        _read(log, kind, keeper, found)
    doubts = doubts_of(found)
    if is_json:
        typer.echo(json.dumps(as_json(found, doubts), indent=2, ensure_ascii=False))
    else:
        show(found, doubts)
    if found.went_round:
        raise typer.Exit(1)
    if doubts:
        raise typer.Exit(_CANNOT)


def is_own_of(settings: Settings) -> Callable[[str], bool]:
    """Whether a role is one of pgwarden's own; anybody's, where each has their own."""
    patterns = [
        re.compile(".+".join(map(re.escape, login.user.split(PLACEHOLDER))))
        for login in settings.upstream.logins.values()
    ]
    return lambda user: any(each.fullmatch(user) for each in patterns)


def _read(
    log: Path, kind: LogFormat | None, keeper: Doorkeeper, found: DoorReport
) -> None:
    chosen = kind or {".csv": LogFormat.CSV, ".json": LogFormat.JSON}.get(
        log.suffix, LogFormat.STDERR
    )

    def read(lines: TextIO) -> None:
        for arrival in arrivals(lines, chosen, found.reading):
            found.add(keeper.way(arrival), arrival)

    try:
        if str(log) == "-":
            read(sys.stdin)
            return
        # In csvlog a line break may stand within quotes: the reader wants it as it is.
        with log.open(encoding="utf-8", errors="replace", newline="") as lines:
            read(lines)
    except OSError as error:
        raise ConfigError(
            f'log "{log}" can\'t be read: {(error.strerror or "").lower()}'
        ) from error


def doubts_of(found: DoorReport) -> list[str]:
    """Why the log can't be believed to have everybody."""
    doubts = []
    if not found.number(*Way):
        doubts.append("no login stands in it: is log_connections on?")
    if found.reading.switched:
        times = counted(found.reading.switched, "time")
        doubts.append(f"log_connections was changed {times}: some logins may lack")
    if found.reading.unread:
        lines = counted(found.reading.unread, "line")
        doubts.append(f"{lines} can't be read: is it of another format (--format)?")
    return doubts


def as_json(found: DoorReport, doubts: Sequence[str]) -> dict[str, Any]:
    """The report as `--json` has it."""
    return {
        "version": 1,
        "first": found.first,
        "last": found.last,
        "logins": found.number(*Way),
        "through_pgwarden": found.number(Way.PGWARDEN),
        "known": found.number(Way.KNOWN),
        "round_pgwarden": found.number(*ROUND_WAYS),
        "doubts": list(doubts),
        "who": [
            {
                "way": each.way.name.lower(),
                "user": each.user,
                "database": each.database,
                "address": each.address,
                "count": each.count,
                "first": each.first,
                "last": each.last,
            }
            for each in found.went_round
        ],
    }


def show(found: DoorReport, doubts: Iterable[str]) -> None:
    """The report for people."""
    console = output()
    if found.went_round:
        table = Table()
        for column in ("role", "database", "from", "logins", "first", "last", "how"):
            table.add_column(column, overflow="fold")
        for each in found.went_round:
            words = (each.user, each.database, each.address)
            table.add_row(
                *(escape(one_line(word)) for word in words),
                f"{each.count:,}",
                each.first,
                each.last,
                each.way.value,
            )
        console.print(table)
    for doubt in doubts:
        console.print(f"the log can't tell: {doubt}")
    console.print(
        f"{counted(found.number(*Way), 'login')} from {found.first or '?'} to "
        f"{found.last or '?'}: {found.number(Way.PGWARDEN):,} through pgwarden, "
        f"{found.number(Way.KNOWN):,} known, {found.number(*ROUND_WAYS):,} went round"
    )
