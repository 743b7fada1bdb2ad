"""What can only be found out by trying: the two locks, and a pooler on the way.

Nothing here can leave anything behind. The one statement that would write touches no
row and fires no trigger; tables of the user's are only locked, without waiting, in a
transaction that is rolled back.
Next: `proxy.doctor.examine`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.doctor.findings import finding
from proxy.doctor.quoting import one_line
from proxy.server.conversation import Conversation, QueryError
from proxy.server.health import UpstreamError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.doctor.findings import Finding, Login

WRITE: Final = "DELETE FROM pg_catalog.pg_am WHERE false"
"""Fires no trigger, as a catalog has none, and touches no row. Postgres looks at the
transaction before it looks at privileges (standard_ExecutorStart in execMain.c:
ExecCheckXactReadOnly, then InitPlan): 25006 is lock (b), 42501 is lock (c)."""
READ_ONLY_TRANSACTION: Final = "25006"
INSUFFICIENT_PRIVILEGE: Final = "42501"
LOCK_NOT_AVAILABLE: Final = "55P03"
MOST_TABLES: Final = 20
"""Tables of the user's that are tried; privileges on all others are looked up."""
BACKEND: Final = "SELECT pg_catalog.pg_backend_pid()"
_ROUNDS: Final = 5
"""Of the look for a pooler: one that goes round its backends shows itself in these."""

_TABLES: Final = f"""
    SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p')
      AND n.nspname !~ '^(pg_|information_schema$)'
      AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
    ORDER BY c.oid LIMIT {MOST_TABLES}
"""


async def refusal_of(session: Conversation, text: str) -> str:
    """The SQLSTATE with which Postgres refuses this, "" where it does not.

    Raises:
        QueryError: the connection is gone.
    """
    try:
        await session.ask(text)
    except QueryError as error:
        if error.sqlstate.startswith("08"):
            raise
        return error.sqlstate
    return ""


async def lock_b(session: Conversation, login: Login, database: str) -> Finding | None:
    """Whether a session begun as pgwarden begins it refuses to write."""
    sqlstate = await refusal_of(session, WRITE)
    if sqlstate == READ_ONLY_TRANSACTION:
        return None
    said = f"refused with {sqlstate} instead" if sqlstate else "not refused"
    return finding(
        "lock-b",
        login,
        database=database,
        detail=f"a write was {said}; a read-only session refuses it with 25006",
    )


async def lock_c(session: Conversation, login: Login, database: str) -> Finding | None:
    """Whether Postgres refuses a write for want of a privilege, and for no other."""
    await session.ask(
        "BEGIN READ WRITE; SET LOCAL search_path = ''; SET LOCAL lock_timeout = '1s'"
    )
    try:
        open_to_it = []
        await session.ask("SAVEPOINT probe")
        sqlstate = await refusal_of(session, WRITE)
        if sqlstate != INSUFFICIENT_PRIVILEGE:
            open_to_it.append("pg_catalog.pg_am")
        await session.ask("ROLLBACK TO probe")
        for table in (await session.ask(_TABLES)).rows:
            # This mode wants a privilege to write, which is looked at before the lock
            # (LockTableAclCheck in lockcmds.c). No code of the user's runs.
            lock = f"LOCK TABLE ONLY {table} IN ROW EXCLUSIVE MODE NOWAIT"
            if await refusal_of(session, lock) in {"", LOCK_NOT_AVAILABLE}:
                open_to_it.append(one_line(table or ""))
            await session.ask("ROLLBACK TO probe")
    finally:
        await session.ask("ROLLBACK")
    if not open_to_it:
        return None
    return finding("lock-c", login, objects=open_to_it, database=database)


async def pooler(
    session: Conversation,
    another: Callable[[], Awaitable[Conversation]],
    login: Login,
    database: str,
) -> Finding | None:
    """Whether two sessions at once may meet in one backend.

    Args:
        session: the first, idle.
        another: begins a second one.
        login: whose sessions.
        database: where.
    """
    try:
        why = await _why_pooled(session, another)
    except (QueryError, UpstreamError) as error:
        said = error.note if isinstance(error, UpstreamError) else error.message
        return finding(
            "not-checked",
            login,
            objects=["a pooler on the way"],
            detail=one_line(said),
            database=database,
        )
    if why:
        return finding("pooler", login, database=database, detail=why)
    if str(session.ready.pid) != await session.value(BACKEND):
        return finding("between", login, database=database)
    return None


async def _why_pooled(
    session: Conversation, another: Callable[[], Awaitable[Conversation]]
) -> str:
    first = await session.value(BACKEND)
    async with await another() as second:
        for _ in range(_ROUNDS):
            try:
                # While it is in a transaction, even a transaction pooler leaves it be.
                await second.ask("BEGIN")
                other = await second.value(BACKEND)
                again = await session.value(BACKEND)
                await second.ask("ROLLBACK")
            except QueryError as error:
                return f"a transaction is refused: {one_line(error.message)}"
            if other == first:
                return "two sessions at once have the same backend"
            if again != first:
                return "a session's backend changed between two statements"
    return ""
