"""Where a session of a log stood: its address, its name and the time of each record.

As `proxy.session.surroundings` on the wire, but the time comes from the records, and
the application's name from what the log says of it. Next: `proxy.replay.follow`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from proxy.policy.situation import ALWAYS, Circumstances

if TYPE_CHECKING:
    from proxy.policy.situation import Situation, Situations
    from proxy.replay.records import Record

_FOREVER: Final = "9999"
"""Greater than the time of any record."""


class Standing:
    """The situation of one session, from record to record."""

    def __init__(self, situations: Situations, record: Record) -> None:
        self._situations = situations
        self._address = record.client_address
        self._application = record.application_name
        self._since = self._until = ""

    def moved(self, at: str) -> Situation | None:
        """The situation at the time of a record, if it may be another than before."""
        if self._since <= at < self._until:
            return None
        spell = self._situations.of(
            # No record says of a statement that it was proven.
            Circumstances(
                self._address, self._application, instant_of(at), proven=False
            )
        )
        self._since = at
        self._until = _FOREVER if spell.until == ALWAYS else _shown(spell.until)
        return spell.situation

    def rename(self, name: str) -> None:
        """The client calls itself otherwise from now on."""
        self._application = name
        self._until = ""


def circumstances_of(record: Record) -> Circumstances:
    """What a session's first record says of where it stands."""
    return Circumstances(
        record.client_address,
        record.application_name,
        instant_of(record.at),
        proven=False,
    )


def instant_of(at: str) -> float:
    """Seconds since the epoch, of the time of a record."""
    return datetime.fromisoformat(at).timestamp()


def _shown(instant: float) -> str:
    when = datetime.fromtimestamp(instant, UTC)
    return when.isoformat(timespec="microseconds")[:26] + "Z"
