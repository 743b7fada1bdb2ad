"""What rules in shadow would have refused: a stricter policy, tried on what passes.

A forbid in shadow refuses nothing, and a permit in shadow still permits; asked is what
became of the statement if the one refused and the other were gone. Pure.
Next: `proxy.policy.evaluate`, which decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.policy.decision import ShadowRefusal
from proxy.policy.refusals import DEFAULT_DENY, QUARANTINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from proxy.policy.acts import Act
    from proxy.policy.decision import Context, Decision
    from proxy.policy.rules import CompiledRule

_NO_RULE: Final = frozenset({DEFAULT_DENY, QUARANTINE})
"""What is refused so is refused for want of a permit."""


def enforced(
    rules: Sequence[CompiledRule], shadowed: frozenset[str]
) -> list[CompiledRule]:
    """The rules that decide: all but forbids in shadow."""
    return [rule for rule in rules if rule.permits or rule.id not in shadowed]


def would_refuse(
    weigh: Callable[[Sequence[CompiledRule]], Decision],
    acts: Sequence[Act],
    rules: Sequence[CompiledRule],
    *,
    context: Context,
    shadowed: frozenset[str],
) -> ShadowRefusal | None:
    """The refusal of an allowed statement if the trial were in earnest, or None.

    Args:
        weigh: the verdict by the rules that are given.
        acts: of the statement.
        rules: those that have a say, in order.
        context: of the decision.
        shadowed: ids of those that are in shadow.
    """
    tried = [rule for rule in rules if not rule.permits or rule.id not in shadowed]
    decision = weigh(tried)
    if decision.allowed:
        return None
    rule = decision.rule
    if rule in _NO_RULE:
        permits = [
            each
            for each in rules
            if each.permits and (each.survives_quarantine or not context.quarantined)
        ]
        rule = _missed(acts, permits, shadowed) or rule
    return ShadowRefusal(rule, decision.reason, decision.quarantines)


def _missed(
    acts: Sequence[Act], permits: Sequence[CompiledRule], shadowed: frozenset[str]
) -> str:
    """The permit in shadow without which an act has none; "" for no such."""
    for act in acts:
        covering = [rule for rule in permits if rule.covers(act)]
        if covering and all(rule.id in shadowed for rule in covering):
            return covering[0].id
    return ""


def told(shadows: Iterable[ShadowRefusal | None]) -> ShadowRefusal | None:
    """Of several statements' refusals the one to tell: as in earnest."""
    found = [shadow for shadow in shadows if shadow is not None]
    quarantining = [shadow for shadow in found if shadow.quarantines]
    return next(iter([*quarantining, *found]), None)
