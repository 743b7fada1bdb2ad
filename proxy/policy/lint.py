"""What in a policy document is not wrong, but says nothing, or can't be meant. Pure.

Rules are compared two and two, by `proxy.policy.coverage`, so a rule that only several
others together cover is not found. Next: `proxy.cli.policy`, which prints it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.policy.coverage import Coverage
from proxy.policy.limits import doubtful
from proxy.policy.lint_access import doubtful_access, few_eyes
from proxy.policy.lint_logins import doubtful_logins
from proxy.policy.lint_proofs import doubtful_proofs
from proxy.policy.lint_situations import doubtful_situations
from proxy.policy.lint_words import unknown_words
from proxy.policy.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from proxy.policy.documents import Document
    from proxy.policy.model import Rule
    from proxy.policy.yaml import Path

    Located = tuple[Path, Rule]


def lint(
    document: Document,
    *,
    now: float = 0.0,
    people: Mapping[str, str] | None = None,
) -> list[Problem]:
    """Everything found, in the order of the document's lines.

    Args:
        document: the document.
        now: seconds since the epoch; without it no window is over.
        people: each identity that may log in, with its role; without it nothing is
            said that hangs on who there is.
    """
    found = [
        *_unused(document),
        *_idle_roles(document),
        *_doubtful_limits(document),
        *_without_effect(document),
        *unknown_words(document),
        *doubtful_situations(document, now),
        *doubtful_logins(document),
        *doubtful_proofs(document),
        *doubtful_access(document),
        *(few_eyes(document, people) if people is not None else ()),
    ]
    return sorted(found, key=lambda problem: problem.line)


def _unused(document: Document) -> Iterator[Problem]:
    """One for each list, group of settings or group of rules without use."""
    model = document.model
    line = document.loaded.line
    included = {group for role in model.roles.values() for group in role.include}
    for group in model.rules:
        if group not in included:
            yield Problem(
                line(("rules", group)), f'no role includes the group of rules "{group}"'
            )
    used = _references(document)
    for name in model.lists:
        if f"@{name}" not in used:
            yield Problem(line(("lists", name)), f'no rule uses the list "{name}"')
    for name in model.settings:
        if f"@{name}" not in used:
            yield Problem(
                line(("settings", name)), f'no rule uses the settings group "{name}"'
            )


def _idle_roles(document: Document) -> Iterator[Problem]:
    for name, role in document.model.roles.items():
        rules = document.rules_of(role)
        line = document.loaded.line(("roles", name))
        if role.login.refuse and rules:
            yield Problem(
                line,
                f'role "{name}" can\'t log in, so its rules never decide: '
                f"{_first_few(rules)}",
            )
        if not role.login.refuse and not any(rule.permit for rule in rules):
            yield Problem(
                line, f'role "{name}" may log in, but nothing is permitted to it'
            )


def _doubtful_limits(document: Document) -> Iterator[Problem]:
    for name, role in document.model.roles.items():
        for key, said in doubtful(name, role):
            path = ("roles", name, "limits", *([key] if key else []))
            yield Problem(document.loaded.line(path), said)


def _first_few(rules: Sequence[Rule]) -> str:
    named = ", ".join(f'"{rule.id}"' for rule in rules[:3])
    return f"{named} and {len(rules) - 3} more" if len(rules) > 3 else named


def _without_effect(document: Document) -> Iterator[Problem]:
    """Rules that another one leaves nothing to decide, in every role that has them.

    A role may forbid what a group permits that it shares with others: no finding.
    """
    covering: dict[Path, list[str]] = {}
    for name, role in document.model.roles.items():
        if role.login.refuse:
            continue
        located = list(document.located_rules(name))
        for index, (path, _) in enumerate(located):
            told = _said_of(document, located, index)
            covering.setdefault(path, []).append(told)
    for path, said in covering.items():
        if all(said):
            yield Problem(document.loaded.line(path), said[0])


def _said_of(document: Document, located: Sequence[Located], index: int) -> str:
    """Why rule `index` of a role has no effect there, "" where it has."""
    _, rule = located[index]
    coverage = Coverage(document)
    # A forbid that covers a permit tells more than another permit that does.
    others = sorted(enumerate(located), key=lambda each: bool(each[1][1].permit))
    for at, (path, other) in others:
        if at == index or not _leaves_nothing(coverage, other, rule, at < index):
            continue
        by = f'"{other.id}" (line {document.loaded.line(path)}) covers all of it'
        if other.permit:
            return f'shadowed: permit "{rule.id}" adds nothing, as permit {by}'
        if rule.permit:
            return f'contradictory: permit "{rule.id}" permits nothing, as forbid {by}'
        return f'unreachable: forbid "{rule.id}" never decides, as forbid {by}'
    return ""


def _leaves_nothing(
    coverage: Coverage,
    other: Rule,
    rule: Rule,
    is_earlier: bool,  # noqa: FBT001 - whether `other` is
) -> bool:
    """Whether `other` decides wherever `rule` could."""
    if rule.forbid:
        # Of the forbids that cover an act the first that quarantines decides, or else
        # the first: see `proxy.policy.evaluate`.
        if not other.forbid:
            return False
        comes_first = (
            other.quarantine and is_earlier
            if rule.quarantine
            else other.quarantine or is_earlier
        )
        return comes_first and coverage.covers(other, rule)
    if other.forbid:
        return coverage.covers(other, rule)
    if not _adds_nothing(coverage, other, rule):
        return False
    # Of two that say the same, the later one is the one too many.
    return is_earlier or not _adds_nothing(coverage, rule, other)


def _adds_nothing(coverage: Coverage, wide: Rule, narrow: Rule) -> bool:
    """Whether permit `narrow` permits no more than permit `wide`."""
    holds_as_long = wide.in_quarantine or not narrow.in_quarantine
    return holds_as_long and coverage.covers(wide, narrow)


def _references(document: Document) -> set[str]:
    found: set[str] = set()
    for role in document.model.roles.values():
        for rule in document.rules_of(role):
            _gather(rule.model_dump(), found)
    for login in document.model.authentication or ():
        _gather(login.when.model_dump(), found)
    for matches in document.model.settings.values():
        for match in matches:
            _gather(match.except_names, found)
    return found


def _gather(value: object, found: set[str]) -> None:
    if isinstance(value, str):
        found.add(value)
    elif isinstance(value, dict):
        for item in value.values():
            _gather(item, found)
    elif isinstance(value, list):
        for item in value:
            _gather(item, found)
