"""Identities in a YAML file, for the commands: comments and order stay as they are.

The file is changed under a lock, written beside and renamed, so that a server that
follows it never reads half of it. Next: `proxy.auth.identities`, which says its shape.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from proxy.auth.identities import IdentitiesDocument, load_identities
from proxy.cli.document_edit import edited
from proxy.cli.roster import Uses
from proxy.errors import ConfigError, reason_of
from proxy.policy.yaml import load_yaml
from proxy.store.identities import Roll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from proxy.cli.roster import Entries
    from proxy.store.engine import Change
    from proxy.store.history import Event
    from proxy.store_settings import StoreSettings


class FileRoster:
    """One identities document."""

    def __init__(
        self,
        path: Path,
        store: StoreSettings | None,
        check: Callable[[Entries, Entries], None],
    ) -> None:
        """Name the file; `store` keeps the history, where there is one."""
        self._path = path
        self._store = store
        self._check = check

    @property
    def place(self) -> str:
        """Its path."""
        return str(self._path)

    def read(self) -> Roll:
        """Everybody."""
        return Roll(tuple(_entries(self._text(), self.place).values()))

    def uses(self) -> Uses:
        """When they last came in; a file does not know."""
        if self._store is None:
            return Uses()
        from proxy.cli.roster_store import uses_now  # noqa: PLC0415 - with a store

        return uses_now(self._store)

    def history(self, name: str) -> list[Event]:
        """What was changed; a file does not know."""
        if self._store is None:
            raise ConfigError(
                "a file keeps no history: the audit log has the server's view of it",
                hint='with "store" in the settings there is one',
            )
        from proxy.cli.roster_store import history_now  # noqa: PLC0415 - with a store

        return history_now(self._store, name)

    def change(
        self, changes: Sequence[Change], edit: Callable[[Entries], Entries]
    ) -> None:
        """Change what `edit` changes, one command at a time."""
        real = self._path.resolve()
        with _alone(real.parent):
            text = self._text()
            before = _entries(text, self.place)
            after = edit(dict(before))
            self._check(before, after)
            if after != before:
                _replace(real, self._edited(text, before, after))
        if self._store is not None:
            from proxy.cli.roster_store import note_now  # noqa: PLC0415 - with a store

            note_now(self._store, changes)

    def _text(self) -> str:
        try:
            return self._path.read_text("utf-8")
        except OSError as error:
            raise ConfigError(
                f'identities file "{self._path}" can\'t be read: {reason_of(error)}'
            ) from error
        except UnicodeDecodeError as error:
            raise ConfigError(f'identities file "{self._path}" is not UTF-8') from error

    def _edited(self, text: str, before: Entries, after: Entries) -> str:
        made = edited(text, before, after)
        # Whatever the writer made of it: it must read back as what was meant.
        if _entries(made, self.place) != after:
            raise ConfigError(
                f'"{self._path}" can\'t be changed without harm; edit it by hand',
                hint="one identity an item of the list, one key a line",
            )
        return made


def _entries(text: str, source: str) -> Entries:
    value = load_yaml(text, source=source).value
    if not isinstance(value, dict):
        raise ConfigError(f"{source}: the document must be a mapping of keys to values")
    load_identities(value, source=source)  # says all that is wrong, with its place
    document = IdentitiesDocument.model_validate(value)
    return {entry.name: entry for entry in document.identities}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other command changes a file here meanwhile; an editor is not held back."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigError(f'"{folder}" can\'t be used: {reason_of(error)}') from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """Put the new text in the old one's place: same mode, same owner, at once."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        old = path.stat()
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), old.st_mode & 0o777)
                if os.geteuid() == 0:
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f'can\'t write "{path}": {reason_of(error)}') from error
