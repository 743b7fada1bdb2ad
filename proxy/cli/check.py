"""`pgwarden check`: the decision that the wire would make, offline.

`proxy.cli.main` registers `check`. Exit status: 0 all allowed, 1 something refused,
2 usage. Next: `proxy.cli.offline` and `proxy.cli.lines`.
"""

from __future__ import annotations

import json
import re
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final

import typer
from msgspec import Struct, to_builtins
from rich.table import Table
from rich.text import Text

from proxy.audit.tail import printable
from proxy.cli.around import Around, around
from proxy.cli.lines import LineJudge, lines_of
from proxy.cli.mistakes import fail
from proxy.cli.offline import (
    OfflineSession,
    catalog_note,
    load_policy,
    load_resolver,
    policy_file,
    read_text,
)
from proxy.cli.options import (
    Address,
    Application,
    At,
    CatalogFile,
    Database,
    PolicyFile,
    Proven,
    ServerVersion,
)
from proxy.cli.output import counted, output
from proxy.errors import (
    UNDEFINED_CURSOR,
    UNDEFINED_PREPARED_STATEMENT,
    ConfigError,
    reason_of,
)
from proxy.policy.decision import Decision, ShadowRefusal

if TYPE_CHECKING:
    from proxy.catalog.resolve import Resolver
    from proxy.policy.evaluate import Policy
    from proxy.session.judge import Judge, Judged

SHOWN_CHARACTERS: Final = 70
"""Of a statement in the table: enough to recognise it."""

_BLANK: Final = re.compile(rb"(?:\s|--[^\n\r]*|/\*(?:[^*]|\*(?!/))*\*/|;)*")
"""What stands before a statement and is none of it; for line numbers only."""


class Verdict(Struct, frozen=True):
    """One statement of one file, with its decision."""

    file: str
    line: int
    statement: str
    decision: str
    rule: str
    reason: str
    hint: str
    sqlstate: str
    shadow: ShadowRefusal | None = None


def check(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE.sql", help='SQL files; "-" reads stdin.'),
    ] = None,
    *,
    policy: PolicyFile = None,
    catalog: CatalogFile = None,
    role: Annotated[
        str, typer.Option(metavar="ROLE", help="Role to judge for.")
    ] = "developer",
    database: Database = "",
    at: At = "",
    address: Address = "",
    application: Application = None,
    proven: Proven = None,
    server_version: ServerVersion = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for machines.")
    ] = False,
    jsonl: Annotated[
        str | None,
        typer.Option(
            metavar="-|FILE",
            help='Answer lines {"id": ..., "sql": ...} one by one, each as a session '
            "of its own.",
        ),
    ] = None,
) -> None:
    """Say of each statement whether pgwarden would let it pass, and why not.

    The same decision as on the wire, without a server. Exit status: 0 everything
    is allowed, 1 something is refused, 2 wrong usage or a policy that does not load.

    Examples: pgwarden check --role migrator prisma/migrations/*/migration.sql;
    echo 'DROP TABLE users' | pgwarden check -
    """
    try:
        where = around(
            database=database,
            at=at,
            address=address,
            application=application,
            proven=proven,
            server_major=server_version or 0,
        )
        if jsonl is not None:
            _refuse_files(files)
            lines = _line_judge(policy, catalog, role, where)
            raise typer.Exit(_answer_lines(jsonl, lines))
        loaded = load_policy(policy)
        resolver = load_resolver(catalog)
        loaded.role(role)
        sources = _sources(files)
    except ConfigError as error:
        fail(error)
    judge = where.judge(loaded, role, resolver)
    verdicts = [
        verdict for name, text in sources for verdict in judge_text(judge, text, name)
    ]
    notes = [catalog_note(resolver), *where.left_open(loaded, role)]
    if as_json:
        _print_json(loaded, role, verdicts, resolver, notes)
    else:
        _print_table(loaded, role, verdicts, notes)
    raise typer.Exit(int(any(each.decision == "deny" for each in verdicts)))


def judge_text(judge: Judge, text: bytes, name: str) -> list[Verdict]:
    """Each statement of a text with its decision, or one verdict on all of it."""
    decision, judged = OfflineSession(judge).send(text)
    if judged is None or not _can_be_split(judged, decision):
        line = _line_at(text, decision.position)
        return [_verdict(name, line, text, decision)]
    verdicts = []
    for facts in judged.statements:
        start, length = facts.location
        blank = _BLANK.match(text, start)
        begin = blank.end() if blank else start
        end = start + length if length else len(text)
        verdicts.append(
            _verdict(
                name,
                text.count(b"\n", 0, begin) + 1,
                text[begin:end],
                judge.decide_alone(facts),
            )
        )
    return verdicts


def _can_be_split(judged: Judged, decision: Decision) -> bool:
    """Whether each statement has facts, with what its EXECUTE runs folded in."""
    is_missing = decision.sqlstate in {UNDEFINED_PREPARED_STATEMENT, UNDEFINED_CURSOR}
    return judged.analysis.trouble is None and not is_missing


