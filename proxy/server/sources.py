"""Policy and identities, read at the start and again while serving.

Of files, both are usable or none is taken: somebody will look at what was just written.
Of a store, who does not fit is left out and everybody else counts: one row must not
keep another from being disabled. Blocking, as files are small and changes rare.
Next: `proxy.server.follow`, which notices changes, and `proxy.server.reload`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from proxy.auth.identities import Identities, identity_of, load_identities
from proxy.errors import ConfigError, reason_of
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.policy.patterns import nearest
from proxy.policy.yaml import load_yaml
from proxy.server.proof_settings import check_proofs
from proxy.server.token_logins import token_problem
from proxy.server.upstream_users import keys

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.auth.identities import Identity
    from proxy.server.upstream_users import Key
    from proxy.settings import Settings
    from proxy.store.identities import Roll


class Sources(NamedTuple):
    """What one reading found; replaced as a whole."""

    policy: Policy
    identities: Identities
    keys: tuple[Key, ...]
    """The upstream logins that they need."""
    problems: tuple[str, ...] = ()
    """Who was left out of what a store holds, one line each."""


def read_sources(settings: Settings, roll: Roll | None = None) -> Sources:
    """Read policy and identities.

    Args:
        settings: say where they are.
        roll: what the store holds, where that was read already.

    Raises:
        ConfigError: one of them can't be used, or they do not go together.
        UnavailableError: the store can't be read.
    """
    policy = read_policy(settings.policy, settings)
    if settings.identities is None:
        return with_roll(settings, policy, roll or _roll_now(settings))
    identities = read_identities(settings.identities)
    wrong = [
        f'{settings.identities}: identity "{identity.name}" has the role '
        f'"{identity.role}", which policy "{policy.name}" does not know'
        f"{nearest(identity.role, policy.roles)}"
        for identity in identities
        if identity.role not in policy.roles
    ]
    wrong += [
        f"{settings.identities}: {problem}"
        for identity in identities
        if (problem := token_problem(settings, identity))
    ]
    if wrong:
        # Fail closed anyway, but at that person's next login, to their surprise.
        raise ConfigError("\n".join(wrong))
    return Sources(policy, identities, keys(settings.upstream, policy, identities))


def with_roll(settings: Settings, policy: Policy, roll: Roll) -> Sources:
    """What the store holds under this policy, without whoever does not fit."""
    problems = list(roll.problems)
    fit: list[Identity] = []
    for identity in map(identity_of, roll.entries):
        problem = _misfit(settings, policy, [identity])
        if problem:
            problems.append(f"store: {problem}")
        else:
            fit.append(identity)
    if _misfit(settings, policy, fit):
        # Two of them would be one role upstream: whose name sorts first is it.
        alone: list[Identity] = []
        for identity in fit:
            problem = _misfit(settings, policy, [*alone, identity])
            if problem:
                problems.append(f"store: {problem}")
            else:
                alone.append(identity)
        fit = alone
    identities = Identities(fit)
    found = keys(settings.upstream, policy, identities)
    return Sources(policy, identities, found, tuple(problems))


def _misfit(settings: Settings, policy: Policy, some: list[Identity]) -> str:
    """What keeps these from being served together; "" if nothing does."""
    for identity in some:
        if identity.role not in policy.roles:
            return (
                f'identity "{identity.name}" has the role "{identity.role}", which '
                f'policy "{policy.name}" does not know'
                f"{nearest(identity.role, policy.roles)}"
            )
        if problem := token_problem(settings, identity):
            return problem
    try:
        keys(settings.upstream, policy, Identities(some))
    except ConfigError as problem:
        return problem.message
    return ""


def _roll_now(settings: Settings) -> Roll:
    if settings.store is None:
        raise ConfigError('the settings name neither "identities" nor a "store"')
    # Whoever has no store does not wait for its libraries.
    from proxy.server.store_now import roll_now  # noqa: PLC0415 - see above

    return roll_now(settings.store)


def source_paths(settings: Settings) -> list[Path]:
    """The files whose change calls for a reload; the certificate is one."""
    paths = [settings.policy]
    if settings.identities is not None:
        paths.append(settings.identities)
    if settings.tls is not None:
        paths += settings.tls.files()
    return paths


def read_policy(path: Path, settings: Settings) -> Policy:
    """The policy in this file.

    Raises:
        ConfigError: it can't be read or used, or asks for something that the settings
            do not have: an upstream login, TLS, proofs.
    """
    policy = Policy(load(_read(path, "policy"), source=str(path)))
    known = settings.upstream.logins
    for name in policy.roles:
        role = policy.role(name)
        is_lent = name in policy.document.model.access.roles
        # A role that is only lent needs its login once somebody borrows it.
        if role.may_login and role.upstream not in known and not is_lent:
            raise ConfigError(
                f'{path}: role "{name}" wants upstream login "{role.upstream}", which '
                f"the settings do not have (they have: {', '.join(known)})"
            )
    _check_reserved(path, policy, settings.limits.sessions)
    _check_logins(path, policy, settings)
    check_proofs(path, policy, settings)
    return policy


def _check_logins(path: Path, policy: Policy, settings: Settings) -> None:
    """What the login rules ask for must be to be had.

    Raises:
        ConfigError: it is not.
    """
    logins, tls = policy.logins, settings.tls
    for name, rule in logins.issuers.items():
        if name not in settings.issuers:
            raise ConfigError(
                f'{path}: rule "{rule}" names issuer "{name}", which the settings do '
                f"not have{nearest(name, settings.issuers)}"
            )
    if logins.bound and tls is None:
        raise ConfigError(
            f'{path}: login rule "{logins.bound}" demands channel binding, which needs '
            'TLS: the settings have no "tls"'
        )
    if logins.issuers and tls is None:
        rule = next(iter(logins.issuers.values()))
        raise ConfigError(
            f'{path}: login rule "{rule}" takes tokens, over TLS only: the settings '
            'have no "tls"'
        )
    if logins.by_certificate and (tls is None or tls.client_ca is None):
        raise ConfigError(
            f'{path}: login rule "{logins.by_certificate}" asks for a client '
            'certificate: the settings have no "tls.client_ca"'
        )


def _check_reserved(path: Path, policy: Policy, sessions: int) -> None:
    """Somebody has to find a place beside those that are reserved.

    Raises:
        ConfigError: nobody does.
    """
    reserved = {
        name: policy.limits_of(name).reserved_slots
        for name in policy.roles
        if policy.limits_of(name).reserved_slots
    }
    if sum(reserved.values()) >= sessions:
        named = ", ".join(f"{name}: {count}" for name, count in reserved.items())
        raise ConfigError(
            f"{path}: reserved_slots ({named}) leave no place for anybody else: the "
            f'settings have "limits.sessions: {sessions}"'
        )


def read_identities(path: Path) -> Identities:
    """The identities in this file.

    Raises:
        ConfigError: it can't be read or used.
    """
    loaded = load_yaml(_read(path, "identities"), source=str(path))
    value = loaded.value
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: the document must be a mapping of keys to values")
    return load_identities(value, source=str(path))


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(
            f'{what} file "{path}" can\'t be read: {reason_of(error)}'
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f'{what} file "{path}" is not UTF-8') from error
