"""What in a policy document is not wrong, but says nothing. Pure.

Next: `proxy.cli.policy`, which prints it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.policy.documents import Document


def lint(document: Document) -> Iterator[str]:
    """One message for each list, group of settings or group of rules without use."""
    model = document.model
    included = {group for role in model.roles.values() for group in role.include}
    for group in model.rules:
        if group not in included:
            yield f'no role includes the group of rules "{group}"'
    used = _references(document)
    for name in model.lists:
        if f"@{name}" not in used:
            yield f'no rule uses the list "{name}"'
    for name in model.settings:
        if f"@{name}" not in used:
            yield f'no rule uses the settings group "{name}"'
    for name, role in model.roles.items():
        rules = document.rules_of(role)
        if not role.login.refuse and not any(rule.permit for rule in rules):
            yield f'role "{name}" may log in, but nothing is permitted to it'


def _references(document: Document) -> set[str]:
    found: set[str] = set()
    for role in document.model.roles.values():
        for rule in document.rules_of(role):
            _gather(rule.model_dump(), found)
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
