"""What a gate answers: asked before the first change of a migration.

Only values; who asks a disk, a program or a server is `proxy.server.backup_gate`,
`proxy.server.deploy` and `proxy.server.restore_point`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

BACKUP: Final = "backup"
DEPLOY: Final = "deploy"
RESTORE_POINT: Final = "restore_point"
MOST_SHOWN: Final = 200
"""Characters of what somebody else said: a line that a person reads at a glance."""
MAX_RESTORE_POINT: Final = 63
"""Bytes of its name; Postgres refuses more (MAXFNAMELEN, xlog_internal.h)."""
_ID_SHOWN: Final = 12
_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_ESCAPE: Final = re.compile(
    # CSI and its 8-bit form; OSC, DCS and the like up to their end; any other pair.
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)


class GateState(StrEnum):
    """Only `SATISFIED` lets anything pass."""

    SATISFIED = "satisfied"
    UNSATISFIED = "unsatisfied"
    UNAVAILABLE = "unavailable"
    """Nobody can say; that is a no as well, and somebody else's to mend."""


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """What a gate found.

    Attributes:
        gate: which one: `BACKUP`, `DEPLOY` or `RESTORE_POINT`.
        state: whether it lets pass.
        detail: one line for the person who migrates; no path, address or argument.
        evidence: names and values for the audit record, for the operator alone.
    """

    gate: str
    state: GateState
    detail: str
    evidence: tuple[tuple[str, str], ...] = ()

    @property
    def is_satisfied(self) -> bool:
        """Whether it lets pass."""
        return self.state is GateState.SATISFIED


class BackupSource(Protocol):
    """Knows whether there is a fresh backup."""

    def check(self, database: str) -> Awaitable[GateAnswer]:
        """Look now. Never raises: what can't be known is unavailable."""
        ...


def shown(text: str) -> str:
    """What somebody else said, fit for a terminal and a record.

    Without escape sequences, control characters, and those that turn the direction of
    writing round; at most `MOST_SHOWN` characters.
    """
    plain = _ESCAPE.sub("", text)
    clean = "".join(each for each in plain if each.isprintable()).strip()
    if len(clean) <= MOST_SHOWN:
        return clean
    return clean[: MOST_SHOWN - 1] + "…"


def restore_point_name(proof_id: str, at: datetime) -> str:
    """The name of the restore point before a proven migration, 38 bytes at most.

    Args:
        proof_id: of the first migration of the run.
        at: now, in UTC. Postgres lets two have one name, and stops at the first: so
            the second belongs to it.

    Raises:
        ValueError: it is no id of a proof.
    """
    if not _ID.fullmatch(proof_id):
        raise ValueError(f"no id of a proof: {proof_id!r:.80}")
    return f"pgwarden-{proof_id[:_ID_SHOWN]}-{at:%Y%m%dT%H%M%SZ}"
