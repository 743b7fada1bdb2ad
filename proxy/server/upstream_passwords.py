"""The passwords of pgwarden's own logins, as they stand when one is needed.

A file may have been replaced, a token may have expired, and nobody restarts pgwarden
for that. So a password is read for each login, and once more when the database refuses
it; the last one that worked is kept, as during a rotation either may be the right one.
Next: `proxy.server.dial`.
"""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog
from typing_extensions import override

from proxy.auth.pgpass import find_password
from proxy.errors import ConfigError, reason_of
from proxy.server.password_command import printed_by
from proxy.server.private_files import check_password_file
from proxy.server.upstream_users import resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from proxy.server.upstream_users import Key
    from proxy.settings_upstream import UpstreamLogin, UpstreamSettings

_log = structlog.get_logger("upstream")

MAX_FILE_BYTES: Final = 1024 * 1024
"""A .pgpass of ten thousand lines; nobody's password is longer."""
AGAIN_AFTER_S: Final = 1.0
"""A command runs no more often, however many logins fail at once."""

KEPT_FOR_S: Final = 60.0
"""A password that worked is tried so long after it was first refused: logins that run
while the role is altered may have met either one."""


class Where(NamedTuple):
    """What a login is for; a .pgpass has a password for each."""

    host: str
    port: int
    database: str
    user: str


class Passwords:
    """Where the password of each login comes from."""

    def __init__(
        self,
        settings: UpstreamSettings,
        keys: Iterable[Key],
        *,
        clock: Callable[[], float],
    ) -> None:
        """Look at each source, so that a mistake shows at once.

        Raises:
            ConfigError: with each file or variable that can't be read.
        """
        self._sources: dict[Key, _Source] = {}
        self._worked: dict[tuple[Key, Where | None], _Worked] = {}
        self._clock = clock
        problems: list[str] = []
        for key in keys:
            login = resolved(settings.logins[key.login], key.identity)
            try:
                self._sources[key] = _source_of(login, clock)
            except ConfigError as problem:
                problems.append(problem.message)
        if problems:
            raise ConfigError("\n".join(problems))

    @property
    def keys(self) -> tuple[Key, ...]:
        """The logins that have a source."""
        return tuple(self._sources)

    def __contains__(self, key: Key) -> bool:
        """Whether this login has a source."""
        return key in self._sources

    def adopt(self, other: Passwords) -> None:
        """Keep what the old ones knew to work."""
        for (key, where), worked in other._worked.items():
            if key in self._sources:
                self._worked[key, where] = worked

    async def current(self, key: Key, where: Where) -> str:
        """The password for a login, "" where none is needed.

        Raises:
            ConfigError: there is no way to have it, and none that has worked.
        """
        source = self._sources[key]
        kept = self._kept(key, where)
        try:
            found = await source.read(where)
        except ConfigError as problem:
            if kept is None:
                raise
            _log.warning("password_not_read", login=key.login, error=problem.message)
            return kept
        # A file that is just being written is empty for a moment.
        return found or kept or ""

    async def after(
        self, refused: str, key: Key, where: Where, *, since_s: float | None = None
    ) -> str | None:
        """Another password, now that the database refused this one; None if none.

        The same one where another login was let in with it after ours had begun
        (`since_s`, on the same clock): the role was altered in between.
        """
        try:
            found = await self._sources[key].read(where, is_stale=True)
        except ConfigError as problem:
            _log.warning("password_not_read", login=key.login, error=problem.message)
            found = refused
        # Looked at after the reading: others have logged in meanwhile.
        known = self._worked.get((key, self._sources[key].place(where)))
        is_right_by_now = False
        if known is not None and known.password == refused:
            is_right_by_now = since_s is not None and known.worked_s > since_s
            if not is_right_by_now:
                known.refused_s = min(known.refused_s, self._clock())
        if found not in {refused, ""}:
            return found
        if is_right_by_now:
            return refused
        kept = self._kept(key, where)
        return kept if kept != refused else None

    def _kept(self, key: Key, where: Where) -> str | None:
        """The last one that worked, unless it was refused some time ago."""
        known = self._worked.get((key, self._sources[key].place(where)))
        if known is None or self._clock() >= known.refused_s + KEPT_FOR_S:
            return None
        return known.password

    def worked(self, password: str, key: Key, where: Where) -> None:
        """The database took this one."""
        source = self._sources.get(key)
        if source is not None:
            self._worked[key, source.place(where)] = _Worked(password, self._clock())


