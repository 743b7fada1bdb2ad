"""Rules that hang on a proof which nobody can have, and roles that migrate nothing.

Pure. Next: `proxy.policy.lint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.policy.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.policy.documents import Document
    from proxy.policy.model import Role, Rule
    from proxy.policy.yaml import Path

_PROVES: Final = frozenset({"accept", "require"})
"""Where a proof lets something pass; where one is recorded, nothing is proven yet."""


def doubtful_proofs(document: Document) -> Iterator[Problem]:
    """One for each role and rule whose word on proofs has no effect."""
    hanging: dict[Path, tuple[Rule, bool]] = {}
    for name, role in document.model.roles.items():
        if role.migrations is not None and (why := _migrates_nothing(role)):
            line = document.loaded.line(("roles", name, "migrations"))
            yield Problem(line, f'role "{name}" {why}, so no migration runs as it')
        proves = role.migrations is not None and role.migrations.proofs in _PROVES
        for path, rule in document.located_rules(name):
            if rule.when.proven is not None or rule.unless.proven is not None:
                _, is_proven = hanging.get(path, (rule, False))
                hanging[path] = rule, is_proven or proves
    for path, (rule, is_proven) in hanging.items():
        if not is_proven:
            yield Problem(
                document.loaded.line(path),
                f'rule "{rule.id}" hangs on a proof, but no role that has it says '
                '"migrations: {proofs: accept}" or "require": nothing is ever proven',
            )


def _migrates_nothing(role: Role) -> str:
    if role.login.refuse:
        return "can't log in"
    return "is read_only" if role.read_only else ""
