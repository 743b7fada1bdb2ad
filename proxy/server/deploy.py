"""pgwarden's own connection for one run of migrations at one database.

It holds the lock that keeps other deploys out, for as long as it stands, and looks at
the schema and the position in the WAL. Everything is asked on a session of its own, so
nothing of a client's transaction is touched; and so it waits for what that transaction
has locked, which Postgres can't see as a deadlock. Therefore each wait has an end.
Next: `proxy.migrations.gates`, `proxy.server.restore_point`, `proxy.migrations.schema`.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import msgspec

from proxy.errors import GATE_UNSATISFIED, ConfigError, UnavailableError
from proxy.migrations.gates import shown
from proxy.migrations.schema import read
from proxy.server import deploy_lock
from proxy.server.catalogs import connect
from proxy.server.conversation import QueryError
from proxy.server.deploy_lock import Holder
from proxy.server.health import UpstreamError
from proxy.server.restore_point import restore_point
from proxy.session.wish import clean_application_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from proxy.migrations.gates import GateAnswer
    from proxy.migrations.schema import Scope, Snapshot
    from proxy.server.conversation import Conversation
    from proxy.server.dial import Dialler
    from proxy.session.upstream_plan import Place

POLL_S: Final = 0.2
"""Asking again holds nothing. Waiting inside of Postgres would hold a snapshot, and
CREATE INDEX CONCURRENTLY of the other deploy would wait for that."""
OPEN_WITHIN_S: Final = 20.0
ASK_WITHIN_S: Final = 5.0
"""For a question that Postgres answers out of its memory."""
LOCK_TIMEOUT_S: Final = 2.0
"""For one definition that somebody has locked; enough for whoever is committing."""
DIGEST_WITHIN_S: Final = 60.0
"""A schema of ten thousand tables takes some ten seconds."""
CLOSE_WITHIN_S: Final = 2.0
_LOCK_NOT_AVAILABLE: Final = "55P03"
_BEGIN: Final = """SELECT pg_catalog.json_build_object(
    'pid', pg_catalog.pg_backend_pid(), 'is_standby', pg_catalog.pg_is_in_recovery(),
    'set', (SELECT pg_catalog.json_agg(pg_catalog.set_config(s.name, w.value, false))
        FROM pg_catalog.pg_settings s JOIN (VALUES ('idle_session_timeout', '0'),
            ('tcp_keepalives_idle', '60'), ('tcp_keepalives_interval', '15'),
            ('tcp_keepalives_count', '4')) w(name, value) ON w.name = s.name))"""
"""A migration may run for hours, and this session sleeps meanwhile. If our machine is
gone, the server notices after two minutes and frees the lock; by itself it would take
two hours."""
_POSITION: Final = """SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'standby'
    ELSE pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text END"""
"""Not pg_current_wal_lsn: behind that one is what committed with synchronous_commit off
and is not written yet, and a restore to it would lose that."""


class DeployError(UnavailableError):
    """What a migration needs to know of the database can't be had now.

    The message is for whoever migrates, the note for the operator.
    """

    sqlstate = GATE_UNSATISFIED


class DigestError(DeployError):
    """The schema can't be read now, so no proof fits it."""


class _Begun(msgspec.Struct):
    pid: int
    is_standby: bool


