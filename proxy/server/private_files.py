"""Files that hold secrets: nobody else may read them, by the rules of libpq.

Next: `proxy.server.upstream_tls`, `proxy.server.upstream_passwords`.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

from proxy.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from pathlib import Path

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_OF_ROOT: Final = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
"""A key that root owns may be read by one group, as Debian's are
(initialize_SSL in fe-secure-openssl.c)."""


def check_key_file(path: Path) -> None:
    """Refuse a private key that others may read.

    Raises:
        ConfigError: they may, or it is no file that can be read.
    """
    _check(path, "TLS key", of_root=_OTHERS_OF_ROOT)


def check_password_file(path: Path) -> None:
    """Refuse a .pgpass that group or others have access to.

    Raises:
        ConfigError: they have, or it is no file that can be read.
    """
    _check(path, "password file", of_root=_OTHERS)


def _check(path: Path, what: str, *, of_root: int) -> None:
    try:
        with path.open("rb"):
            status = path.stat()
    except OSError as error:
        raise ConfigError(
            f'{what} "{path}" can\'t be read: {reason_of(error)}'
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f'{what} "{path}" is not a plain file')
    if status.st_mode & (of_root if status.st_uid == 0 else _OTHERS):
        raise ConfigError(
            f'{what} "{path}" may be read by others', hint=f'chmod 600 "{path}"'
        )
