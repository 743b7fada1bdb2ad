"""How `pgwarden migration check` and `scan` show what they found.

Next: `proxy.migrations.check_report`.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from msgspec import to_builtins
from rich.table import Table
from rich.text import Text

from proxy.audit.tail import printable
from proxy.cli.output import output
from proxy.migrations.check_findings import Finding, Level, counts
from proxy.migrations.check_report import junit, sarif

if TYPE_CHECKING:
    from collections.abc import Sequence


class Form(StrEnum):
    """What is written to standard output."""

    TABLE = "table"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"


Format = Annotated[
    Form,
    typer.Option(
        "--format",
        help="For people, or for machines: SARIF for code scanning, JUnit for a CI "
        "system's tests.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
FailOn = Annotated[
    Level,
    typer.Option("--fail-on", help="The least level at which the exit status is 1."),
]

_STYLES: Final = {
    Level.ERROR: "bold red",
    Level.WARNING: "yellow",
    Level.NOTE: "dim",
}


def show(
    findings: Sequence[Finding],
    form: Form,
    *,
    name: str,
    files: Sequence[str],
    least: Level,
    more: dict[str, Any],
) -> int:
    """Write the findings; the exit status. `more` is for JSON only."""
    failing = counts(findings, least)
    match form:
        case Form.TABLE:
            _print_table(findings)
        case Form.JSON:
            plain = {**more, "ok": not failing, "findings": to_builtins(findings)}
            sys.stdout.write(json.dumps(plain, indent=2) + "\n")
        case Form.SARIF:
            text = sarif(findings, version=version("pgwarden"), base=Path.cwd())
            sys.stdout.write(text + "\n")
        case Form.JUNIT:
            text = junit(findings, files, name=name, least=least)
            sys.stdout.buffer.write((text + "\n").encode("utf-8", "replace"))
    return int(bool(failing))


def _print_table(findings: Sequence[Finding]) -> None:
    """Each file, in it each statement, below it what there is to say of it."""
    console = output()
    for file, of_file in groupby(findings, lambda each: each.file):
        console.print(Text(printable(file), "bold"))
        for place, found in groupby(of_file, lambda each: (each.line, each.statement)):
            line, statement = place
            console.print(Text(f"{line:>4}  {printable(statement)}"))
            table = Table(box=None, show_header=False, pad_edge=False)
            for column in ("", "level", "rule"):
                table.add_column(column, no_wrap=True)
            table.add_column("message")
            for each in found:
                level = "waived" if each.waived else each.level.value
                style = "dim" if each.waived else _STYLES[each.level]
                rule = Text(printable(each.rule))
                table.add_row("    ", Text(f"{level:<7}", style), rule, _words(each))
            console.print(table)
        console.print()


def _words(finding: Finding) -> Text:
    text = Text(printable(finding.message))
    if finding.waived:
        return text.append(f"\nwaived: {printable(finding.waived)}", "dim")
    if finding.hint:
        text.append(f"\nhint: {printable(finding.hint)}", "dim")
    return text
