"""What a schema can't see in a policy document: references, doubles, empty rules.

Pure. Next: `proxy.policy.documents`, which tells these with their lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.policy.login_problems import login_problems
from proxy.policy.name_lists import NAME_LISTS
from proxy.policy.networks import networks_named
from proxy.policy.patterns import nearest
from proxy.policy.windows import CompiledWindow, WindowError, end_of_trial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.policy.model import Acts, PolicyModel, Rule, SettingMatch, Surroundings
    from proxy.policy.yaml import Path


def inconsistencies(model: PolicyModel) -> Iterator[tuple[Path, str]]:
    """What does not hold together, each with its path in the document."""
    yield from _group_problems(model)
    yield from _role_problems(model)
    yield from login_problems(model)
    yield from _access_problems(model)
    seen: set[str] = set()
    for index, login in enumerate(model.authentication or ()):
        if login.id in seen:
            yield (
                ("authentication", index, "id"),
                f'rule id "{login.id}" is used twice',
            )
        seen.add(login.id)
    for path, rules in _rule_lists(model):
        for index, rule in enumerate(rules):
            here = (*path, index)
            if rule.id in seen:
                yield (*here, "id"), f'rule id "{rule.id}" is used twice'
            seen.add(rule.id)
            yield from _rule_problems(model, rule, here)


def _group_problems(model: PolicyModel) -> Iterator[tuple[Path, str]]:
    for name, matches in model.settings.items():
        for index, match in enumerate(matches):
            here = ("settings", name, index)
            if match.name.startswith("@"):
                yield here, f'"{match.name}": a group of settings names no other group'
            yield from _unknown_lists(model, match.except_names, here)
            yield from _item_problems(model, match, here)
    for name, words in model.lists.items():
        for index, word in enumerate(words):
            if word.startswith("@"):
                yield ("lists", name, index), f'"{word}": a list names no other list'


def _role_problems(model: PolicyModel) -> Iterator[tuple[Path, str]]:
    for name, role in model.roles.items():
        for index, group in enumerate(role.include):
            if group not in model.rules:
                yield (
                    ("roles", name, "include", index),
                    f'no group of rules "{group}"{nearest(group, model.rules)}',
                )
        if not role.login.refuse and not role.upstream:
            yield (
                ("roles", name),
                f'role "{name}" may log in, so it needs "upstream": '
                "the name of the upstream login it uses",
            )


def _access_problems(model: PolicyModel) -> Iterator[tuple[Path, str]]:
    """Roles that are lent, or named beside them, and can't be."""
    for name, lent in model.access.roles.items():
        here = ("access", "roles", name)
        role = model.roles.get(name)
        if role is None:
            yield here, f'no role "{name}"{nearest(name, model.roles)}'
        elif role.login.refuse:
            yield here, f'role "{name}" can\'t log in, so nobody can borrow it'
        sides = {
            "requesters": lent.requesters,
            "approvers": lent.approvers,
            "reviewers": lent.reviewers or [],
        }
        for key, words in sides.items():
            for index, word in enumerate(words):
                if word not in model.roles:
                    said = f'no role "{word}"{nearest(word, model.roles)}'
                elif word in model.access.roles:
                    # Who borrows a role must not thereby say yes to the next one.
                    said = f'role "{word}" is lent itself, so it is nobody\'s own'
                else:
                    continue
                yield (*here, key, index), said


def _rule_lists(model: PolicyModel) -> Iterator[tuple[Path, list[Rule]]]:
    for name, rules in model.rules.items():
        yield ("rules", name), rules
    for name, role in model.roles.items():
        yield ("roles", name, "rules"), role.rules