class Deploy:
    """One run of migrations; `open` makes it, `close` gives everything back."""

    def __init__(
        self, session: Conversation, dialler: Dialler, *, database: str, pid: int
    ) -> None:
        """Take over a session that `open` has looked at."""
        self._session = session
        self._dialler = dialler
        self._database = database
        self._turn = asyncio.Lock()
        self._has_lock = False
        self._is_closed = False
        self.pid = pid

    @classmethod
    async def open(
        cls,
        dialler: Dialler,
        login: str,
        database: str,
        *,
        who: str,
        lost: Callable[[str], None],
    ) -> Self:
        """Connect, read-only.

        Args:
            dialler: reaches the upstream.
            login: may call pg_try_advisory_lock. The script of `pgwarden doctor` takes
                that from readers, so best the login of the role that migrates: whoever
                may not lock can't keep deploys out either.
            database: the one that is migrated.
            who: whose run it is: shown to whoever has to wait for it, and whose role it
                is upstream, if the login is of such.
            lost: called once, with the reason, when the connection ends without
                `close`; the lock is gone then. Must not block.

        Raises:
            DeployError: it can't be reached, or is a standby.
        """
        name = clean_application_name(f"pgwarden deploy {who}")
        try:
            async with asyncio.timeout(OPEN_WITHIN_S):
                session = await connect(
                    dialler, login, database, identity=who, application_name=name
                )
                try:
                    text = await session.value(_BEGIN)
                    begun = msgspec.json.decode(text, type=_Begun)
                except BaseException:
                    session.close()
                    raise
        except (
            *(UpstreamError, UnavailableError, ConfigError),
            *(QueryError, TimeoutError, msgspec.MsgspecError),
        ) as error:
            raise _no_connection(_note(error)) from error
        if begun.is_standby:
            session.close()
            raise DeployError(
                "pgwarden's own connection is to a standby: nothing is migrated there",
                hint='tell whoever runs pgwarden: its login there wants "primary" as '
                '"target_session_attrs"',
                operator_note=f'upstream login "{login}" led to a standby',
            )
        session.lost = lost
        if not session.is_alive:
            # It went before there was anybody to tell.
            session.close()
            raise _no_connection("it ended at once")
        return cls(session, dialler, database=database, pid=begun.pid)

    @property
    def is_alive(self) -> bool:
        """Whether the connection stands, as far as is known without asking.

        A machine that vanished is noticed only by asking: see `still_holds`.
        """
        return self._session.is_alive

    @property
    def place(self) -> Place | None:
        """Where it is; the session that migrates has to be at the same place."""
        return self._session.ready.place

    async def exclude_others(
        self, within_s: float, waiting: Callable[[str], None]
    ) -> GateAnswer:
        """Keep other deploys out of this database until `close`.

        Only those through a pgwarden: nobody else asks for the lock. Whoever of those
        that wait asks first when it is free has it.

        Args:
            within_s: how long another deploy may go on; 0 to wait for none.
            waiting: called once, in words, when there is something to wait for.
        """
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        has_told = False
        try:
            while not await self._locked():
                left_s = within_s - (loop.time() - began_s)
                if left_s <= 0:
                    return deploy_lock.taken(await self._holder(), within_s)
                if not has_told:
                    has_told = True
                    waiting(f"{(await self._holder()).in_words()}; waiting for its end")
                await asyncio.sleep(min(POLL_S, left_s))
        except DeployError as error:
            return deploy_lock.unknown(
                error.message, error.operator_note or error.message
            )
        return deploy_lock.ours(pid=self.pid, waited_s=loop.time() - began_s)

    async def still_holds(self) -> bool:
        """Ask the server whether the lock is still this connection's.

        False as well when nobody answers, and where a pooler has given the session
        another server process: ask before each change.
        """
        if not self._has_lock:
            return False
        try:
            return await self._value(deploy_lock.holds(self.pid)) == "t"
        except DeployError:
            return False

    async def digest(self, scope: Scope) -> Snapshot:
        """The schema as it is, as others see it: without what is not committed.

        Raises:
            DigestError: it can't be read, or somebody has locked some of it, such as
                the transaction of the client itself. Ask before it begins and after it
                has ended.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(DIGEST_WITHIN_S):
                    return await read(
                        self._session, scope, lock_timeout_s=LOCK_TIMEOUT_S
                    )
            except (
                QueryError,
                TimeoutError,
                ConfigError,
                msgspec.MsgspecError,
            ) as error:
                await self._roll_back()
                raise _digest_error(error) from error

    async def position(self) -> str:
        """Where the WAL stands, as "0/16B3748".

        Raises:
            DeployError: nobody answers, or the server has become a standby.
        """
        found = await self._value(_POSITION)
        if found == "standby":
            raise DeployError("the database has become a standby: it has no position")
        return found

    async def restore_point(self, login: str | None, name: str) -> GateAnswer:
        """Set a restore point; without a login for it, only note the position.

        Args:
            login: may call pg_create_restore_point.
            name: see `proxy.migrations.gates.restore_point_name`.
        """
        try:
            position = await self.position()
        except DeployError:
            position = ""
        return await restore_point(
            self._dialler, login, self._database, name=name, position=position
        )

    async def close(self) -> None:
        """Give the lock back and hang up; does nothing the second time.

        Other deploys can go on when it returns, unless the server does not answer.
        """
        session, self._has_lock = self._session, False
        if self._is_closed:
            return
        self._is_closed = True
        if session.is_busy:
            await self._cancel()
            return
        session.lost = lambda _: None
        try:
            if session.is_alive:
                with contextlib.suppress(QueryError, TimeoutError):
                    async with asyncio.timeout(CLOSE_WITHIN_S):
                        await session.ask(deploy_lock.UNLOCK)
        finally:
            session.close()

    async def _locked(self) -> bool:
        """Whether the lock is ours, now or already."""
        if self._has_lock:
            # Taken twice it would have to be given back twice.
            if await self.still_holds():
                return True
            raise DeployError("the connection that held the lock is gone")
        self._has_lock = await self._value(deploy_lock.TRY) == "t"
        return self._has_lock

    async def _holder(self) -> Holder:
        return msgspec.json.decode(await self._value(deploy_lock.HOLDER), type=Holder)

    async def _value(self, text: str) -> str:
        """What a short question gives.

        Raises:
            DeployError: nothing.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(ASK_WITHIN_S):
                    return await self._session.value(text)
            except QueryError as error:
                raise DeployError(shown(error.message)) from error
            except TimeoutError as error:
                raise DeployError(f"no answer within {ASK_WITHIN_S:g} s") from error

    async def _roll_back(self) -> None:
        """Leave the transaction that a failed look is in."""
        if self._session.is_busy:
            await self._cancel()
            return
        with contextlib.suppress(QueryError, TimeoutError):
            async with asyncio.timeout(ASK_WITHIN_S):
                await self._session.ask("ROLLBACK")

    async def _cancel(self) -> None:
        """Hang up in the middle of a query.

        The server notices only after it, and would keep the lock as long.
        """
        self._session.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._dialler.cancel(self._session.ready)


def _no_connection(note: str) -> DeployError:
    return DeployError(
        "pgwarden's own connection to the database fails",
        hint="try again; tell whoever runs pgwarden if it goes on",
        operator_note=note,
    )


def _digest_error(error: Exception) -> DigestError:
    if isinstance(error, QueryError) and error.sqlstate == _LOCK_NOT_AVAILABLE:
        return DigestError(
            "the schema can't be read: somebody has locked a table or view of it for "
            f"more than {LOCK_TIMEOUT_S:g} s",
            hint="try again when whoever alters it has committed",
        )
    return DigestError(
        "the schema can't be read now",
        hint="try again; tell whoever runs pgwarden if it goes on",
        operator_note=_note(error),
    )


def _note(error: Exception) -> str:
    """For the operator alone: it may name hosts."""
    note = error.note if isinstance(error, UpstreamError) else str(error)
    return shown(note) or "no answer in time"
