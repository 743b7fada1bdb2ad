"""Whether the settings have what the policy says of proofs of migrations.

`require` without them would refuse every migration, at somebody's deploy: it is an
error at the start. With `record` and `accept` sessions go by the rules alone, which is
what they did before; that is told. Next: `proxy.server.sources`, `proxy.cli.serve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.policy.evaluate import Policy
    from proxy.settings import Settings

_NEXT = (
    'give it (docs/reference/settings.md), or say "proofs: accept" until staging '
    "records proofs"
)


def check_proofs(path: Path, policy: Policy, settings: Settings) -> None:
    """What the policy requires must be there.

    Raises:
        ConfigError: it is not, or names a login that is not there.
    """
    for name in _roles(policy, "require"):
        missing = _missing(settings)
        if missing:
            raise ConfigError(
                f'{path}: role "{name}" has "proofs: require", so no migration of its '
                f"could run: the settings have no {missing}",
                hint=_NEXT,
            )


def not_followed(policy: Policy, settings: Settings) -> str:
    """Whose migrations are not followed, and why; "" where all are."""
    found = [
        (f'"{name}"', missing)
        for proofs in ("record", "accept", "require")
        for name in _roles(policy, proofs)
        if (missing := _missing(settings, signs=proofs == "record"))
    ]
    if not found:
        return ""
    roles = ", ".join(role for role, _ in found)
    lacking = " and no ".join(dict.fromkeys(missing for _, missing in found))
    return (
        f"migrations of {roles} go by the rules alone, nothing is recorded or proven: "
        f"the settings have no {lacking}"
    )


def _roles(policy: Policy, proofs: str) -> Iterator[str]:
    """The roles with this word on proofs that may log in."""
    for name in policy.roles:
        role = policy.role(name)
        if role.may_login and role.migrations and role.migrations.proofs == proofs:
            yield name


def _missing(settings: Settings, *, signs: bool = False) -> str:
    """The first thing that proofs need and that is not there, "" if all is."""
    if settings.migrations is None:
        return '"migrations"'
    if settings.store is None:
        return '"store"'
    if signs and settings.migrations.signing_key is None:
        return '"migrations.signing_key"'
    return ""
