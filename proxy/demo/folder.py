"""Where a demo keeps its things: a throw-away folder, and the --data-dir if given.

What is asked to be kept (Postgres data, audit log, store, passwords) goes to the data
folder, everything else dies with the demo. Imports `privileges`. Next:
`proxy.demo.run`.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final, Self

from proxy.demo import privileges
from proxy.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from pathlib import Path

_STATE: Final = "demo.json"
_STATE_VERSION: Final = 1
_LENGTH: Final = 18  # 24 characters that need no quoting in a URL or a shell


def _password() -> str:
    return secrets.token_urlsafe(_LENGTH)


@dataclass(frozen=True, slots=True)
class Passwords:
    """Every secret of one demo; throw-away ones, made for it alone."""

    superuser: str = field(default_factory=_password, repr=False)
    reader: str = field(default_factory=_password, repr=False)
    migrator: str = field(default_factory=_password, repr=False)
    developer: str = field(default_factory=_password, repr=False)
    deployer: str = field(default_factory=_password, repr=False)
    auditor: str = field(default_factory=_password, repr=False)
    writer: str = field(default_factory=_password, repr=False)
    lead: str = field(default_factory=_password, repr=False)


class DemoFolder:
    """The folders of one demo, as a context manager.

    Attributes:
        scratch: Ours and gone at the end: configuration, password files, logs.
        kept: The --data-dir, or `scratch`.
    """

    def __init__(self, data_dir: Path | None) -> None:
        self._data_dir = data_dir
        self._lock = -1
        self.account = privileges.unprivileged_account()
        self.scratch = privileges.temporary_folder("pgwarden-demo-", self.account)
        self.kept = self.scratch
        self.passwords = Passwords()

    @property
    def audit(self) -> Path:
        """The audit log's folder."""
        return self.kept / "audit"

    @property
    def store(self) -> Path:
        """The file of the store: who may log in, and what is lent."""
        return self.kept / "store" / "pgwarden.db"

    @property
    def postgres(self) -> Path:
        """The embedded Postgres' data."""
        return self.kept / "postgres"

    def __enter__(self) -> Self:
        try:
            if self._data_dir is not None:
                self._open_kept(self._data_dir)
            for place in (self.audit, self.store.parent):
                place.mkdir(mode=0o700, exist_ok=True)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def secret_file(self, name: str, text: str) -> Path:
        """Write a file in `scratch` that only we can read."""
        path = self.scratch / name
        write_private(path, text)
        return path

    def _open_kept(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.kept = folder.resolve()
            self._lock = os.open(self.kept, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise ConfigError(
                f'can\'t use "{folder}" as data folder: {reason_of(error)}'
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f'another demo is using "{folder}"') from None
        state = self.kept / _STATE
        if state.exists():
            self.passwords = _read_state(state)
            self._write_state(state)
            return
        if any(self.kept.iterdir()):
            raise ConfigError(
                f'"{folder}" holds other things than a demo\'s data',
                hint="name a new or an empty folder",
            )
        self._write_state(state)

    def _write_state(self, state: Path) -> None:
        # Again for a folder of an earlier version, which knew fewer passwords.
        content = {"version": _STATE_VERSION, "passwords": asdict(self.passwords)}
        write_private(state, json.dumps(content, indent=2) + "\n")


def _read_state(state: Path) -> Passwords:
    try:
        content = json.loads(state.read_text("utf-8"))
        if content["version"] != _STATE_VERSION:
            raise ConfigError(f'"{state}" was written by another version of pgwarden')
        return Passwords(**content["passwords"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f'"{state}" is damaged', hint="name a new folder") from error


def write_private(path: Path, text: str) -> None:
    """Write a file, 0600 and whole or not at all: others never see half of it.

    Raises:
        ConfigError: it can't be written there.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f'can\'t write "{path}": {reason_of(error)}') from error
