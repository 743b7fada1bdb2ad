"""Policy and identities, read from their files at the start and again while serving.

Both are usable, or none is taken. Blocking, as the files are small and changes rare.
Next: `proxy.server.follow`, which notices changes, and `proxy.server.server`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from proxy.auth.identities import load_identities
from proxy.errors import ConfigError, reason_of
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.policy.patterns import nearest
from proxy.policy.yaml import load_yaml
from proxy.server.token_logins import token_problems
from proxy.server.upstream_users import keys

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.auth.identities import Identities
    from proxy.server.upstream_users import Key
    from proxy.settings import Settings, TlsSettings


class Sources(NamedTuple):
    """What one reading found; replaced as a whole."""

    policy: Policy
    identities: Identities
    keys: tuple[Key, ...]
    """The upstream logins that they need."""


def read_sources(settings: Settings) -> Sources:
    """Read policy and identities.

    Raises:
        ConfigError: one of them can't be used, or they do not go together.
    """
    policy = read_policy(settings.policy, settings)
    identities = read_identities(settings.identities)
    wrong = [
        f'{settings.identities}: identity "{identity.name}" has the role '
        f'"{identity.role}", which policy "{policy.name}" does not know'
        f"{nearest(identity.role, policy.roles)}"
        for identity in identities
        if identity.role not in policy.roles
    ]
    wrong += token_problems(settings, policy, identities)
    if wrong:
        # Fail closed anyway, but at that person's next login, to their surprise.
        raise ConfigError("\n".join(wrong))
    return Sources(policy, identities, keys(settings.upstream, policy, identities))


def source_paths(settings: Settings) -> list[Path]:
    """The files whose change calls for a reload; the certificate is one."""
    paths = [settings.policy, settings.identities]
    if settings.tls is not None:
        paths += settings.tls.files()
    return paths


def read_policy(path: Path, settings: Settings) -> Policy:
    """The policy in this file.

    Raises:
        ConfigError: it can't be read or used, or names an upstream login that the
            settings do not have.
    """
    policy = Policy(load(_read(path, "policy"), source=str(path)))
    known = settings.upstream.logins
    for name in policy.roles:
        role = policy.role(name)
        if role.may_login and role.upstream not in known:
            raise ConfigError(
                f'{path}: role "{name}" wants upstream login "{role.upstream}", which '
                f"the settings do not have (they have: {', '.join(known)})"
            )
    _check_reserved(path, policy, settings.limits.sessions)
    _check_logins(path, policy, settings.tls)
    return policy


def _check_logins(path: Path, policy: Policy, tls: TlsSettings | None) -> None:
    """What the login rules ask for must be to be had.

    Raises:
        ConfigError: it is not.
    """
    logins = policy.logins
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
