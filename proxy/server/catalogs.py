"""The catalog of each database in use: loaded, renewed, handed to the judges.

Loaded when a database's first session comes in, and looked at again on a schedule and
after each session that could have changed it. A database whose catalog can't be had is
judged strictly, as `pgwarden check` does without one. Next: `proxy.catalog.load`.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

import structlog

from proxy.catalog.load import fingerprint, load
from proxy.catalog.queries import SETTINGS
from proxy.catalog.resolve import Resolver
from proxy.errors import INVALID_CATALOG_NAME
from proxy.server.conversation import Conversation
from proxy.server.health import UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.metrics import Metrics
    from proxy.server.dial import Dialler
    from proxy.server.tasks import Tasks

_log = structlog.get_logger("catalog")

WAIT_S: Final = 5.0
"""A session's login waits for its database's first catalog so long."""
LOAD_S: Final = 120.0
MOST_AGE_S: Final = 3600.0
"""A catalog that could not be looked at for so long is not trusted any more."""
MOST_DATABASES: Final = 64
"""Shadow databases come with a new name each time; the longest unused is forgotten."""


class _Known:
    """What is known about one database."""

    def __init__(self) -> None:
        self.resolver: Resolver | None = None
        self.fingerprint = ""
        self.looked_s = 0.0
        self.first: asyncio.Task[None] | None = None
        self.has_failed = False
        self.busy = asyncio.Lock()


class Catalogs:
    """The catalogs of one worker."""

    def __init__(
        self,
        dialler: Dialler,
        *,
        tasks: Tasks,
        metrics: Metrics,
        clock: Callable[[], float],
        login: Callable[[], str | None],
    ) -> None:
        """Begin with none.

        Args:
            dialler: knows the upstream and pgwarden's own logins.
            tasks: where loading runs.
            metrics: counts loads.
            clock: monotonic seconds.
            login: names the login to ask with; None where no role has one.
        """
        self._dialler = dialler
        self._tasks = tasks
        self._metrics = metrics
        self._clock = clock
        self._login = login
        self._known: dict[str, _Known] = {}
        self._asked = asyncio.Event()
        self._stale: set[str] = set()
        self.changed: Callable[[str], None] = lambda _: None

    def resolver(self, database: str) -> Resolver | None:
        """The catalog of a database as it is known now."""
        known = self._known.get(database)
        if known is None or self._clock() - known.looked_s > MOST_AGE_S:
            return None
        return known.resolver

    def begin(self, database: str) -> asyncio.Task[None]:
        """Start to load a database's catalog, unless that was done before."""
        known = self._known.pop(database, None) or _Known()
        self._known[database] = known  # the last one used stands last
        if len(self._known) > MOST_DATABASES:
            forgotten = next(iter(self._known))
            del self._known[forgotten]
            # Nobody looks there any more: sessions that go on are judged strictly.
            self.changed(forgotten)
        if known.first is None:
            known.first = self._tasks.spawn(self._look(database, known))
        return known.first

    async def ready(self, loading: asyncio.Task[None]) -> None:
        """Wait until `begin` is done, but not for long."""
        if not loading.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    await asyncio.shield(loading)

    def may_have_changed(self, database: str) -> None:
        """A session that could change the schema is over: look at once."""
        if database in self._known:
            self._stale.add(database)
            self._asked.set()

    async def follow(self, every_s: float) -> None:
        """Look at each known database on a schedule and when asked, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(every_s):
                    await self._asked.wait()
            except TimeoutError:
                self._stale.update(self._known)
            self._asked.clear()
            stale, self._stale = self._stale, set()
            for database in sorted(stale):
                known = self._known.get(database)
                if known is not None:
                    await self._look(database, known)

    async def _look(self, database: str, known: _Known) -> None:
        """Look whether the catalog has changed, and load it if so."""
        async with known.busy:
            try:
                async with asyncio.timeout(LOAD_S):
                    result = await self._renew(database, known)
            except UpstreamError as error:
                if error.report.sqlstate == INVALID_CATALOG_NAME:
                    # A client's mistake, or a shadow database that is gone.
                    self._known.pop(database, None)
                else:
                    self._failed(database, known, error.note)
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, verdicts get strict
                # Neither may it end the loop that looks again, nor a client's login.
                self._failed(database, known, str(error) or type(error).__name__)
                return
            self._metrics.catalog_load(result)
            known.looked_s = self._clock()
            if known.has_failed:
                _log.warning("catalog_is_back", database=database)
            known.has_failed = False

    def _failed(self, database: str, known: _Known, reason: str) -> None:
        self._metrics.catalog_load("failed")
        if not known.has_failed:
            is_old = known.resolver is not None
            _log.error(
                "catalog_not_loaded",
                database=database,
                error=reason,
                judged="by the old catalog" if is_old else "strictly, without one",
            )
        known.has_failed = True
        if self.resolver(database) is None and known.resolver is not None:
            known.resolver = None
            self.changed(database)

    async def _renew(
        self, database: str, known: _Known
    ) -> Literal["loaded", "unchanged"]:
        async with await self._connect(database) as session:
            seen = await fingerprint(session)
            if seen == known.fingerprint and known.resolver is not None:
                return "unchanged"
            catalog = await load(session)
        # Views are parsed when they are first met; this takes milliseconds.
        known.resolver = Resolver(catalog)
        known.fingerprint = seen
        known.looked_s = self._clock()
        _log.info(
            "catalog_loaded",
            database=database,
            version=known.resolver.version,
            functions=len(catalog.functions),
            relations=len(catalog.relations),
        )
        self.changed(database)
        return "loaded"

    async def _connect(self, database: str) -> Conversation:
        login = self._login()
        if login is None:
            raise ConnectionError("the policy's roles use no upstream login")
        return await connect(self._dialler, login, database)


async def connect(
    dialler: Dialler,
    login: str,
    database: str,
    *,
    identity: str = "",
    application_name: str = "",
) -> Conversation:
    """A read-only session of pgwarden's own, begun as those of clients are.

    Args:
        dialler: reaches the upstream.
        login: the login's name in the settings.
        database: which one to open.
        identity: whose upstream role it is, if each has its own.
        application_name: what others see of it; printable ASCII, 63 characters.

    Raises:
        UpstreamError: the upstream can't be reached, or refuses the login.
        UnavailableError: there is no password for it.
    """
    settings = dict(SETTINGS)
    name = settings.pop("application_name")
    name = application_name or name
    plan = dialler.own_plan(login, database, identity=identity, is_read_only=True)
    return Conversation(
        await dialler.connect(
            replace(plan, application_name=name, settings=tuple(settings.items()))
        )
    )
