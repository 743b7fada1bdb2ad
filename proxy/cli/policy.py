"""`pgwarden policy test|show|lint|suggest|login`: is the policy what we think it is?

`proxy.cli.main` adds `policy_app`. Exit status: 0 fine, 1 a case failed or the lint
found something, 2 usage or a file that does not load. Next: `proxy.cli.cases`.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from proxy.cli.cases import run_tests
from proxy.cli.login_trial import try_login
from proxy.cli.mistakes import fail
from proxy.cli.offline import load_policy
from proxy.cli.options import PolicyFile
from proxy.cli.output import output
from proxy.cli.suggest import suggest
from proxy.errors import ConfigError
from proxy.policy.limits import in_words
from proxy.policy.lint import lint
from proxy.server.sources import read_identities

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from proxy.policy.evaluate import Policy
    from proxy.policy.model import Rule

policy_app = typer.Typer(
    name="policy",
    help="Test, show, lint and suggest policy documents; try a login.",
    no_args_is_help=True,
)


policy_app.command("test")(run_tests)


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
    if limits := in_words(role.limits):
        console.print(Text(f"  at most {', '.join(limits)}"))
    if role.migrations is not None:
        commands = ", ".join(role.migrations.commands)
        besides = f"; besides may run: {commands}" if commands else ""
        console.print(
            Text(f"  proofs of migrations: {role.migrations.proofs}{besides}")
        )
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
            Text(
                "\n".join([*_listed(document.model.settings, listed), *_when(rule)]),
                "dim",
            ),
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


def _when(rule: Rule) -> Iterator[str]:
    """What the rule hangs on, one line a key."""
    for name, around in (("when", rule.when), ("unless", rule.unless)):
        for key, value in around.model_dump(exclude_defaults=True).items():
            if isinstance(value, bool):
                yield f"{name} {key}: {str(value).lower()}"
                continue
            words = (each if isinstance(each, str) else _window(each) for each in value)
            yield f"{name} {key}: {', '.join(words)}"
    if rule.shadow is not None:
        yield f"in shadow until {rule.shadow.until}"


def _window(window: dict[str, Any]) -> str:
    """Such as "mon-fri 08:00-18:00 Europe/Zurich"."""
    parts = [*window.get("days", ()), *window.get("hours", ())]
    parts += [f"{key} {window[key]}" for key in ("since", "until") if key in window]
    return " ".join([*parts, window["timezone"]])


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
    *,
    identities: Annotated[
        Path | None,
        typer.Option(
            "--identities",
            metavar="FILE",
            help="Who there is: is somebody left to approve and review for each? From "
            "a store: `pgwarden identity export`.",
        ),
    ] = None,
) -> None:
    """Name what in a policy says nothing or can't be meant, each with its line.

    Unreachable, shadowed and contradictory rules; functions and actions that do not
    exist; login rules that never decide; rules that hang on the application_name
    alone, and windows that are over; unused lists and groups; roles that can't log in
    and have rules, or that may and are permitted nothing; limits that are never reached
    or don't hold; roles that are lent for no time, or on which nobody could decide.

    Exit status: 0 nothing to say, 1 something was found, 2 a file does not load.
    """
    found = 0
    now = time.time()  # noqa: TID251 - of the day on which somebody asks
    try:
        people = None if identities is None else _people(identities, now)
        for path in files:
            document = load_policy(path).document
            for problem in lint(document, now=now, people=people):
                found += 1
                sys.stdout.write(f"{path}:{problem.line}: {problem.message}\n")
    except ConfigError as error:
        fail(error)
    if not found:
        sys.stdout.write("nothing to say\n")
    raise typer.Exit(1 if found else 0)


def _people(path: Path, now: float) -> dict[str, str]:
    """Each identity that may log in, with its role."""
    at = datetime.fromtimestamp(now, UTC)
    return {
        each.name: each.role
        for each in read_identities(path)
        if not each.unusable_reason(at)
    }


policy_app.command("suggest")(suggest)
policy_app.command("login")(try_login)
