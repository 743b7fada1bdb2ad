"""An identity with a new password, and with two of them for a while.

Next: `proxy.cli.identity`.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from proxy.auth.identities import MAX_SECRETS, IdentityEntry, read_entry
from proxy.auth.secrets import SALT_LENGTH, make_secret, parse_secret
from proxy.errors import ConfigError
from proxy.store.identities import entry_values

if TYPE_CHECKING:
    from datetime import datetime

_OF_SECRETS = frozenset({"secret", "secrets", "old_secret_until"})


def with_password(
    entry: IdentityEntry,
    password: str,
    *,
    keeps_old: bool,
    old_until: datetime | None = None,
) -> IdentityEntry:
    """The entry with a new password in front of the one that was new before.

    Raises:
        ConfigError: it has two already, and neither ends by itself; or it has none.
    """
    known = entry.secret_texts()
    if not known and keeps_old:
        raise ConfigError(
            f'"{entry.name}" has no password: it comes in by certificate or token',
            hint="--now gives it one",
        )
    values = _without_secrets(entry)
    if not keeps_old:
        new = make_secret(password, salt=secrets.token_bytes(SALT_LENGTH))
        return read_entry({**values, "secret": new.encode()}, source="identity")
    if len(known) == MAX_SECRETS and entry.old_secret_until is None:
        raise ConfigError(
            f'"{entry.name}" has two passwords already',
            hint="--finish ends the old one; then rotate again",
        )
    latest = parse_secret(known[0])
    # Only one salt can be shown to who has yet to say which password it holds.
    new = make_secret(password, salt=latest.salt, iterations=latest.iterations)
    both = [new.encode(), known[0]]
    return read_entry(
        {**values, "secrets": both, "old_secret_until": old_until}, source="identity"
    )


def finished(entry: IdentityEntry) -> IdentityEntry:
    """The entry without the old one of its two passwords.

    Raises:
        ConfigError: it has one.
    """
    known = entry.secret_texts()
    if len(known) < MAX_SECRETS:
        raise ConfigError(
            f'"{entry.name}" has one password: there is nothing to finish'
        )
    return read_entry(
        {**_without_secrets(entry), "secret": known[0]}, source="identity"
    )


def _without_secrets(entry: IdentityEntry) -> dict[str, object]:
    values = entry_values(entry).items()
    return {key: value for key, value in values if key not in _OF_SECRETS}
