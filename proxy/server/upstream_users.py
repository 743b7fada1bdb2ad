"""Upstream logins with a Postgres role for each identity: `user: "pgw_{identity}"`.

Sessions of one role of Postgres see each other's statements in pg_stat_activity, and
may cancel and end each other; those of two plain roles can't. The name of an identity
becomes part of a role's name and of a file's, so it is held to letters that mean
nothing in either. Next: `proxy.server.dial`, which logs in with what is found here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from proxy.auth.identities import MAX_NAME_BYTES
from proxy.errors import ConfigError
from proxy.settings import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from proxy.auth.identities import Identities
    from proxy.policy.evaluate import Policy
    from proxy.settings import UpstreamLogin, UpstreamSettings

_FIT: Final = re.compile(r"[a-z0-9_][a-z0-9_.@+-]*")
"""Lower case only: unquoted, CREATE ROLE folds its name, and some file systems know no
case, so "Ana" and "ana" would meet. No letters beyond ASCII, of which several may look,
or be stored, the same. No slash, no dot at the front: it is a file's name as well."""


class Key(NamedTuple):
    """One login: its name in the settings, and for whom; "" where all share it."""

    login: str
    identity: str = ""


def resolved(login: UpstreamLogin, identity: str) -> UpstreamLogin:
    """The login of one identity; a shared one as it is.

    Raises:
        ConfigError: the identity's name can't be part of it.
    """
    if not login.is_per_identity:
        return login
    if not _FIT.fullmatch(identity):
        raise ConfigError(
            f'identity "{identity}" can\'t be put into upstream user "{login.user}": '
            "only lower-case letters, digits and _ . @ + - may be in it, and no dot or "
            "sign at the front"
        )
    user = login.user.replace(PLACEHOLDER, identity)
    if len(user.encode()) > MAX_NAME_BYTES:
        raise ConfigError(
            f'upstream user "{user}" has over {MAX_NAME_BYTES} bytes: Postgres would '
            "cut it short, and two identities could become one role"
        )
    file, variable = login.password_file, login.password_env
    return login.model_copy(
        update={
            "user": user,
            "password_file": file and Path(str(file).replace(PLACEHOLDER, identity)),
            "password_env": variable and variable.replace(PLACEHOLDER, identity),
        }
    )


def keys(
    settings: UpstreamSettings, policy: Policy, identities: Identities
) -> tuple[Key, ...]:
    """Every login that somebody may need, the shared ones first.

    Raises:
        ConfigError: with each identity whose name does not fit, or that would come in
            as another login's user.
    """
    found = [
        Key(name)
        for name, login in settings.logins.items()
        if not login.is_per_identity
    ]
    shared = len(found)
    found += _personal(settings, policy, identities)
    problems: list[str] = []
    if len(found) > shared and catalog_login(settings, policy) is None:
        problems.append(
            "every upstream login is one for each identity, and pgwarden needs one "
            "that is not, to ask the database for its catalog: add it to the logins"
        )
    taken = {settings.logins[key.login].user: key for key in found[:shared]}
    for key in found[shared:]:
        try:
            user = resolved(settings.logins[key.login], key.identity).user
        except ConfigError as problem:
            problems.append(problem.message)
            continue
        other = taken.setdefault(user, key)
        if other is not key:
            whose = f'identity "{other.identity}"' if other.identity else "all"
            problems.append(
                f'identity "{key.identity}" would log in upstream as "{user}", which '
                f'is the user of login "{other.login}" for {whose}'
            )
    if problems:
        raise ConfigError("\n".join(problems))
    return tuple(found)


def catalog_login(settings: UpstreamSettings, policy: Policy) -> str | None:
    """The login that asks a database for its catalog: a shared one, best a reader's."""
    if settings.catalog.login is not None:
        return settings.catalog.login
    roles = [policy.role(name) for name in policy.roles]
    roles = [role for role in roles if role.may_login]
    roles.sort(key=lambda role: not role.read_only)
    names = [role.upstream for role in roles]
    if names:
        names += settings.logins
    for name in names:
        login = settings.logins.get(name)
        if login is not None and not login.is_per_identity:
            return name
    return None


def _personal(
    settings: UpstreamSettings, policy: Policy, identities: Identities
) -> Iterator[Key]:
    for identity in identities:
        if identity.role not in policy.roles:
            continue
        for name in (identity.role, *_may_borrow(policy, identity.role)):
            role = policy.role(name)
            login = settings.logins.get(role.upstream) if role.may_login else None
            if login is not None and login.is_per_identity:
                yield Key(role.upstream, identity.name)


def _may_borrow(policy: Policy, own_role: str) -> list[str]:
    lent = policy.document.model.access.roles
    return [name for name, rules in lent.items() if own_role in rules.requesters]


def passwords(settings: UpstreamSettings, wanted: Iterable[Key]) -> dict[Key, str]:
    """The password of each login.

    Raises:
        ConfigError: with each one whose file or variable can't be read.
    """
    found: dict[Key, str] = {}
    problems: list[str] = []
    for key in wanted:
        login = resolved(settings.logins[key.login], key.identity)
        try:
            found[key] = login.password()
        except ConfigError as problem:
            problems.append(problem.message)
    if problems:
        raise ConfigError("\n".join(problems))
    return found
