"""Situations that prove nothing or do not come again, and trials without end. Pure.

An `application_name` is what the client says of itself: whoever wants a rule to hold,
or not to hold, says another one. Next: `proxy.policy.lint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.policy.problems import Problem
from proxy.policy.windows import CompiledWindow, end_of_trial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.policy.documents import Document
    from proxy.policy.model import Rule, Surroundings
    from proxy.policy.yaml import Path


LONGEST_TRIAL_S: Final = 90 * 86_400
"""A quarter: a month of records, and time to act on them."""


def doubtful_situations(document: Document, now: float) -> Iterator[Problem]:
    """One for each rule that hangs on a mere hint, each window and trial over."""
    for path, rule in all_rules(document):
        line = document.loaded.line(path)
        yield from (Problem(line, said) for said in _hints(rule))
        yield from (
            Problem(document.loaded.line((*path, "shadow")), said)
            for said in _trial(rule, now)
        )
        for key, around in (("when", rule.when), ("unless", rule.unless)):
            for at in _windows_over(around, now):
                here = document.loaded.line((*path, key, "during", at))
                yield Problem(
                    here,
                    f'rule "{rule.id}": this window is over, and never opens again',
                )


def all_rules(document: Document) -> Iterator[tuple[Path, Rule]]:
    """Every rule of a document, once, with its path."""
    model = document.model
    for name, rules in model.rules.items():
        for index, rule in enumerate(rules):
            yield ("rules", name, index), rule
    for name, role in model.roles.items():
        for index, rule in enumerate(role.rules):
            yield ("roles", name, "rules", index), rule


def _hints(rule: Rule) -> Iterator[str]:
    """Why a rule that hangs on the application alone holds nobody."""
    proof = (rule.when.networks, rule.unless.networks, rule.when.proven)
    asks = rule.when.applications or rule.unless.applications
    if not asks or any(proof):
        return
    told = "which the client chooses; ask for networks as well, or give a role"
    if rule.permit:
        yield (
            f'permit "{rule.id}" hangs on the application_name alone, {told} of '
            "its own to what needs it"
        )
    else:
        yield (
            f'forbid "{rule.id}" hangs on the application_name alone, {told} '
            "that is not permitted it"
        )


def _trial(rule: Rule, now: float) -> Iterator[str]:
    """A trial that is over, or that nobody will remember the end of."""
    if rule.shadow is None or not now:
        return
    left_s = end_of_trial(rule.shadow.until) - now
    if left_s <= 0:
        became = "permits nothing any more" if rule.permit else "refuses since then"
        yield (
            f'rule "{rule.id}" was in shadow until {rule.shadow.until}, and {became}: '
            f"remove {'the rule' if rule.permit else 'its shadow'}, or set another date"
        )
    elif left_s > LONGEST_TRIAL_S:
        yield (
            f'rule "{rule.id}" is in shadow until {rule.shadow.until}, longer than '
            f"{LONGEST_TRIAL_S // 86_400} days: nobody will remember the trial"
        )


def _windows_over(around: Surroundings, now: float) -> Iterator[int]:
    for at, window in enumerate(around.during or ()):
        if CompiledWindow(window).ends_before(now):
            yield at
