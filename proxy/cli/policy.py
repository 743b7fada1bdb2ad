"""`pgwarden policy test|show|lint`: is the policy what we think it is?

`proxy.cli.main` adds `policy_app`. Exit status: 0 fine, 1 a case failed or the lint
found something, 2 usage or a file that does not load. Next: `proxy.policy.cases`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import structs
from rich.table import Table
from rich.text import Text

from proxy.audit.tail import printable
from proxy.cli.mistakes import fail
from proxy.cli.offline import (
    DEFAULT_POLICY,
    OfflineSession,
    load_policy,
    read_text,
)
from proxy.cli.output import output
from proxy.errors import ConfigError
from proxy.policy.cases import Case, CaseFile, CaseResult, compare, load_cases
from proxy.policy.lint import lint
from proxy.session.judge import Judge
from proxy.shipped import policy_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from proxy.policy.decision import Decision
    from proxy.policy.evaluate import Policy

policy_app = typer.Typer(
    name="policy",
    help="Test, show and lint policy documents.",
    no_args_is_help=True,
)

PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="Policy document.",
        show_default="the shipped production.yaml",
    ),
]


@policy_app.command("test")
def run_tests(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE.cases.yaml",
            help="Case files. Without any: those beside the shipped policies.",
            show_default=False,
        ),
    ] = None,
    *,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Use this policy instead of the one the case file names.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for machines.")
    ] = False,
) -> None:
    """Run case files: does the policy decide as written down?

    Exit status: 0 all as expected, 1 a case failed, 2 a file does not load.

    Example: pgwarden policy test production.cases.yaml
    """
    try:
        found = files or shipped_case_files()
        results = [result for path in found for result in run_file(path, policy)]
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


def _run(cases: CaseFile, policy: Policy) -> Iterator[CaseResult]:
    for case, line in zip(cases.cases, cases.lines, strict=True):
        decision, record = _decide(case, policy)
        yield CaseResult(
            source=cases.source,
            line=line,
            role=case.role,
            title=case.title,
            expected=case.expect,
            decided="allow" if decision.allowed else "deny",
            rule=decision.rule,
            failures=compare(case, decision, record),
        )


def _decide(case: Case, policy: Policy) -> tuple[Decision, dict[str, Any]]:
    """The decision on the case's last text, and the audit record of it."""
    if case.setting is not None:
        setting = case.setting
        return policy.decide_setting(case.role, setting.name, setting.value), {}
    judge = Judge(policy, case.role, database=case.database)
    session = OfflineSession(judge, is_quarantined=case.quarantined)
    *before, last = case.sql or [""]
    for text in before:
        session.send(text.encode())
    decision, judged = session.send(last.encode())
    record = json.loads(b"{" + judged.fragment + b"}") if judged is not None else {}
    return decision, record


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
        console.print(
            Text(printable(f"\n{place}: {each.role}: {each.title}"), "bold red")
        )
        for failure in each.failures:
            console.print(Text(printable(f"  {failure}"), "red"))


@policy_app.command("show")
def show(
    *,
    policy: PolicyFile = None,
    role: Annotated[str, typer.Option(metavar="ROLE", help="Only this role.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for machines.")
    ] = False,
) -> None:
    """Show the roles of a policy and their rules in order.

    Example: pgwarden policy show --policy production.yaml --role developer
    """
    try:
        loaded = load_policy(policy)
        names = [loaded.role(role).name] if role else list(loaded.roles)
    except ConfigError as error:
        fail(error)
    if as_json:
        plain = {
            "policy": loaded.name,
            "version": loaded.version,
            "document": loaded.document.model.model_dump(
                mode="json", exclude_defaults=True
            ),
        }
        sys.stdout.write(json.dumps(plain, indent=2) + "\n")
        return
    console = output()
    console.print(Text(f"policy {loaded.name} ({loaded.version})", "bold"))
    for name in names:
        _print_role(console, loaded, name)


def _print_role(console: Console, policy: Policy, name: str) -> None:
    role = policy.role(name)
    console.print(Text(f"\n{name}", "bold cyan"), Text(role.description))
    if not role.may_login:
        console.print(Text(f"  no SQL login: {role.login_reason}. {role.login_hint}"))
        return
    mode = "read-only" if role.read_only else "read and write"
    console.print(Text(f"  upstream login {role.upstream}, {mode}"))
    document = policy.document
    table = Table("", "rule", box=None, pad_edge=False)
    table.add_column("what", overflow="fold")
    table.add_column("why")
    for rule in document.rules_of(document.model.roles[name]):
        acts = rule.permit or rule.forbid
        listed = acts.model_dump(exclude_defaults=True) if acts else {}
        table.add_row(
            Text("permit", "green") if rule.permit else Text("forbid", "red"),
            Text(rule.id),
            Text("\n".join(_listed(document.model.settings, listed)), "dim"),
            Text(rule.reason or ""),
        )
    console.print(table)


def _listed(settings: Any, acts: dict[str, Any]) -> Iterator[str]:  # noqa: ANN401
    """The acts of a rule, one line a key; groups of settings are spelled out."""
    for key, value in acts.items():
        if value is True:
            yield key
            continue
        words: list[str] = []
        for item in value:
            if isinstance(item, str):
                words.append(item)
            elif key == "settings" and item["name"].startswith("@"):
                words.extend(each.name for each in settings[item["name"][1:]])
            else:
                words.append(_match(item))
        yield f"{key.replace('_', ' ')}: {', '.join(words)}"


def _match(item: dict[str, Any]) -> str:
    how = item.get("access", item.get("effects", []))
    names = item.get("names", [item["name"]] if "name" in item else [])
    excepted = item.get("except_names", [])
    return " ".join([*how, *names, *(["except", *excepted] if excepted else [])])


@policy_app.command("lint")
def check_for_lint(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE.yaml", help="Policy documents.")
    ],
) -> None:
    """Name what in a policy says nothing: unused lists, groups and rules.

    Exit status: 0 nothing to say, 1 something found, 2 a file does not load.
    """
    found = 0
    try:
        for path in files:
            for message in lint(load_policy(path).document):
                found += 1
                sys.stdout.write(f"{path}: {message}\n")
    except ConfigError as error:
        fail(error)
    if not found:
        sys.stdout.write("nothing to say\n")
    raise typer.Exit(1 if found else 0)
