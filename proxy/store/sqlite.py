"""A store in one SQLite file: how it is guarded, opened and shared by processes.

The file is the owner's alone, in a folder where nobody else may put another one in its
place. WAL lets workers read while a command writes; it needs a local disk.
Next: `proxy.store.engine`.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import create_async_engine

from proxy.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

    from proxy.store_settings import StoreSettings

WRITES: Final = "pgwarden_writes"
"""Execution option of a connection whose transactions write."""
BUSY_S: Final = 5.0
"""How long a writer waits for another one. A change takes milliseconds."""
_TRY_AGAIN_S: Final = 0.05
FAILURES: Final = (sqlite3.Error,)
"""What goes wrong before SQLAlchemy wraps it."""
_PRAGMAS: Final = (
    "PRAGMA foreign_keys = ON",
    # A disabled identity stays so, even if the power fails: FULL, not WAL's NORMAL.
    "PRAGMA synchronous = FULL",
    # Functions in a schema that somebody else has made are not run.
    "PRAGMA trusted_schema = OFF",
)
FileMark = tuple[int, int] | None


def file_mark(settings: StoreSettings) -> FileMark:
    """What tells this file from another one of the same name; None without a file."""
    file = settings.file
    if file is None:
        return None
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def check_file(file: Path, *, make: bool = True) -> None:
    """Refuse a place that is not safe; make the file where there is none.

    Args:
        file: the store.
        make: whether a missing one is made; not where it has just vanished.

    Raises:
        ConfigError: with what to do.
    """
    try:
        _check_folder(file.parent)
        try:
            found = file.stat()
        except FileNotFoundError:
            if not make:
                raise
            # Through os.open, not a connection: SQLite would leave it to the umask.
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            found = file.stat()
    except OSError as error:
        raise ConfigError(
            f'the store "{file}" can\'t be opened: {reason_of(error)}'
        ) from error
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f'the store "{file}" is not a file')
    if found.st_mode & 0o077:
        raise ConfigError(
            f'others may read or write the store "{file}", which holds secrets',
            hint=f'chmod 600 "{file}"',
        )


def _check_folder(folder: Path) -> None:
    mode = folder.stat().st_mode
    if mode & 0o022:
        raise ConfigError(
            f'others may write to "{folder}", and so replace the store in it',
            hint=f'chmod go-w "{folder}"',
        )


def use_wal(file: Path) -> None:
    """Have the file keep a write-ahead log; blocks while others do the same.

    The switch, once for a file, does not wait for others by itself.

    Raises:
        sqlite3.Error: it is no SQLite file, or stays locked.
    """
    until = time.monotonic() + BUSY_S
    with closing(sqlite3.connect(_uri(file), timeout=BUSY_S, uri=True)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(_TRY_AGAIN_S)
            else:
                return


def engine(file: Path) -> AsyncEngine:
    """An engine on a file that is there."""
    made = create_async_engine(
        URL.create("sqlite+aiosqlite", database=_uri(file), query={"uri": "true"}),
        connect_args={"timeout": BUSY_S},
        hide_parameters=True,
        pool_size=1,
        max_overflow=4,
    )
    event.listen(made.sync_engine, "connect", _connected)
    event.listen(made.sync_engine, "begin", _begun)
    return made


def _uri(file: Path) -> str:
    """As SQLite writes it; https://www.sqlite.org/uri.html."""
    path = str(file).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    # mode=rw: a file that was removed must not come back empty.
    return f"file:{path}?mode=rw"


def _connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's
    # Transactions begin where we say so, not where the module guesses.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begun(connection: Connection) -> None:
    # IMMEDIATE: who begins by reading and writes later could not wait for another.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
