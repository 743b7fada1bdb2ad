"""Why a decision is as it is: every act of a text beside every rule that speaks of it.

Slow and complete where `proxy.policy.evaluate` is quick and stops at the first answer,
and for people only: what is decided there is never decided here. A test holds the two
together. Pure. Next: `proxy.cli.explain`, which prints it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from proxy.policy import invariants, refusals
from proxy.policy.acts import acts_of, column_acts
from proxy.policy.evaluate import EMPTY
from proxy.policy.trial import enforced
from proxy.sql.facts import STRONGEST_FIRST, SettingChange
from proxy.sql.functions import EFFECTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.policy.acts import Act
    from proxy.policy.decision import Context
    from proxy.policy.evaluate import Policy, RolePolicy
    from proxy.policy.rules import CompiledRule
    from proxy.sql.facts import Effect, Facts


class Standing(StrEnum):
    """How one act stands with the rules of a role, the weightiest first."""

    NEVER = "never"
    """No policy can permit it: see `proxy.policy.invariants`."""
    FORBIDDEN = "forbidden"
    SUSPENDED = "suspended"
    """Permitted, but by no rule that holds in quarantine."""
    UNLISTED = "unlisted"
    """No rule permits it: the default deny."""
    PERMITTED = "permitted"


class ActTrace(Struct, frozen=True):
    """One act and the rules that list it, each in the order of the role.

    Attributes:
        act: the act.
        standing: what becomes of it.
        forbidden_by: forbids that cover it.
        permitted_by: permits that cover it and hold now.
        suspended: permits that cover it, but not in quarantine.
        elsewhere: rules that list it for other statements: their `when` does not hold.
        on_trial: rules in shadow that list it: forbids that do not refuse it, and
            permits whose absence is tried.
    """

    act: Act
    standing: Standing
    forbidden_by: tuple[CompiledRule, ...] = ()
    permitted_by: tuple[CompiledRule, ...] = ()
    suspended: tuple[CompiledRule, ...] = ()
    elsewhere: tuple[CompiledRule, ...] = ()
    on_trial: tuple[CompiledRule, ...] = ()


class StatementTrace(Struct, frozen=True):
    """One statement: its verdict, the rule that gives it, and its acts."""

    facts: Facts
    allowed: bool
    rule: str
    quarantines: bool
    acts: tuple[ActTrace, ...]


class Trace(Struct, frozen=True):
    """One text: its verdict, and the statement (0-based) that decides."""

    allowed: bool
    rule: str
    quarantines: bool
    statement: int
    statements: tuple[StatementTrace, ...]


def trace(
    policy: Policy,
    role: str,
    statements: Sequence[Facts],
    context: Context,
    *,
    effects: Mapping[str, Effect] = EFFECTS,
) -> Trace:
    """The tree behind `policy.decide(role, statements, context)`.

    Args:
        policy: the policy.
        role: one of its roles.
        statements: the facts of a text.
        context: as for the decision.
        effects: the same as the policy was compiled with.

    Raises:
        UnknownRoleError: the policy has no such role.
    """
    rules = policy.role(role)
    traced = tuple(_statement(rules, facts, context, effects) for facts in statements)
    refused = [each for each in traced if not each.allowed]
    if refused:
        # the one that quarantines stays with the session, so it is the one to tell of
        deciding = next((each for each in refused if each.quarantines), refused[0])
    elif traced:
        deciding = min(traced, key=lambda each: STRONGEST_FIRST.index(each.facts.kind))
    else:
        return Trace(
            allowed=True, rule=EMPTY, quarantines=False, statement=0, statements=()
        )
    index = next(i for i, each in enumerate(traced) if each is deciding)
    return Trace(deciding.allowed, deciding.rule, deciding.quarantines, index, traced)


def _statement(
    role: RolePolicy, facts: Facts, context: Context, effects: Mapping[str, Effect]
) -> StatementTrace:
    having = role.applying(facts, context)
    shadowed = role.shadowed(context)
    applying = enforced(having, shadowed)
    trials = [rule for rule in having if rule.id in shadowed]
    columns = column_acts(facts) if role.asks_columns else []
    here = [use for use in columns if not use.is_behind]
    acts = tuple(
        _act(role, act, applying, trials=trials, is_quarantined=context.quarantined)
        for act in (*acts_of(facts, effects), *here)
    )
    hidden: list[Act] = [*facts.behind]
    hidden += [use for use in columns if use.is_behind]
    behind = [
        _act(role, act, applying, trials=trials, is_quarantined=context.quarantined)
        for act in hidden
    ]
    # A permit need not name what is behind a view.
    acts += tuple(each for each in behind if each.standing is Standing.FORBIDDEN)
    forbids = [
        rule for rule in applying if any(rule in each.forbidden_by for each in acts)
    ]
    standings = {each.standing for each in acts}
    if not role.may_login:
        allowed, rule = False, refusals.LOGIN
    elif Standing.NEVER in standings:
        allowed, rule = False, invariants.RULE
    elif forbids:
        strongest = next((each for each in forbids if each.quarantines), forbids[0])
        allowed, rule = False, strongest.id
    elif standings <= {Standing.PERMITTED}:
        # of the first permits of each act, the last one: narrower ones come later
        needed = [each.permitted_by[0] for each in acts]
        allowed, rule = True, max(needed, key=applying.index).id if acts else EMPTY
    else:
        in_force = refusals.QUARANTINE if context.quarantined else refusals.DEFAULT_DENY
        allowed, rule = False, in_force
    decides_by_forbid = bool(forbids) and rule not in {refusals.LOGIN, invariants.RULE}
    quarantines = decides_by_forbid and any(each.quarantines for each in forbids)
    return StatementTrace(facts, allowed, rule, quarantines, acts)


def _act(
    role: RolePolicy,
    act: Act,
    applying: Sequence[CompiledRule],
    *,
    trials: Sequence[CompiledRule],
    is_quarantined: bool,
) -> ActTrace:
    listing = [rule for rule in role.rules if rule.covers(act)]
    on_trial = tuple(rule for rule in listing if rule in trials)
    here = [rule for rule in listing if rule in applying]
    forbidden_by = tuple(rule for rule in here if not rule.permits)
    permits = [rule for rule in here if rule.permits]
    permitted_by = tuple(
        rule for rule in permits if rule.survives_quarantine or not is_quarantined
    )
    if isinstance(act, SettingChange) and invariants.breaks_reading(act):
        standing = Standing.NEVER
    elif forbidden_by:
        standing = Standing.FORBIDDEN
    elif permitted_by:
        standing = Standing.PERMITTED
    else:
        standing = Standing.SUSPENDED if permits else Standing.UNLISTED
    return ActTrace(
        act,
        standing,
        forbidden_by,
        permitted_by,
        tuple(rule for rule in permits if rule not in permitted_by),
        tuple(rule for rule in listing if rule not in here and rule not in on_trial),
        on_trial,
    )
