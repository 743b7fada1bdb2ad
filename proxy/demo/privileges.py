"""Running a server that refuses to run as root: which account, and what it can reach.

No user is added, no existing folder is opened up. What the account can't reach is
copied (binaries) or handed over as an open folder (data, see `proxy.demo.postgres`).
Standard library only. Next: `proxy.demo.binaries`.
"""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

from proxy.errors import ConfigError

# initdb wants an account with a name (get_user_name), so a free uid will not do.
_SHARED_TEMPORARY: Final = ("/tmp", "/var/tmp")  # noqa: S108 - mkdtemp makes it safe
_UNPRIVILEGED: Final = ("nobody", "daemon", "bin")


class PopenAccount(TypedDict, total=False):
    """The arguments of subprocess.Popen that switch the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """An account that holds no privileges."""

    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> PopenAccount:
        """Switch uid and gid, and drop every supplementary group."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def unprivileged_account() -> Account | None:
    """The account to drop to when we are root, else None: we stay who we are.

    Raises:
        ConfigError: root, and the system has none of the usual accounts.
    """
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise ConfigError(
        "postgres does not run as root, and there is no account to drop to "
        f"(looked for {', '.join(_UNPRIVILEGED)})",
        hint="run it as an ordinary user",
    )


def can_enter(folder: Path, account: Account | None) -> bool:
    """Whether `account` may pass through `folder` and everything above it."""
    if account is None:
        return True
    real = folder.resolve()
    return all(_grants_search(part, account) for part in (real, *real.parents))


def _grants_search(folder: Path, account: Account) -> bool:
    status = folder.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def temporary_folder(prefix: str, account: Account | None) -> Path:
    """A new folder of ours that `account` may pass through (not list).

    Raises:
        ConfigError: no temporary folder is reachable for the account.
    """
    for place in (tempfile.gettempdir(), *_SHARED_TEMPORARY):
        if Path(place).is_dir() and can_enter(Path(place), account):
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place)).resolve()
            if account is not None:
                folder.chmod(0o711)
            return folder
    raise ConfigError(
        "no temporary folder that an unprivileged account can reach",
        hint="set TMPDIR to one, such as /tmp",
    )


def hand_over(path: Path, account: Account | None) -> None:
    """Give a path of ours to the account."""
    if account is not None:
        os.chown(path, account.uid, account.gid)
