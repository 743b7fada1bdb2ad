"""`pgwarden audit verify` and `pgwarden audit tail`: is the log whole, what is in it?

`proxy.cli.main` adds `audit_app`. What is shown comes from files that clients fill, so
it goes through `printable` and never through rich markup. Next: `proxy.audit.verify`,
`proxy.audit.tail`.
"""

from __future__ import annotations

import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from proxy.audit.folder import audit_files
from proxy.audit.tail import Filter, Tail, moment, printable
from proxy.audit.verify import Finding, Report, verify_folder
from proxy.cli.mistakes import fail
from proxy.cli.output import counted
from proxy.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.audit.tail import Record

FOLLOW_EVERY_S = 0.5
KINDS: Final = (
    "statement",
    "outcome",
    "session.start",
    "session.end",
    "internal",
    "checkpoint",
)
_HASH: Final = re.compile(r"[0-9a-f]{64}")

audit_app = typer.Typer(
    name="audit",
    help="Read the audit log, and prove that nothing in it was changed.",
    no_args_is_help=True,
)

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER",
        envvar="PGWARDEN_AUDIT_FOLDER",
        help="Folder of the audit files (*.jsonl, one a writer).",
        show_default="the current one",
    ),
]


@audit_app.command("verify")
def verify(
    folder: Folder = Path(),
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for machines.")
    ] = False,
    is_strict: Annotated[
        bool,
        typer.Option("--strict", help="Fail on notices too (a file not closed)."),
    ] = False,
    anchors: Annotated[
        list[str] | None,
        typer.Option(
            "--anchor",
            metavar="HASH",
            help="A record hash noted earlier that must still be there. Repeatable.",
        ),
    ] = None,
) -> None:
    """Check every record against its hash, and every file against the one before.

    Exit status: 0 intact, 1 something was changed (each finding is named), 2 the log
    can't be read. Prints the last hash of each worker: kept elsewhere and given as
    --anchor later, it proves that nothing was cut off the end since.
    """
    try:
        report = _verified(folder, anchors or [], is_quiet=as_json)
    except OSError as error:
        fail(_unreadable(error))
    except ConfigError as error:
        fail(error)
    if as_json:
        _print_json(report)
    else:
        _print_report(report)
    has_failed = report.findings_total or (is_strict and report.notices)
    raise typer.Exit(1 if has_failed else 0)


@audit_app.command("tail")
def tail(
    folder: Folder = Path(),
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for more until Ctrl-C.")
    ] = False,
    count: Annotated[
        int,
        typer.Option(
            "--lines", "-n", metavar="N", min=0, help="Records to begin with."
        ),
    ] = 20,
    identity: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this identity. Repeatable."),
    ] = None,
    decision: Annotated[
        str,
        typer.Option(
            metavar="allow|deny|shadow",
            help="Only what was decided so, or would be refused but for a shadow.",
        ),
    ] = "",
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help=f"Only this kind: {', '.join(KINDS)}. Repeatable.",
        ),
    ] = None,
    session: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this session. Repeatable."),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME", help='From "10m", "2h" or "1d" ago, or an ISO 8601 time.'
        ),
    ] = "",
    until: Annotated[
        str, typer.Option(metavar="TIME", help="Up to then, in the same forms.")
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="The records as they are in the file.")
    ] = False,
) -> None:
    """Show the last records of all workers, in order of time.

    Examples: pgwarden audit tail -f --decision deny FOLDER; pgwarden audit tail
    --identity ana --since 2h -n 500 FOLDER
    """
    try:
        wanted = _filter(identity, kind, session, decision, (since, until))
        _require_files(folder, may_be_empty=follow)
        reader = Tail(folder, wanted)
        _print_records(reader.latest(count), as_json=as_json)
        while follow:
            time.sleep(FOLLOW_EVERY_S)
            _print_records(reader.more(), as_json=as_json)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        sys.stderr.close()  # the reader (head, less) is gone: nothing to say
        raise typer.Exit(0) from None
    except OSError as error:
        fail(_unreadable(error))
    except ConfigError as error:
        fail(error)


def _filter(
    identity: list[str] | None,
    kind: list[str] | None,
    session: list[str] | None,
    decision: str,
    span: tuple[str, str],
) -> Filter:
    if decision not in {"", "allow", "deny", "shadow"}:
        raise ConfigError(
            f'--decision is "allow", "deny" or "shadow", not "{decision}"'
        )
    if unknown := sorted(set(kind or ()).difference(KINDS)):
        raise ConfigError(f'no kind "{unknown[0]}"; known: {", ".join(KINDS)}')
    now = datetime.now(UTC).timestamp()
    since, until = (moment(text, now) if text else "" for text in span)
    return Filter(
        frozenset(identity or ()),
        frozenset(kind or ()),
        frozenset(session or ()),
        "" if decision == "shadow" else decision,
        since,
        until,
        in_shadow=decision == "shadow",
    )


def _require_files(folder: Path, *, may_be_empty: bool = False) -> int:
    """The bytes of all audit files of a folder."""
    if not folder.is_dir():
        raise ConfigError(f'"{folder}" is not a folder')
    files = audit_files(folder)
    if not files and not may_be_empty:
        raise ConfigError(
            f'no audit files in "{folder}"', hint="their names are audit-*.jsonl"
        )
    return sum(file.stat().st_size for file in files)


