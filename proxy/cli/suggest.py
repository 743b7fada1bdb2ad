"""`pgwarden policy suggest`: the narrowest policy that a log has needed.

`proxy.cli.policy` registers it. Exit status: 0 done, 2 usage.
Next: `proxy.replay.learn` and `proxy.policy.suggest`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from proxy.audit.tail import printable
from proxy.cli.logs import reading, wanted
from proxy.cli.mistakes import fail
from proxy.cli.offline import load_policy
from proxy.cli.options import (
    Identities,
    Jobs,
    LogFolder,
    PolicyFile,
    Roles,
    Since,
    Until,
)
from proxy.cli.output import counted
from proxy.errors import ConfigError
from proxy.policy.model import RoleLimits
from proxy.policy.selection import Wish
from proxy.policy.suggest import RoleDraft, suggest as suggested
from proxy.replay.learn import Lesson, learn
from proxy.replay.records import log_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.policy.evaluate import Policy
    from proxy.policy.model import Rule
    from proxy.replay.learn import Learnt


SHOWN_LEFT_OUT: Final = 10
"""Lines on standard error about what is not permitted; the document has the rest."""


def suggest(
    log: LogFolder,
    *,
    policy: PolicyFile = None,
    identity: Identities = None,
    role: Roles = None,
    since: Since = "",
    until: Until = "",
    min_count: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Leave out what was seen less often."),
    ] = 1,
    any_relation: Annotated[
        bool,
        typer.Option(
            "--generalise-schema",
            help="Permit all relations of a schema that the statements name.",
        ),
    ] = False,
    any_value: Annotated[
        bool,
        typer.Option(
            "--generalise-settings",
            help="Permit any value of a setting that had more than twenty.",
        ),
    ] = False,
    jobs: Jobs = 0,
) -> None:
    """Write the narrowest policy that permits what was allowed and used.

    For each role and kind of statement one rule, with the relations, functions and
    settings that were used, each with a count and who used it. No wildcard that was not
    asked for, no forbid, no quarantine, and no condition on hour, network or
    application. What a rule in shadow would have refused was allowed, so it is
    permitted, and told of. It is a draft: read it, and try it with `pgwarden replay`.
    What a log does not say of a role (its upstream login) is taken from --policy; what
    else that policy says (`authentication`, `access`, limits) is for you to copy.

    Exit status: 0 done, 2 wrong usage, or a log that holds nothing to learn from.

    Example: pgwarden policy suggest --log /var/log/pgwarden --since 30d > draft.yaml
    """
    try:
        base = load_policy(policy)
        span = wanted(identity, role, since=since, until=until)
        lesson = Lesson(tuple(log_files(log)), span)
        with reading(lesson.files, jobs=jobs, is_quiet=False) as (processes, progress):
            learnt = learn(lesson, processes, progress)
    except (ConfigError, OSError) as error:
        fail(error if isinstance(error, ConfigError) else ConfigError(str(error)))
    if not learnt.observations:
        fail(ConfigError("the log holds no allowed statement of that kind"))
    used = {each.role for each in learnt.observations}
    roles = {
        name: _draft(base, name, is_used=name in used)
        for name in dict.fromkeys([*base.roles, *sorted(used)])
    }
    found = suggested(
        learnt.observations,
        roles,
        Wish(min_count, any_relation=any_relation, any_value=any_value),
        heading=list(_heading(learnt, base, roles)),
    )
    sys.stdout.write(found.text)
    for line in found.left_out[:SHOWN_LEFT_OUT]:
        sys.stderr.write(f"left out: {printable(line)}\n")
    if len(found.left_out) > SHOWN_LEFT_OUT:
        more = len(found.left_out) - SHOWN_LEFT_OUT
        sys.stderr.write(f"left out: {more:,} more, see the document\n")
    for reason, count in sorted(learnt.unread.items()):
        unread = counted(count, "allowed statement")
        sys.stderr.write(f"note: {unread} not read: {reason}\n")


def _draft(base: Policy, name: str, *, is_used: bool) -> RoleDraft:
    """What the log does not say about a role; one that is not used may not log in.

    It is there all the same: `serve` wants the role of every identity to be known.
    """
    if name not in base.roles:
        return RoleDraft(upstream=name)
    role = base.role(name)
    if not is_used:
        why = role.login_reason or f"the draft has no rules for role {name}"
        return RoleDraft(description=role.description, refuse=why, hint=role.login_hint)
    return RoleDraft(role.upstream or name, role.read_only, role.description)


def _heading(
    learnt: Learnt, base: Policy, roles: dict[str, RoleDraft]
) -> Iterator[str]:
    yield (
        "Suggested by `pgwarden policy suggest` from "
        f"{counted(learnt.statements, 'allowed statement')},"
    )
    yield f"{learnt.first[:10]} to {learnt.last[:10]}. The numbers count them: by whom."
    yield "A draft. Read it, give the rules their reasons, try it: `pgwarden replay`."
    for reason, count in sorted(learnt.unread.items()):
        yield f"Not read, so not in here: {counted(count, 'statement')}, {reason}."
    for rule, count in sorted(learnt.on_trial.items()):
        yield (
            f"Permitted here: {counted(count, 'statement')} that rule {rule}, in "
            "shadow, would have refused."
        )
    if bound := [rule.id for rule in _rules(base) if _is_bound(rule)]:
        yield (
            "The rules here hold at any time, from anywhere. Of policy "
            f"{base.name} these do not: {', '.join(bound)}."
        )
    if tried := [rule.id for rule in _rules(base) if rule.shadow is not None]:
        yield f"On trial in policy {base.name}, and not in here: {', '.join(tried)}."
    model = base.document.model
    there = {
        "authentication": model.authentication is not None,
        "access": bool(model.access.roles),
        "limits": any(each.limits != RoleLimits() for each in model.roles.values()),
        "migrations": any(each.migrations for each in model.roles.values()),
    }
    sections = [key for key, is_there in there.items() if is_there]
    if sections:
        yield (
            f"Policy {base.name} also says {', '.join(sections)}, which a log does "
            "not: copy them."
        )
    unknown = [name for name in roles if name not in base.roles]
    if unknown:
        yield (
            f"Policy {base.name} has no role {', '.join(unknown)}: mend upstream and "
            "read_only."
        )
    unused = [name for name, draft in roles.items() if draft.refuse]
    if unused:
        yield f"No rules for: {', '.join(unused)}."


def _rules(base: Policy) -> Iterator[Rule]:
    """Every rule of a policy once."""
    model = base.document.model
    for rules in model.rules.values():
        yield from rules
    for role in model.roles.values():
        yield from role.rules


def _is_bound(rule: Rule) -> bool:
    """Whether it hangs on the hour, the network or the application."""
    return any(
        words is not None
        for around in (rule.when, rule.unless)
        for words in (around.networks, around.applications, around.during)
    )