def _rule_problems(
    model: PolicyModel, rule: Rule, path: Path
) -> Iterator[tuple[Path, str]]:
    acts = rule.permit or rule.forbid
    if acts is None or (rule.permit is not None and rule.forbid is not None):
        yield path, f'rule "{rule.id}" needs exactly one of "permit" and "forbid"'
        return
    side = "permit" if rule.permit is not None else "forbid"
    if acts == type(acts)():
        yield (*path, side), f'rule "{rule.id}" {side}s nothing'
    if rule.forbid is not None and not rule.reason:
        yield path, f'rule "{rule.id}" forbids, so it needs a "reason" for the person'
    if rule.permit is not None and rule.quarantine:
        yield path, f'rule "{rule.id}": only a forbid may quarantine'
    if rule.forbid is not None and rule.in_quarantine:
        yield path, f'rule "{rule.id}": "in_quarantine" is for permits'
    yield from _unknown_references(model, acts, (*path, side))
    for key, words in (
        ("databases", rule.when.databases),
        ("actions", rule.when.actions),
    ):
        yield from _unknown_lists(model, words or (), (*path, "when", key))
    yield from _situation_problems(model, rule.when, (*path, "when"))
    yield from _situation_problems(model, rule.unless, (*path, "unless"))
    if rule.shadow is not None:
        try:
            end_of_trial(rule.shadow.until)
        except WindowError as error:
            yield (*path, "shadow", error.key), str(error)


def _situation_problems(
    model: PolicyModel, around: Surroundings, path: Path
) -> Iterator[tuple[Path, str]]:
    """Lists, networks and windows that are none."""
    yield from _unknown_lists(model, around.applications or (), (*path, "applications"))
    for index, word in enumerate(around.networks or ()):
        here = (*path, "networks", index)
        yield from _unknown_lists(model, [word], here)
        words = model.lists.get(word[1:], []) if word.startswith("@") else [word]
        for each in words:
            try:
                networks_named(each)
            except ValueError as error:
                yield here, str(error)
    for index, window in enumerate(around.during or ()):
        try:
            CompiledWindow(window)
        except WindowError as error:
            yield (*path, "during", index, error.key), str(error)


def _unknown_references(
    model: PolicyModel, acts: Acts, path: Path
) -> Iterator[tuple[Path, str]]:
    lists: list[tuple[str, Sequence[str]]] = [
        ("actions", acts.actions),
        ("resets", acts.resets),
        *(
            ("databases", [*match.names, *match.except_names])
            for match in acts.databases
        ),
        *(("functions", match.names) for match in acts.functions),
        *(
            ("relations", [*match.names, *match.except_names])
            for match in acts.relations
        ),
        *(("settings", match.except_names) for match in acts.settings),
    ]
    for key, words in lists:
        yield from _unknown_lists(model, words, (*path, key))
    for index, match in enumerate(acts.settings):
        yield from _item_problems(model, match, (*path, "settings", index))
        if match.name.startswith("@"):
            if match.name[1:] not in model.settings:
                known = nearest(match.name[1:], model.settings)
                yield (
                    (*path, "settings", index),
                    f'no settings group "{match.name[1:]}"{known}',
                )
            elif match.values is not None or match.items or match.except_names:
                yield (
                    (*path, "settings", index),
                    f'"{match.name}": values and exceptions stand in the group itself',
                )


def _item_problems(
    model: PolicyModel, match: SettingMatch, path: Path
) -> Iterator[tuple[Path, str]]:
    yield from _unknown_lists(model, match.items or (), path)
    if match.items is None or match.name.startswith("@"):
        return
    if match.name not in NAME_LISTS:
        known = " and ".join(sorted(NAME_LISTS))
        yield path, f'"{match.name}": "items" are for lists of names, which are {known}'
    elif match.values is not None:
        yield path, f'"{match.name}": give "values" or "items", not both'


def _unknown_lists(
    model: PolicyModel, words: Sequence[str], path: Path
) -> Iterator[tuple[Path, str]]:
    for word in words:
        if word.startswith("@") and word[1:] not in model.lists:
            yield path, f'no list "{word[1:]}"{nearest(word[1:], model.lists)}'