class _Worked:
    """A password that the database took."""

    __slots__ = ("password", "refused_s", "worked_s")

    def __init__(self, password: str, worked_s: float) -> None:
        self.password = password
        self.worked_s = worked_s
        self.refused_s = float("inf")


class _Source(ABC):
    """Where one password comes from. Made only if it can be used as far as one sees."""

    @abstractmethod
    async def read(self, where: Where, *, is_stale: bool = False) -> str:
        """The password as it stands; `is_stale`: the last one given was refused.

        Raises:
            ConfigError: it can't be had.
        """

    def place(self, where: Where) -> Where | None:  # noqa: ARG002 - one overrides it
        """What the password depends on; None: on nothing."""
        return None


class _Fixed(_Source):
    """A variable of ours, which can't change, or no password at all."""

    def __init__(self, password: str) -> None:
        self._password = password

    @override
    async def read(self, where: Where, *, is_stale: bool = False) -> str:
        return self._password


class _File(_Source):
    """A file that holds one password."""

    def __init__(self, path: Path, user: str) -> None:
        self._path = path
        self._user = user
        self._text()

    @override
    async def read(self, where: Where, *, is_stale: bool = False) -> str:
        text = await asyncio.get_running_loop().run_in_executor(None, self._text)
        return self._found(text, where)

    def _found(self, text: str, where: Where) -> str:  # noqa: ARG002 - one overrides it
        return text.removesuffix("\n")

    def _text(self) -> str:
        return _text_of(self._path, self._user)


class _Pgpass(_File):
    """A file of many, in the format of libpq."""

    @override
    def place(self, where: Where) -> Where:
        return where

    @override
    def _found(self, text: str, where: Where) -> str:
        wanted = (where.host, str(where.port), where.database, where.user)
        return find_password(text, wanted) or ""

    @override
    def _text(self) -> str:
        check_password_file(self._path)
        return super()._text()


class _Command(_Source):
    """Run when there is nothing yet, when that is too old, and when it was refused."""

    def __init__(
        self, argv: tuple[str, ...], login: UpstreamLogin, clock: Callable[[], float]
    ) -> None:
        if not os.access(argv[0], os.X_OK):
            raise ConfigError(
                f'password command "{argv[0]}" of upstream user "{login.user}" is no '
                "program that can be run"
            )
        self._argv = argv
        self._login = login
        self._clock = clock
        self._busy = asyncio.Lock()
        self._value = ""
        self._ran_s = -float("inf")
        self._problem = ""

    @override
    async def read(self, where: Where, *, is_stale: bool = False) -> str:
        async with self._busy:
            # Whoever waited finds what the one before it got.
            age_s = self._clock() - self._ran_s
            useful_s = self._login.password_ttl_s
            if age_s >= (AGAIN_AFTER_S if is_stale or self._problem else useful_s):
                await self._run()
            if self._problem:
                raise ConfigError(self._problem)
            return self._value

    async def _run(self) -> None:
        try:
            self._value, self._problem = (
                await printed_by(self._argv, self._login.user),
                "",
            )
        except ConfigError as problem:
            self._problem = problem.message
        self._ran_s = self._clock()


def _source_of(login: UpstreamLogin, clock: Callable[[], float]) -> _Source:
    if login.password_command is not None:
        return _Command(login.password_command, login, clock)
    if login.password_pgpass is not None:
        return _Pgpass(login.password_pgpass, login.user)
    if login.password_file is not None:
        return _File(login.password_file, login.user)
    if login.password_env is None:
        return _Fixed("")
    value = os.environ.get(login.password_env)
    if value is None:
        raise ConfigError(
            f'environment variable "{login.password_env}" is not set; it holds '
            f'the password of upstream user "{login.user}"'
        )
    return _Fixed(value)


def _text_of(path: Path, user: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f'password file "{path}" of upstream user "{user}" can\'t be read: '
            f"{reason_of(error)}"
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f'password file "{path}" has over {MAX_FILE_BYTES:,} bytes')
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f'password file "{path}" is not UTF-8') from error