def _line_at(text: bytes, position: int) -> int:
    before = text.decode("utf-8", "replace")[: max(position - 1, 0)]
    return before.count("\n") + 1


def _verdict(name: str, line: int, statement: bytes, decision: Decision) -> Verdict:
    words = b" ".join(statement[: 4 * SHOWN_CHARACTERS].split())
    shown = words.decode("utf-8", "replace")
    if len(shown) > SHOWN_CHARACTERS:
        shown = shown[: SHOWN_CHARACTERS - 1] + "…"
    return Verdict(
        file=name,
        line=line,
        statement=shown,
        decision="allow" if decision.allowed else "deny",
        rule=decision.rule,
        reason=decision.reason,
        hint=decision.hint,
        sqlstate=decision.sqlstate,
        shadow=decision.shadow,
    )


def _sources(files: list[str] | None) -> list[tuple[str, bytes]]:
    if not files:
        if sys.stdin.isatty():
            raise ConfigError('no file given: name SQL files, or "-" to read stdin')
        files = ["-"]
    return [
        ("<stdin>", sys.stdin.buffer.read()) if name == "-" else (name, _bytes(name))
        for name in files
    ]


def _bytes(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: {reason_of(error)}") from None


def _refuse_files(files: list[str] | None) -> None:
    if files:
        raise ConfigError("--jsonl takes no SQL files beside it")


def _line_judge(
    policy: Path | None, catalog: Path | None, role: str, where: Around
) -> LineJudge:
    path = policy_file(policy)
    load_policy(path).role(role)
    load_resolver(catalog)  # a mistake is told before the first line
    return LineJudge(
        read_text(path), source=str(path), role=role, where=where, catalog=catalog
    )


def _answer_lines(source: str, lines: LineJudge) -> int:
    with _opened(source) as stream, lines:
        try:
            return _answer_stream(stream, lines)
        except BrokenPipeError:
            sys.stderr.close()  # the reader is gone: nothing more to say
            return 1


def _opened(source: str) -> BinaryIO:
    if source == "-":
        return sys.stdin.buffer
    try:
        return Path(source).open("rb")
    except OSError as error:
        raise ConfigError(f"{source}: {reason_of(error)}") from None


def _answer_stream(stream: BinaryIO, judge: LineJudge) -> int:
    is_any_denied = False
    for line in lines_of(stream):
        found = judge.answer(line)
        is_any_denied = is_any_denied or found["decision"] == "deny"
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()  # whoever asks line by line waits for each answer
    return int(is_any_denied)


def _print_json(
    policy: Policy,
    role: str,
    verdicts: list[Verdict],
    resolver: Resolver | None,
    notes: list[str],
) -> None:
    plain = {
        "policy": policy.name,
        "policy_version": policy.version,
        "role": role,
        "catalog": None if resolver is None else resolver.version,
        "note": "; ".join(notes),
        "allowed": all(each.decision == "allow" for each in verdicts),
        "statements": to_builtins(verdicts),
    }
    sys.stdout.write(json.dumps(plain, indent=2) + "\n")


def _print_table(
    policy: Policy, role: str, verdicts: list[Verdict], notes: list[str]
) -> None:
    if not verdicts:
        sys.stdout.write("no statement found\n")
        return
    console = output()
    for file, of_file in groupby(verdicts, lambda each: each.file):
        console.print(Text(printable(file), "bold"))
        console.print(_table(list(of_file)))
    refused = [each for each in verdicts if each.decision == "deny"]
    for each in refused:
        place = printable(f"{each.file}:{each.line}")
        console.print(Text(f"\n{place}: {printable(each.reason)}", "red"))
        if each.hint:
            console.print(Text(f"  hint: {printable(each.hint)}"))
    for each in verdicts:
        if each.shadow is not None:
            place = printable(f"{each.file}:{each.line}")
            told = f"{each.shadow.rule} would refuse it: {each.shadow.reason}"
            console.print(Text(f"\n{place}: in shadow, {printable(told)}", "yellow"))
    statements = counted(len(verdicts), "statement")
    summary = (
        f"{len(refused):,} of {statements} refused"
        if refused
        else f"{statements} allowed"
    )
    console.print(
        Text(f"\n{summary} for role {role} by policy {policy.name} ({policy.version})")
    )
    for note in notes:
        sys.stderr.write(f"note: {note}\n")


def _table(verdicts: list[Verdict]) -> Table:
    """The statements of one file; a narrow terminal wraps their texts, nothing else."""
    table = Table(box=None, show_header=False)
    for name in ("line", "decision", "rule"):
        table.add_column(name, no_wrap=True)
    table.add_column("statement")
    for each in verdicts:
        is_allowed = each.decision == "allow"
        table.add_row(
            Text(str(each.line), "dim"),
            Text(each.decision, "green" if is_allowed else "bold red"),
            Text(each.rule, "" if is_allowed else "red"),
            Text(printable(each.statement)),
        )
    return table
