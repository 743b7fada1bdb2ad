"""`pgwarden policy test`: does the policy decide, and record, as written down?

`proxy.cli.policy` registers `run_tests`. Next: `proxy.policy.cases` and
`proxy.policy.case_records`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from msgspec import structs
from rich.table import Table
from rich.text import Text

from proxy.audit.tail import printable
from proxy.cli.around import Around
from proxy.cli.mistakes import fail
from proxy.cli.offline import (
    DEFAULT_POLICY,
    OfflineSession,
    load_policy,
    read_text,
)
from proxy.cli.output import output
from proxy.errors import DENIED, ConfigError
from proxy.policy.case_records import short_form
from proxy.policy.case_updates import with_records
from proxy.policy.cases import (
    Case,
    CaseFile,
    CaseResult,
    compare,
    is_as_expected,
    load_cases,
)
from proxy.policy.decision import Context, Decision
from proxy.policy.refusals import LOGIN
from proxy.session.admittance import refused_setting
from proxy.session.wish import RefusedLoginError, read_wish
from proxy.shipped import policy_path
from proxy.wire.startup import StartupMessage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from proxy.policy.case_records import Record
    from proxy.policy.evaluate import Policy

UPDATES_WHAT: Final = (
    "--update rewrites the case files that you name, each by the policy that it "
    "names: give the files, and leave out --policy"
)


def run_tests(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE.cases.yaml]...",
            help="Case files. Without any: those beside the shipped policies.",
            show_default=False,
        ),
    ] = None,
    *,
    policy: Annotated[
        Path | None,
        typer.Option(help="Use this policy instead of the one the file names."),
    ] = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update",
            help="Write the audit records that pgwarden makes into the files, where "
            "decision and rule are as expected; then read the diff.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for machines.")
    ] = False,
) -> None:
    """Run case files: does the policy decide and record as written down?

    Exit status: 0 all as expected, 1 a case failed, 2 a file does not load.
    """
    if update and (policy is not None or not files):
        fail(ConfigError(UPDATES_WHAT))
    try:
        results = [
            result
            for path in files or shipped_case_files()
            for result in (update_file(path) if update else run_file(path, policy))
        ]
    except ConfigError as error:
        fail(error)
    failed = [result for result in results if not result.passed]
    if as_json:
        plain = {
            "passed": len(results) - len(failed),
            "failed": len(failed),
            "cases": [
                {**structs.asdict(each), "passed": each.passed} for each in results
            ],
        }
        sys.stdout.write(json.dumps(plain, indent=2) + "\n")
    else:
        _print_results(results, failed)
    raise typer.Exit(1 if failed else 0)


def shipped_case_files() -> list[Path]:
    """The case files beside the shipped policies.

    Raises:
        ConfigError: there are none.
    """
    folder = policy_path(DEFAULT_POLICY).parent
    found = sorted(folder.glob("*.cases.yaml"))
    if not found:
        raise ConfigError(f'no case files in "{folder}"')
    return found


def run_file(path: Path, policy_file: Path | None = None) -> list[CaseResult]:
    """Run the cases of one file against the policy it names, or another.

    Raises:
        ConfigError: the file or the policy does not load.
    """
    cases = load_cases(read_text(path), source=str(path))
    policy = load_policy(policy_file or path.parent / cases.policy)
    return list(_run(cases, policy))


def update_file(path: Path) -> list[CaseResult]:
    """Write the records that pgwarden makes into a case file, and run the result.

    Only into cases whose decision and rule are as expected: those are a person's word.

    Raises:
        ConfigError: the file or the policy does not load, or can't be written.
    """
    text = read_text(path)
    cases = load_cases(text, source=str(path))
    policy = load_policy(path.parent / cases.policy)
    results = list(_run(cases, policy))
    records = {
        number: result.record
        for number, result in enumerate(results)
        if result.is_decided_as_expected and not result.passed
    }
    if records:
        text = with_records(text, records)
        results = list(_run(load_cases(text, source=str(path)), policy))
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            said = (error.strerror or "can't be written").lower()
            raise ConfigError(f"{path}: {said}") from None
        sys.stderr.write(f"{path}: {len(records)} records written, read the diff\n")
    return results


def _run(cases: CaseFile, policy: Policy) -> Iterator[CaseResult]:
    for case, line in zip(cases.cases, cases.lines, strict=True):
        decision, record = (
            _judged(case, case.sql, policy)
            if case.sql is not None
            else _started(case, policy)
        )
        decided = "allow" if decision.allowed else "deny"
        yield CaseResult(
            source=cases.source,
            line=line,
            role=case.role,
            title=case.title,
            expected=case.expect,
            decided=decided,
            rule=decision.rule,
            expected_record=case.record,
            record=record,
            is_decided_as_expected=is_as_expected(case, decision),
            failures=compare(case, decision, record),
        )


def _judged(case: Case, texts: list[str], policy: Policy) -> tuple[Decision, Record]:
    """The decision on the last text, and its statement record in the short form."""
    judge = Around(case.database, case.circumstances).judge(policy, case.role)
    session = OfflineSession(judge, is_quarantined=case.quarantined)
    *before, last = texts
    for text in before:
        session.send(text.encode())
    decision, judged = session.send(last.encode())
    if judged is None:
        return decision, {}  # no statement at all: the wire ends such a session
    implied = {
        "decision": case.expect,
        "rule": case.rule,
        "policy": policy.version,
        "text": last,
    }
    record = json.loads(b"{" + judged.fragment + b"}")
    return decision, short_form(record, implied | _implied_sqlstate(case))


def _started(case: Case, policy: Policy) -> tuple[Decision, Record]:
    """The decision on a startup parameter, and what it leaves of a record.

    That is a part of the session.start, or of the session.end of a refused login.
    """
    setting = case.setting
    if setting is None:
        raise ValueError("a case without a subject")  # load_cases refuses it
    situation = policy.situation(case.role, case.circumstances)
    context = Context(database=case.database, situation=situation)
    decision = policy.decide_setting(case.role, setting.name, setting.value, context)
    packet = StartupMessage(0, {"user": case.role, setting.name: setting.value})
    try:
        wish = read_wish(packet)
        if not decision.allowed:
            raise refused_setting(setting.name.lower(), decision)
    except RefusedLoginError as refusal:
        if decision.allowed:  # refused before any policy is asked
            decision = Decision(allowed=False, rule=LOGIN, reason=refusal.message)
        record = {"reason": refusal.message, "sqlstate": refusal.sqlstate}
        return decision, short_form(record, _implied_sqlstate(case))
    begun = {"application_name": wish.application_name, "settings": dict(wish.settings)}
    return decision, {field: value for field, value in begun.items() if value}


def _implied_sqlstate(case: Case) -> dict[str, str]:
    return {"sqlstate": DENIED} if case.expect == "deny" else {}


def _print_results(results: list[CaseResult], failed: list[CaseResult]) -> None:
    console = output()
    table = Table("file", "cases", "failed", box=None, pad_edge=False)
    for source in dict.fromkeys(each.source for each in results):
        own = [each for each in results if each.source == source]
        bad = sum(not each.passed for each in own)
        table.add_row(
            Text(printable(source)),
            Text(str(len(own))),
            Text(str(bad), "bold red" if bad else "green"),
        )
    console.print(table)
    for each in failed:
        place = f"{each.source}:{each.line}"
        console.print()
        console.print(
            Text(printable(f"{place}: {each.role}: {each.title}"), "bold red")
        )
        for failure in each.failures:
            _print_failure(console, failure)


_COLOURS: Final = {"- ": "red", "+ ": "green"}
"""Of the lines of a difference."""


def _print_failure(console: Console, failure: str) -> None:
    said, *difference = failure.splitlines()
    console.print(Text(f"  {printable(said)}", "red"))
    for line in difference:
        sign, fact = line[:2], printable(line[2:])
        console.print(Text(f"    {sign}{fact}", _COLOURS.get(sign, "dim")))
