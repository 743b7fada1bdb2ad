"""Records first, then bytes: one write to the audit log for a turn of the event loop.

Every session with something to record puts itself on the list; at the end of the turn
all records go out in one append, and only then do the statements leave for Postgres. If
the append fails, the statements are refused instead. Next: `proxy.server.link`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog

from proxy.errors import AuditUnavailable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

T = TypeVar("T")

_log = structlog.get_logger("server")

OUTCOME_DELAY_S = 0.02
"""Outcomes announce nothing, so they may wait to share a write with a statement."""

PROBE_EVERY_S = 1.0
"""How often a log that can't be written is tried again when no statement comes."""


class Log(Protocol):
    """Where records go; `proxy.audit.writer.ChainWriter` is one."""

    @property
    def is_available(self) -> bool:
        """Whether the last append succeeded."""

    def append(self, fragments: Sequence[bytes], at: float, /) -> None:
        """Write all or none; raises AuditUnavailable."""

    def keep(self, fragments: Sequence[bytes], /) -> None:
        """Write these before anything else when it is back."""

    def close(self, at: float, /) -> None:
        """Write what is left, and end."""


class Committable(Protocol):
    """What takes part in a commit: a session with its connections."""

    is_listed: bool

    def take_records(self) -> list[bytes]:
        """The records to write, now."""

    def unrecorded(self) -> list[bytes]:
        """They could not be written: refuse, and say what to write when it is back."""

    def recorded(self) -> None:
        """They are written, or refused: let the bytes go."""

    def broken(self) -> None:
        """It failed at one of these, by a mistake of ours: forward nothing, end it."""


class Committer:
    """The list of the turn, and what an outage left behind."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        writer: Log,
        *,
        wall_clock: Callable[[], float],
    ) -> None:
        """Begin with an empty list.

        Args:
            loop: where the commits run.
            writer: the audit log; it also keeps what an outage left to be written.
            wall_clock: POSIX seconds.
        """
        self._loop = loop
        self._writer = writer
        self._wall_clock = wall_clock
        self._listed: list[Committable] = []
        self._is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._own: list[bytes] = []

    @property
    def is_available(self) -> bool:
        """Whether the last append succeeded."""
        return self._writer.is_available

    def soon(self, member: Committable) -> None:
        """Commit at the end of this turn: bytes are waiting for it."""
        if not member.is_listed:
            member.is_listed = True
            self._listed.append(member)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self.commit)

    def later(self, member: Committable) -> None:
        """Commit within `OUTCOME_DELAY_S`."""
        if not member.is_listed:
            member.is_listed = True
            self._listed.append(member)
        if self._timer is None and not self._is_due:
            self._timer = self._loop.call_later(OUTCOME_DELAY_S, self._fire)

    def record(self, fragment: bytes) -> None:
        """Write a record that no bytes wait for; it is kept if it can't be written."""
        self._own.append(fragment)
        if self._timer is None and not self._is_due:
            self._timer = self._loop.call_later(OUTCOME_DELAY_S, self._fire)

    def commit(self) -> None:
        """Write what is listed, then let each member go on."""
        self._is_due = False
        members = self._listed
        self._listed = []
        fragments = self._own
        own = len(fragments)
        self._own = []
        for member in members:
            fragments += member.take_records()
        try:
            self._writer.append(fragments, self._wall_clock())
        except AuditUnavailable:
            kept = fragments[:own]
            whole = []
            for member in members:
                records = _supervised(member, member.unrecorded)
                if records is not None:
                    kept += records
                    whole.append(member)
            members = whole
            self._writer.keep(kept)
            if self._timer is None:
                self._timer = self._loop.call_later(PROBE_EVERY_S, self._fire)
        for member in members:
            member.is_listed = False
            _supervised(member, member.recorded)

    def _fire(self) -> None:
        # A timer that a commit has overtaken is left to run out: to cancel it and set
        # another one each turn costs more than this look at an empty list.
        self._timer = None
        self.commit()

    def close(self) -> None:
        """Write what is left, then close the log."""
        self.commit()
        if self._timer is not None:
            self._timer.cancel()
        self._writer.close(self._wall_clock())


def _supervised(member: Committable, step: Callable[[], T]) -> T | None:
    """Take one member's step; a failure ends that member and nobody else."""
    try:
        return step()
    except Exception:  # noqa: BLE001 - the supervisor of sessions
        _log.exception("session_failed")
        member.broken()
        return None
