"""Which kind of server a session wants: libpq's target_session_attrs. Pure.

Decided by what the server reports of itself during the login (PostgreSQL 14 and newer:
in_hot_standby, default_transaction_read_only), so nothing is asked on a client's
connection. Next: `proxy.server.upstream_hosts`.
https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from proxy.session.upstream_plan import READ_ONLY

if TYPE_CHECKING:
    from collections.abc import Mapping

IN_HOT_STANDBY: Final = "in_hot_standby"


class Target(StrEnum):
    """libpq's words."""

    ANY = "any"
    READ_WRITE = "read-write"
    READ_ONLY = "read-only"
    PRIMARY = "primary"
    STANDBY = "standby"
    PREFER_STANDBY = "prefer-standby"


class Kind(NamedTuple):
    """What a server said it is; None where it said nothing.

    Attributes:
        is_standby: it is in recovery.
        is_read_only: its transactions are read-only unless they say otherwise.
    """

    is_standby: bool | None
    is_read_only: bool | None

    @classmethod
    def of(cls, reported: Mapping[str, str], *, is_ours: bool) -> Self:
        """What a server has reported.

        Args:
            reported: its ParameterStatus.
            is_ours: pgwarden itself asked for read-only transactions, so that the
                report says nothing of the server.
        """
        standby, read_only = (
            value == "on" if (value := reported.get(name)) in {"on", "off"} else None
            for name in (IN_HOT_STANDBY, READ_ONLY)
        )
        return cls(standby, False if is_ours else read_only)

    def suits(self, target: Target) -> bool:
        """Whether a session that wants `target` may be here; the unknown does not."""
        if target is Target.READ_WRITE:
            return self.is_standby is False and self.is_read_only is False
        if target is Target.READ_ONLY:
            return self.is_standby is True or self.is_read_only is True
        if target is Target.PRIMARY:
            return self.is_standby is False
        if target is Target.STANDBY:
            return self.is_standby is True
        return True


def passes(target: Target) -> tuple[Target, ...]:
    """What to look for among all hosts, one after the other."""
    if target is Target.PREFER_STANDBY:
        return Target.STANDBY, Target.ANY
    return (target,)
