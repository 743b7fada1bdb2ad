"""The advisory lock that keeps two deploys apart: its key, and the questions about it.

Next: `proxy.server.deploy`, which asks.
"""

from __future__ import annotations

from typing import Final

import msgspec

from proxy.migrations.gates import DEPLOY, GateAnswer, GateState, shown

KEY: Final = "1885828961, 1919182190"
"""Two int4: "pgwa" and "rden" in ASCII. Postgres keeps locks of two int4 apart from
those of one int8, and one int8 is what Prisma (72707369), Rails, Flyway, golang-migrate
and goose take."""
TRY: Final = f"SELECT pg_catalog.pg_try_advisory_lock({KEY})"
UNLOCK: Final = "SELECT pg_catalog.pg_advisory_unlock_all()"
"""The session has no other; and this one however often it was taken, if any."""
_IS_OURS: Final = """l.locktype = 'advisory' AND l.granted
    AND l.classid = 1885828961 AND l.objid = 1919182190 AND l.objsubid = 2
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
        WHERE d.datname = pg_catalog.current_database())"""
_HOLDS: Final = """SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l
    WHERE l.pid = pg_catalog.pg_backend_pid() AND l.pid = {pid}
        AND l.mode = 'ExclusiveLock' AND {is_ours})"""
HOLDER: Final = """SELECT COALESCE((SELECT pg_catalog.json_build_object(
        'pid', l.pid, 'name', a.application_name, 'since', pg_catalog.to_char(
            a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'))
    FROM pg_catalog.pg_locks l
    LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
    WHERE {is_ours} LIMIT 1), '{}')""".replace("{is_ours}", _IS_OURS)


class Holder(msgspec.Struct):
    """Who has the lock; only what Postgres lets us see.

    Attributes:
        pid: of the server process; 0 if the lock was given back meanwhile.
        name: its application_name.
        since: when its connection began, in UTC.
    """

    pid: int = 0
    name: str | None = None
    since: str | None = None

    def in_words(self) -> str:
        """For whoever has to wait."""
        if not self.pid:
            return "another deploy holds this database"
        name = f'"{shown(self.name)}", ' if self.name else ""
        since = f" since {self.since} UTC" if self.since else ""
        return f"another deploy holds this database ({name}process {self.pid}{since})"


def holds(pid: int) -> str:
    """Whether the asking session has the lock and is still the server process `pid`."""
    return _HOLDS.replace("{pid}", str(pid)).replace("{is_ours}", _IS_OURS)


def ours(*, pid: int, waited_s: float) -> GateAnswer:
    """We have it."""
    return GateAnswer(
        DEPLOY,
        GateState.SATISFIED,
        "no other deploy runs",
        (("lock", KEY), ("pid", str(pid)), ("waited_s", f"{waited_s:.1f}")),
    )


def taken(holder: Holder, within_s: float) -> GateAnswer:
    """Somebody else has it."""
    waited = f" and did not end within {within_s:g} s" if within_s > 0 else ""
    found = {
        "lock": KEY,
        "held_by_pid": str(holder.pid or ""),
        "held_by": shown(holder.name or ""),
        "held_since": holder.since or "",
        "waited_s": f"{within_s:g}",
    }
    return GateAnswer(
        DEPLOY,
        GateState.UNSATISFIED,
        holder.in_words() + waited,
        tuple((key, value) for key, value in found.items() if value),
    )


def unknown(why: str, note: str) -> GateAnswer:
    """Nobody can say who has it."""
    return GateAnswer(
        DEPLOY,
        GateState.UNAVAILABLE,
        f"pgwarden can't keep other deploys out: {why}",
        (("lock", KEY), ("error", note)),
    )
