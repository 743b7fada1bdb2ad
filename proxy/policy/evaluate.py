"""The decision: facts and a role in, allow or deny with a reason out.

Default deny; a forbid wins over any permit; each act of each statement needs a permit;
an internal error denies. Pure and total: the same question always gets the same answer
and never an exception. Equal questions are remembered, so that a plain read costs one
dictionary look-up. Next: `proxy.policy.rules` and `proxy.policy.acts`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import structs

from proxy.errors import DENIED, ConfigError
from proxy.generations import Generations
from proxy.policy import refusals
from proxy.policy.acts import acts_of, column_acts, in_words, telling
from proxy.policy.decision import Context, Decision
from proxy.policy.explanations import default_reason
from proxy.policy.invariants import breaks_reading
from proxy.policy.logins import Logins
from proxy.policy.model import RoleLimits
from proxy.policy.patterns import nearest
from proxy.policy.rules import CompiledRule
from proxy.policy.situation import Circumstances, RuleConditions, Situations
from proxy.policy.trial import enforced, told, would_refuse
from proxy.sql.facts import STRONGEST_FIRST, Facts, Kind, Scope, SettingChange
from proxy.sql.functions import EFFECTS
from proxy.sql.settings_change import folded

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from proxy.policy.acts import Act
    from proxy.policy.decision import ShadowRefusal
    from proxy.policy.documents import Document
    from proxy.policy.model import Role
    from proxy.policy.situation import Situation
    from proxy.sql.facts import Effect, Trouble

EMPTY: Final = "empty"
"""Rule id where there was nothing to judge."""

REMEMBERED: Final = 2048
"""Decisions kept in one generation, a role; two live. A question of a busy application
(its kinds, relations, functions, settings) recurs; its texts need not."""
REMEMBERED_PARTS: Final = 64
"""Questions with more relations or functions than this are not worth the memory."""

_STRENGTH: Final[dict[str, int]] = {
    kind: rank for rank, kind in enumerate(STRONGEST_FIRST)
}

_NOWHERE: Final = Context()
_NO_LIMITS: Final = RoleLimits()


class UnknownRoleError(ConfigError):
    """A role that the policy does not have."""


class RolePolicy:
    """The rules of one role, compiled.

    Attributes:
        name: the role's name in the document.
        description: one sentence for people.
        upstream: name of the upstream login that its sessions use.
        read_only: its upstream sessions start with default_transaction_read_only=on.
        limits: what its sessions may take.
        migrations: what the migrations of its sessions have to do with proofs; None
            where it runs none.
        may_login: whether it may open an SQL session.
        login_reason: why not; "" where it may.
        login_hint: where to go instead.
        rules: its rules in order, the included ones first.
        asks_columns: whether a rule tells columns apart: then the facts must, too.
        situations: what these hang on beside the statement.
    """

    def __init__(
        self,
        name: str,
        role: Role,
        *,
        document: Document,
        effects: Mapping[str, Effect],
    ) -> None:
        self.name = name
        self.description = role.description
        self.upstream = role.upstream
        self.read_only = role.read_only
        self.limits = role.limits
        self.migrations = role.migrations
        self.may_login = not role.login.refuse
        self.login_reason = role.login.refuse
        self.login_hint = role.login.hint
        rules = document.rules_of(role)
        self.rules = tuple(CompiledRule(rule, document) for rule in rules)
        self.situations = Situations(RuleConditions(rule, document) for rule in rules)
        self._strictest = self.situations.of(Circumstances()).situation
        self._policy_name = document.model.name
        self._effects = effects
        self._effectful = frozenset(effects)
        self._asks_database = any(rule.names_databases for rule in self.rules)
        self.asks_columns = any(rule.names_columns for rule in self.rules)
        self._answers: Generations[Hashable, Decision] = Generations(REMEMBERED)

    def decide_setting(
        self, name: str, value: str, context: Context = _NOWHERE
    ) -> Decision:
        """The verdict on a run-time parameter in the startup packet or `options`."""
        change = SettingChange(folded(name), value, Scope.STARTUP)
        facts = Facts(
            kind=Kind.SESSION,
            kinds=frozenset(),
            actions=(),
            verb="",
            settings=(change,),
        )
        return self._decide(facts, context)

    def applying(self, facts: Facts, context: Context) -> list[CompiledRule]:
        """The rules that have a say in a statement, in order."""
        asleep = (context.situation or self._strictest).asleep
        return [
            rule
            for rule in self.rules
            if rule.id not in asleep and rule.applies(facts, context)
        ]

    def decide_statement(self, facts: Facts, context: Context) -> Decision:
        """The verdict on one statement."""
        # This is on the path of every statement: no loop where a look-up will do.
        for _, column in facts.columns:
            if column in self._effectful:
                return self._decide(facts, context)
        question = (
            facts.kind,
            facts.kinds,
            facts.actions,
            facts.relations,
            facts.functions,
            facts.flags,
            facts.settings,
            facts.lock_mode,
            facts.operators,
            facts.databases,
            facts.behind,
            facts.column_uses,
            context.quarantined,
            context.database if self._asks_database else "",
            context.situation,
        )
        answer = self._answers.get(question)
        if answer is None:
            answer = self._decide(facts, context)
            if len(facts.relations) + len(facts.functions) <= REMEMBERED_PARTS:
                self._answers.put(question, answer)
        return answer

    def shadowed(self, context: Context) -> frozenset[str]:
        """Ids of the rules that are on trial."""
        return (context.situation or self._strictest).shadowed

    def _decide(self, facts: Facts, context: Context) -> Decision:
        if not self.may_login:
            return refusals.no_login(self.login_reason, self.login_hint, facts.kind)
        acts = acts_of(facts, self._effects)
        behind: list[Act] = [*facts.behind]
        if self.asks_columns:
            columns = column_acts(facts)
            acts += [use for use in columns if not use.is_behind]
            behind += [use for use in columns if use.is_behind]
        for act in acts:
            if isinstance(act, SettingChange) and breaks_reading(act):
                return refusals.broken_reading(self._not_allowed(act), facts.kind)
        rules = self.applying(facts, context)
        shadowed = self.shadowed(context)
        if not shadowed:
            return self._weigh(acts, behind, facts, context, rules)
        decision = self._weigh(acts, behind, facts, context, enforced(rules, shadowed))
        if not decision.allowed:
            return decision
        weigh = partial(self._weigh, acts, behind, facts, context)
        shadow = would_refuse(weigh, acts, rules, context=context, shadowed=shadowed)
        return structs.replace(decision, shadow=shadow)

    def _weigh(
        self,
        acts: Sequence[Act],
        behind: Sequence[Act],
        facts: Facts,
        context: Context,
        rules: Sequence[CompiledRule],
    ) -> Decision:
        """The verdict by these rules; what is `behind` needs no permit."""
        permits = [rule for rule in rules if rule.permits]
        touched = [*acts, *behind]
        refusal = _forbidden(touched, rules)
        if refusal is not None:
            rule, act = refusal
            subject = telling(act, facts, permits)
            return Decision(
                allowed=False,
                rule=rule.id,
                reason=f"{self._not_allowed(subject)}: {rule.reason}",
                sqlstate=DENIED,
                hint=rule.hint,
                quarantines=any(
                    each.quarantines and any(map(each.covers, touched))
                    for each in rules
                    if not each.permits
                ),
                kind=facts.kind,
            )
        if context.quarantined:
            permits = [rule for rule in permits if rule.survives_quarantine]
        needed = -1
        for act in acts:
            for at, rule in enumerate(permits):
                if rule.covers(act):
                    needed = max(needed, at)
                    break
            else:
                return self._not_permitted(act, facts, context)
        # Of the permits that it took, the last one says most: narrower ones come later.
        return Decision(
            allowed=True,
            rule=permits[needed].id if acts else EMPTY,
            reason=(permits[needed].reason if acts else "")
            or f"permitted for role {self.name}",
            kind=facts.kind,
        )

    def _not_allowed(self, act: Act) -> str:
        return f"{in_words(act)} is not allowed for role {self.name}"

    def _not_permitted(self, act: Act, facts: Facts, context: Context) -> Decision:
        if context.quarantined:
            return refusals.in_quarantine(in_words(act), facts.kind)
        why, hint = default_reason(act, self._policy_name, self._values_for(act))
        return Decision(
            allowed=False,
            rule=refusals.DEFAULT_DENY,
            reason=self._not_allowed(act) + (f": {why}" if why else ""),
            sqlstate=DENIED,
            hint=hint,
            kind=facts.kind,
        )

    def _values_for(self, act: Act) -> list[str]:
        if not isinstance(act, SettingChange) or act.is_reset:
            return []
        return [
            value
            for rule in self.rules
            if rule.permits
            for value in rule.values_of(act.name)
        ]


def _forbidden(
    acts: Sequence[Act], rules: Sequence[CompiledRule]
) -> tuple[CompiledRule, Act] | None:
    """The forbid that covers an act: the first that quarantines, else the first."""
    found: tuple[CompiledRule, Act] | None = None
    for rule in rules:
        if rule.permits or (found is not None and not rule.quarantines):
            continue
        for act in acts:
            if rule.covers(act):
                if rule.quarantines:
                    return rule, act
                found = (rule, act)
                break
    return found


class Policy:
    """A policy document, compiled: asked for every statement of every session."""

    def __init__(
        self, document: Document, *, effects: Mapping[str, Effect] = EFFECTS
    ) -> None:
        self.document = document
        self.name = document.model.name
        self.version = document.version
        self.logins = Logins(document)
        self._roles = {
            name: RolePolicy(name, role, document=document, effects=effects)
            for name, role in document.model.roles.items()
        }

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of all roles, in the document's order."""
        return tuple(self._roles)

    def role(self, name: str) -> RolePolicy:
        """The rules of one role.

        Raises:
            UnknownRoleError: the document has no such role.
        """
        role = self._roles.get(name)
        if role is None:
            raise UnknownRoleError(
                f'policy "{self.name}" has no role "{name}"'
                + nearest(name, self._roles)
            )
        return role

    def limits_of(self, role: str) -> RoleLimits:
        """What the sessions of this role may take; no limit for one unknown."""
        known = self._roles.get(role)
        return _NO_LIMITS if known is None else known.limits

    def situation(self, role: str, around: Circumstances) -> Situation | None:
        """The situation of a role in these circumstances; None without such a role."""
        rules = self._roles.get(role)
        return None if rules is None else rules.situations.of(around).situation

    def decide(
        self, role: str, statements: Sequence[Facts], context: Context
    ) -> Decision:
        """The verdict on one text, whose statements stand or fall together."""
        try:
            rules = self._roles.get(role)
            if rules is None:
                return refusals.unknown_role(role)
            if len(statements) == 1:
                return rules.decide_statement(statements[0], context)
            return _decide_all(rules, statements, context)
        except Exception:  # noqa: BLE001 - an error in deciding denies; nothing is lost
            return refusals.internal_error()

    def decide_trouble(self, role: str, trouble: Trouble) -> Decision:
        """The refusal of a text that could not be understood, whatever the role."""
        if role not in self._roles:
            return refusals.unknown_role(role)
        return refusals.in_trouble(trouble)

    def decide_setting(
        self, role: str, name: str, value: str, context: Context = _NOWHERE
    ) -> Decision:
        """The verdict on a run-time parameter in the startup packet or `options`."""
        rules = self._roles.get(role)
        return (
            refusals.unknown_role(role)
            if rules is None
            else rules.decide_setting(name, value, context)
        )


def _decide_all(
    rules: RolePolicy, statements: Sequence[Facts], context: Context
) -> Decision:
    """Several statements or none: one refusal refuses all, one quarantine stays."""
    decisions = [rules.decide_statement(facts, context) for facts in statements]
    refusals = [
        (index, decision)
        for index, decision in enumerate(decisions)
        if not decision.allowed
    ]
    if refusals:
        index, refusal = next(
            (each for each in refusals if each[1].quarantines), refusals[0]
        )
        return _of_statement(refusal, index)
    if not decisions:
        return Decision(allowed=True, rule=EMPTY, reason="there is nothing to run")
    index = min(range(len(decisions)), key=lambda at: _STRENGTH[decisions[at].kind])
    shadow = told(each.shadow for each in decisions)
    return _of_statement(decisions[index], index, shadow)


def _of_statement(
    decision: Decision, index: int, shadow: ShadowRefusal | None = None
) -> Decision:
    return Decision(
        allowed=decision.allowed,
        rule=decision.rule,
        reason=decision.reason,
        sqlstate=decision.sqlstate,
        hint=decision.hint,
        quarantines=decision.quarantines,
        kind=decision.kind,
        statement=index,
        shadow=shadow,
    )