def _verified(folder: Path, anchors: list[str], *, is_quiet: bool) -> Report:
    for anchor in anchors:
        # Else a slip of the mouse would read as a log that somebody cut.
        if not _HASH.fullmatch(anchor):
            raise ConfigError(f'--anchor "{anchor}" is not a hash of 64 hex digits')
    size = _require_files(folder)
    console = Console(stderr=True)
    with Progress(
        TextColumn("verifying"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=is_quiet or not console.is_terminal,
    ) as progress:
        task = progress.add_task("verifying", total=size)
        return verify_folder(
            folder,
            anchors=anchors,
            on_progress=lambda count: progress.update(task, advance=count),
        )


def _print_json(report: Report) -> None:
    plain = {
        "intact": not report.findings_total,
        "records": report.records,
        "findings_total": report.findings_total,
        "findings": report.findings,
        "notices": report.notices,
        "files": [
            {
                "file": file.name,
                "records": file.records,
                "last_seq": file.last_seq,
                "last_hash": file.last_hash,
                "closed": file.is_closed,
                "live": file.is_live,
                "torn_bytes": file.torn_bytes,
            }
            for file in report.files
        ],
    }
    sys.stdout.write(msgspec.json.encode(plain).decode() + "\n")


def _print_report(report: Report) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for finding in report.findings:
        console.print(_finding_line("CHANGED", "bold red", finding))
    if len(report.findings) < report.findings_total:
        more = report.findings_total - len(report.findings)
        console.print(Text(f"... and {more} more findings", "red"))
    for notice in report.notices:
        console.print(_finding_line("notice", "yellow", notice))
    files = counted(len(report.files), "file")
    seen = f"{counted(report.records, 'record')} in {files}"
    if report.findings_total:
        text = f"NOT INTACT: {counted(report.findings_total, 'finding')} in {seen}"
        console.print(Text(text, "bold red"))
        return
    console.print(Text(f"intact: {seen}", "bold green"))
    continued = {
        file.opening.previous.file
        for file in report.files
        if file.opening and file.opening.previous
    }
    for file in report.files:
        if file.name not in continued and file.last_hash:
            anchor = f"  {file.name} ends at record {file.last_seq}: {file.last_hash}"
            console.print(Text(anchor, "dim"))


def _finding_line(word: str, style: str, finding: Finding) -> Text:
    line = Text()
    line.append(word, style)
    place = finding.file or "(folder)"
    if finding.line:
        place += f":{finding.line}"
    if finding.seq:
        place += f" record {finding.seq}"
    return line.append(f" {printable(place)}: {printable(finding.what)}")


def _print_records(records: Iterable[tuple[bytes, Record]], *, as_json: bool) -> None:
    if as_json:
        for line, _ in records:
            sys.stdout.write(line.decode("ascii", "backslashreplace") + "\n")
        sys.stdout.flush()
        return
    console = Console(soft_wrap=True, highlight=False)
    for _, record in records:
        console.print(record_line(record))


def record_line(record: Record) -> Text:
    """A record on one line for people: time, who, where, and what happened."""
    line = Text()
    at = str(record.get("at", ""))
    line.append(printable(f"{at[:10]} {at[11:23]}") + " ", "dim")
    if record.get("identity") is not None:
        who = f"{_field(record, 'identity')} ({_field(record, 'role') or '-'})"
        line.append(f"{who:<24} ", "cyan")
        line.append(f"{_field(record, 'database')} ", "dim")
    kind = _field(record, "kind")
    if kind == "statement":
        _append_statement(line, record)
    elif kind == "outcome":
        _append_outcome(line, record)
    else:
        line.append(f"{kind} ", "magenta")
        line.append(_details(record))
    return line


def _append_statement(line: Text, record: Record) -> None:
    is_allowed = record.get("decision") == "allow"
    line.append("allow " if is_allowed else "DENY  ", "green" if is_allowed else "red")
    line.append(_field(record, "text"), "" if is_allowed else "bold")
    if not is_allowed:
        line.append(f"  [{_field(record, 'rule')}] {_field(record, 'reason')}", "red")
    shadow = record.get("shadow")
    if isinstance(shadow, dict):
        told = f"  in shadow [{_field(shadow, 'rule')}] {_field(shadow, 'reason')}"
        line.append(told, "yellow")
    line.append(f"  {_field(record, 'audit_id')}", "dim")


def _append_outcome(line: Text, record: Record) -> None:
    status = _field(record, "status")
    line.append("  └ ", "dim")
    line.append(
        status,
        {"ok": "green", "error": "yellow", "skipped": "yellow"}.get(status, "red"),
    )
    for name in ("tag", "sqlstate"):
        if record.get(name):
            line.append(f" {_field(record, name)}")
    duration = record.get("duration_s")
    if isinstance(duration, int | float):
        line.append(f" {duration * 1000:.1f} ms", "dim")
    line.append(f"  {_field(record, 'audit_id')}", "dim")


_HEAD_FIELDS = ("v", "seq", "at", "kind", "hash", "session", "identity", "role")
_IN_HEAD = frozenset((*_HEAD_FIELDS, "database", "file", "file_id", "audit_id"))


def _details(record: Record) -> str:
    shown = {
        name: value
        for name, value in record.items()
        if name not in _IN_HEAD and value not in (None, "", 0)
    }
    return printable(" ".join(f"{name}={_plain(v)}" for name, v in shown.items()))


def _plain(value: Any) -> str:  # noqa: ANN401  (any JSON value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _field(record: Record, name: str) -> str:
    return printable(str(record.get(name) or ""))


def _unreadable(error: OSError) -> ConfigError:
    return ConfigError(f'can\'t read "{error.filename}": {reason_of(error)}')
