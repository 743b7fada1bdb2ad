"""`pgwarden explain`: the tree of reasons for one statement, for people.

`proxy.cli.main` registers `explain`. Next: `proxy.policy.trace`, which grows the tree.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from msgspec import to_builtins
from rich.text import Text
from rich.tree import Tree

from proxy.access.statements import has_own
from proxy.audit.tail import printable
from proxy.cli.around import around
from proxy.cli.mistakes import fail
from proxy.cli.offline import (
    OfflineSession,
    catalog_note,
    load_policy,
    load_resolver,
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
from proxy.cli.output import output
from proxy.errors import ConfigError
from proxy.policy.acts import as_listed
from proxy.policy.decision import Context
from proxy.policy.explanations import default_reason
from proxy.policy.limits import in_words
from proxy.policy.trace import Standing, trace
from proxy.sql.facts import SettingChange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.catalog.resolve import Resolver
    from proxy.policy.acts import Act
    from proxy.policy.decision import Decision
    from proxy.policy.evaluate import Policy, RolePolicy
    from proxy.policy.rules import CompiledRule
    from proxy.policy.trace import ActTrace, StatementTrace, Trace
    from proxy.sql.facts import Facts

SHOWN_CHARACTERS: Final = 100
"""Of a statement in the tree: enough to tell several apart."""


def explain(
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help='The statement; "-" reads stdin.')
    ],
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
    is_quarantined: Annotated[
        bool, typer.Option("--quarantined", help="As in a session in quarantine.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for machines.")
    ] = False,
) -> None:
    """Show what pgwarden sees in a statement, and why it decides as it does.

    A tree: the statement, its acts in the words of a policy, and each rule that permits
    or forbids one. An act that no rule permits is refused.

    Exit status: 0 allowed, 1 refused, 2 wrong usage or a policy that does not load.

    Example: pgwarden explain --role migrator "ALTER TABLE users DROP COLUMN email"
    """
    try:
        loaded = load_policy(policy)
        loaded.role(role)
        resolver = load_resolver(catalog)
        where = around(
            database=database,
            at=at,
            address=address,
            application=application,
            proven=proven,
            server_major=server_version or 0,
        )
    except ConfigError as error:
        fail(error)
    text = (
        sys.stdin.buffer.read() if sql == "-" else sql.encode(errors="surrogateescape")
    )
    judge = where.judge(loaded, role, resolver)
    session = OfflineSession(judge, is_quarantined=is_quarantined)
    decision, judged = session.send(text)
    statements = judged.statements if judged is not None else ()
    if has_own(statements):
        # No rule of a role has a say in what pgwarden answers itself.
        statements = ()
    context = Context(
        database=database, quarantined=is_quarantined, situation=judge.situation
    )
    reasons = trace(loaded, role, statements, context)
    notes = [catalog_note(resolver), *where.left_open(loaded, role)]
    if as_json:
        _print_json(loaded, role, decision, reasons, resolver, notes)
    else:
        _print_tree(loaded, role, decision, reasons, text)
        for note in notes:
            sys.stderr.write(f"note: {note}\n")
    raise typer.Exit(0 if decision.allowed else 1)


# --- for machines ------------------------------------------------------------


def _print_json(
    policy: Policy,
    role: str,
    decision: Decision,
    reasons: Trace,
    resolver: Resolver | None,
    notes: list[str],
) -> None:
    own = policy.role(role)
    plain = {
        "policy": policy.name,
        "policy_version": policy.version,
        "role": role,
        "catalog": None if resolver is None else resolver.version,
        "note": "; ".join(notes),
        "decision": _decision(decision),
        "locks": {
            "decision": "allow" if decision.allowed else "deny",
            "read_only_session": own.read_only,
            "upstream_login": own.upstream,
        },
        "limits": own.limits.model_dump(exclude_defaults=True),
        "statements": [
            {**_facts(each.facts), "trace": _plain_trace(each)}
            for each in reasons.statements
        ],
    }
    sys.stdout.write(json.dumps(plain, indent=2) + "\n")


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


def _plain_trace(found: StatementTrace) -> dict[str, Any]:
    return {
        "decision": "allow" if found.allowed else "deny",
        "rule": found.rule,
        "quarantines": found.quarantines,
        "acts": [_plain_act(each) for each in found.acts],
    }


def _plain_act(found: ActTrace) -> dict[str, Any]:
    key, words = as_listed(found.act)
    return {
        "key": key,
        "act": words,
        "standing": found.standing,
        "forbidden_by": [rule.id for rule in found.forbidden_by],
        "permitted_by": [rule.id for rule in found.permitted_by],
        "suspended": [rule.id for rule in found.suspended],
        "elsewhere": [rule.id for rule in found.elsewhere],
        "in_shadow": [rule.id for rule in found.on_trial],
    }


# --- for people --------------------------------------------------------------

_STYLES: Final = {
    Standing.NEVER: "bold red",
    Standing.FORBIDDEN: "bold red",
    Standing.SUSPENDED: "yellow",
    Standing.UNLISTED: "yellow",
    Standing.PERMITTED: "green",
}


def _print_tree(
    policy: Policy, role: str, decision: Decision, reasons: Trace, text: bytes
) -> None:
    is_allowed = decision.allowed
    tree = Tree(
        Text("allowed", "bold green") if is_allowed else Text("refused", "bold red")
    )
    tree.add(_line("rule", decision.rule))
    tree.add(_line("reason", decision.reason))
    for name in ("hint", "sqlstate"):
        if value := getattr(decision, name):
            tree.add(_line(name, value))
    if decision.shadow is not None:
        shadow = decision.shadow
        tree.add(_line("in shadow", f"{shadow.rule} would refuse it: {shadow.reason}"))
    if decision.quarantines:
        tree.add(_line("then", "the session may only read from here on"))
    tree.add(_line("policy", f"{policy.name} ({policy.version})"))
    own = policy.role(role)
    if own.may_login:
        locks = tree.add(Text("locks", "bold"))
        for line in _locks(own, decision):
            locks.add(line)
        if limits := in_words(own.limits):
            tree.add(_line("limits of the role", ", ".join(limits)))
        grower = _Grower(policy, own, decision, text)
        for number, each in enumerate(reasons.statements, 1):
            grower.grow(tree, number, each)
    output().print(tree)


def _locks(role: RolePolicy, decision: Decision) -> Iterator[Text]:
    """What each of the three locks says; see docs/explanation/three-locks.md."""
    yield _line(
        "a, this decision",
        "lets it pass" if decision.allowed else "refuses it before Postgres sees it",
    )
    yield _line(
        "b, the read-only session",
        "on: Postgres refuses to write as well"
        if role.read_only
        else "off: this role has to write",
    )
    yield _line(
        f'c, the privileges of upstream login "{role.upstream}"',
        "only the database knows them",
    )


class _Grower:
    """Adds statements to the tree; what the decision says already is not repeated."""

    def __init__(
        self, policy: Policy, role: RolePolicy, decision: Decision, text: bytes
    ) -> None:
        self._policy = policy
        self._role = role
        self._decision = decision
        self._text = text

    def grow(self, tree: Tree, number: int, found: StatementTrace) -> None:
        branch = tree.add(
            Text.assemble(
                (f"statement {number}", "bold"),
                f" ({found.facts.kind}), ",
                "permitted by " if found.allowed else "refused by ",
                (found.rule, "green" if found.allowed else "red"),
                (f": {_excerpt(self._text, found.facts)}", "dim"),
            )
        )
        for each in found.acts:
            key, words = as_listed(each.act)
            label = Text.assemble((f"{key}: ", "cyan"), printable(words))
            twig = branch.add(label)
            if each.standing is Standing.PERMITTED:
                label.append(f"   permitted by {each.permitted_by[0].id}", "dim")
            else:
                for line in self._reasons(each):
                    twig.add(Text(printable(line), _STYLES[each.standing]))
            for rule in each.on_trial:
                twig.add(Text(printable(_on_trial(rule)), "yellow"))

    def _reasons(self, found: ActTrace) -> Iterator[str]:
        """Each rule that speaks of the act, or why it falls to the default deny."""
        if found.standing is Standing.NEVER:
            yield "no policy can permit it"
        for rule in found.forbidden_by:
            yield f"forbidden by {rule.id}: {rule.reason}"
            yield from self._hint(rule.hint)
        for rule in found.permitted_by:
            yield f"permitted by {rule.id}, but a refusal wins"
        for rule in found.suspended:
            yield f"permitted by {rule.id}, but not in quarantine"
        for rule in found.elsewhere:
            verb = "permits" if rule.permits else "forbids"
            yield f'{rule.id} {verb} it elsewhere: its "when" does not hold here'
        if found.standing is Standing.UNLISTED:
            why, hint = default_reason(
                found.act, self._policy.name, self._values(found.act)
            )
            nothing = f"no rule of role {self._role.name} permits it"
            yield f"{nothing}: {why}" if why else nothing
            yield from self._hint(hint)

    def _hint(self, hint: str) -> Iterator[str]:
        if hint and hint != self._decision.hint:
            yield f"hint: {hint}"

    def _values(self, act: Act) -> list[str]:
        """The values of a setting that some rule permits."""
        if not isinstance(act, SettingChange) or act.is_reset:
            return []
        permits = [rule for rule in self._role.rules if rule.permits]
        return [value for rule in permits for value in rule.values_of(act.name)]


def _on_trial(rule: CompiledRule) -> str:
    if rule.permits:
        how = "permitted only by way of trial by"
    else:
        how = "would be forbidden by"
    return f"{how} {rule.id}, in shadow until {rule.shadow_until}"


def _excerpt(text: bytes, facts: Facts) -> str:
    start, length = facts.location
    own = text[start : start + length] if length else text[start:]
    shown = printable(own[: 4 * SHOWN_CHARACTERS].decode("utf-8", "replace"))
    if len(shown) <= SHOWN_CHARACTERS:
        return shown
    return shown[: SHOWN_CHARACTERS - 1] + "…"


def _line(name: str, value: str) -> Text:
    return Text.assemble((f"{name}: ", "cyan"), printable(value))
