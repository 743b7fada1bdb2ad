"""`pgwarden explain`: facts, rule and reason for one statement, for people.

`proxy.cli.main` registers `explain`. Next: `proxy.cli.offline`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import to_builtins
from rich.text import Text
from rich.tree import Tree

from proxy.audit.tail import printable
from proxy.cli.mistakes import fail
from proxy.cli.offline import NO_CATALOG, OfflineSession, load_policy
from proxy.cli.output import output
from proxy.errors import ConfigError
from proxy.session.judge import Judge

if TYPE_CHECKING:
    from proxy.policy.decision import Decision
    from proxy.session.judge import Judged
    from proxy.sql.facts import Facts


def explain(
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help='The statement; "-" reads stdin.')
    ],
    *,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Policy document.",
            show_default="the shipped production.yaml",
        ),
    ] = None,
    role: Annotated[
        str, typer.Option(metavar="ROLE", help="Role to judge for.")
    ] = "developer",
    database: Annotated[
        str,
        typer.Option(metavar="NAME", help="Name of the database it would run on."),
    ] = "",
    is_quarantined: Annotated[
        bool, typer.Option("--quarantined", help="As in a session in quarantine.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for machines.")
    ] = False,
) -> None:
    """Show what pgwarden sees in a statement, and why it decides as it does.

    Exit status: 0 allowed, 1 refused, 2 wrong usage or a policy that does not load.

    Example: pgwarden explain --role migrator "ALTER TABLE users DROP COLUMN email"
    """
    try:
        loaded = load_policy(policy)
        loaded.role(role)
    except ConfigError as error:
        fail(error)
    text = (
        sys.stdin.buffer.read() if sql == "-" else sql.encode(errors="surrogateescape")
    )
    session = OfflineSession(
        Judge(loaded, role, database=database), is_quarantined=is_quarantined
    )
    decision, judged = session.send(text)
    if as_json:
        plain = {
            "policy": loaded.name,
            "policy_version": loaded.version,
            "role": role,
            "catalog": None,
            "note": NO_CATALOG,
            "decision": _decision(decision),
            "statements": [_facts(each) for each in _statements(judged)],
        }
        sys.stdout.write(json.dumps(plain, indent=2) + "\n")
    else:
        _print_tree(decision, _statements(judged), f"{loaded.name} ({loaded.version})")
    raise typer.Exit(0 if decision.allowed else 1)


def _statements(judged: Judged | None) -> tuple[Facts, ...]:
    return judged.statements if judged is not None else ()


def _decision(decision: Decision) -> dict[str, Any]:
    plain: dict[str, Any] = to_builtins(decision)
    plain["decision"] = "allow" if plain.pop("allowed") else "deny"
    return plain


def _facts(facts: Facts) -> dict[str, Any]:
    """The facts as plain values, empty ones left out."""
    plain: dict[str, Any] = to_builtins(facts)
    for key in ("kinds", "flags"):
        plain[key] = sorted(plain[key])
    plain.pop("prepared", None)  # what a PREPARE holds is among its own facts already
    return {key: value for key, value in plain.items() if value not in ("", [], ())}


def _print_tree(decision: Decision, statements: tuple[Facts, ...], policy: str) -> None:
    console = output()
    verdict = (
        Text("allowed", "bold green")
        if decision.allowed
        else Text("refused", "bold red")
    )
    tree = Tree(verdict)
    tree.add(_line("rule", decision.rule))
    tree.add(_line("reason", decision.reason))
    for name in ("hint", "sqlstate"):
        if getattr(decision, name):
            tree.add(_line(name, getattr(decision, name)))
    if decision.quarantines:
        tree.add(_line("then", "the session may only read from here on"))
    tree.add(_line("policy", policy))
    for number, facts in enumerate(statements, 1):
        branch = tree.add(Text(f"statement {number}", "bold"))
        for key, value in _facts(facts).items():
            if key != "location":
                branch.add(_line(key, _shown(value)))
    console.print(tree)
    sys.stderr.write(f"note: {NO_CATALOG}\n")


def _line(name: str, value: str) -> Text:
    return Text.assemble((f"{name}: ", "cyan"), printable(value))


def _shown(value: object) -> str:
    if not isinstance(value, list | tuple):
        return str(value)
    return ", ".join(_item(each) for each in value)


def _item(each: object) -> str:
    if isinstance(each, dict):
        name = ".".join(str(each[key]) for key in ("schema", "name") if each.get(key))
        rest = [
            f"{key}={value}"
            for key, value in each.items()
            if key not in {"schema", "name"} and value not in (None, False)
        ]
        return " ".join([name, f"({', '.join(rest)})"] if rest else [name])
    if isinstance(each, list | tuple):
        return ".".join(str(part) for part in each if part)
    return str(each)
