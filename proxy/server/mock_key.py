"""The key to the salts that unknown names are shown: it outlives a restart.

With a new key at each start, who asks before and after one would know every name whose
salt has stayed: those are real. So it is kept, in the store, or else beside the audit
log, in the one folder that pgwarden may always write to and that is its own.
Next: `proxy.auth.secrets.mock_secret`.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final

from proxy.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.settings import Settings

FILE: Final = ".mock-salt.key"
KEY_BYTES: Final = 32


def mock_key(settings: Settings) -> bytes:
    """The key of this pgwarden, made at its first start.

    Raises:
        ConfigError: it can't be kept.
        UnavailableError: the store can't be reached.
    """
    if settings.store is None:
        return _kept_in(settings.audit.folder)
    # Whoever has no store does not wait for its libraries.
    from proxy.server.store_now import mock_key_now  # noqa: PLC0415 - see above

    return mock_key_now(settings.store)


def _kept_in(folder: Path) -> bytes:
    path = folder / FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        found = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(
            f'audit folder "{folder}" can\'t be used: {error.strerror}'
        ) from error
    if len(found) != KEY_BYTES or mode & 0o077:
        raise ConfigError(
            f'the key "{path}" is damaged, or others may read it',
            hint="remove it: a new one is made at the next start",
        )
    return found


def _make(path: Path) -> None:
    """Whole or not at all, and only one of several that start at once."""
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(unfinished, path)
        except FileExistsError:
            return
    finally:
        unfinished.unlink()
