"""Who may try to log in, how long a wrong answer waits, and what is told of it.

One for each worker: with several, an attacker has the bounds of each. Nothing here
waits; delays are timers of the event loop. Next: `proxy.auth.throttle` (the counting),
`proxy.server.unfinished` (the places), `proxy.server.refused_logins` (the telling).
"""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import TYPE_CHECKING, Final

from proxy.auth.throttle import Bounds, Throttle
from proxy.errors import TOO_MANY_CONNECTIONS, ErrorReport
from proxy.server.refused_logins import RefusedLogins
from proxy.server.unfinished import Seat, Unfinished

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.auth.throttle import Place, Reason
    from proxy.metrics import Metrics
    from proxy.server.committer import Committer
    from proxy.settings import LimitSettings

DELAYED_OF_ADDRESS: Final = 10
"""Answers that wait, for one address; those beyond are given at once. The address has
its places for the others behind it, and its bound holds without a delay too."""
DELAYED_SHARE: Final = 4
"""At most one in so many of all places is taken by an answer that waits: delays must
not be the way to fill them."""
_WHOSE: Final[dict[Reason, str]] = {
    "identity": "for this name from this address",
    "address": "from this address",
    "network": "from this network",
}


class Door:
    """The bounds of one worker."""

    def __init__(
        self,
        limits: LimitSettings,
        *,
        metrics: Metrics,
        committer: Committer,
        clock: Callable[[], float],
    ) -> None:
        """Nobody has failed yet; `clock` is monotonic."""
        self._metrics = metrics
        self._clock = clock
        self._throttle = Throttle(
            Bounds(
                identity=limits.failed_logins_per_identity,
                address=limits.failed_logins_per_address,
                network=limits.failed_logins_per_network,
                delay_s=limits.failed_login_delay_s,
            )
        )
        self._most_delayed = limits.unfinished_logins // DELAYED_SHARE
        self._delayed: Counter[str] = Counter()
        self._unfinished = Unfinished(
            limits.unfinished_logins, limits.unfinished_logins_per_address
        )
        self.refused = RefusedLogins(metrics, committer)

    # --- places --------------------------------------------------------------

    def admit(self, address: str, leave: Callable[[], None]) -> Seat | None:
        """A place for a connection from there, or None."""
        before = self._unfinished.given_way
        seat = self._unfinished.admit(address, leave)
        if self._unfinished.given_way != before:
            self._metrics.login_throttled("gave-way")
        if isinstance(seat, Seat):
            return seat
        self._metrics.login("refused")
        self._metrics.login_throttled(seat)
        return None

    def move(self, seat: Seat, address: str) -> bool:
        """Whether a connection has a place at the address that it turns out to have."""
        full = seat.move(address)
        if full is not None:
            self._metrics.login("refused")
            self._metrics.login_throttled(full)
        return full is None

    # --- failures ------------------------------------------------------------

    def refusal(self, place: Place, identity: str) -> ErrorReport | None:
        """What to say instead of trying this name; the same whether there is one."""
        found = self._throttle.refusal(place, identity, self._clock())
        if found is None:
            return None
        self._metrics.login_throttled(found.reason)
        return ErrorReport(
            TOO_MANY_CONNECTIONS,
            f"too many failed logins {_WHOSE[found.reason]}",
            hint=f"try again in {ceil(found.wait_s)} s",
            severity="FATAL",
        )

    def is_held(self, place: Place) -> bool:
        """Whether no name at all may be tried from there now."""
        return self._throttle.is_held(place, self._clock())

    def failed(self, place: Place, identity: str) -> float:
        """Count a wrong proof; returns after how many seconds to answer it.

        Where that is not 0, `answered` must follow.
        """
        delay_s = self._throttle.failed(place, identity, self._clock())
        if not delay_s or self._delayed[place.address] >= DELAYED_OF_ADDRESS:
            return 0.0
        if self._delayed.total() >= self._most_delayed:
            return 0.0
        self._delayed[place.address] += 1
        self._metrics.login_throttled("delayed")
        return delay_s

    def answered(self, place: Place) -> None:
        """An answer that had to wait waits no longer."""
        self._delayed[place.address] -= 1
        if not self._delayed[place.address]:
            del self._delayed[place.address]

    def succeeded(self, place: Place, identity: str) -> None:
        """A right proof."""
        self._throttle.succeeded(place, identity, self._clock())

    # --- time ----------------------------------------------------------------

    def look(self) -> None:
        """Once a second: tell what is due, and count who is held."""
        now_s = self._clock()
        self.refused.due(now_s)
        self._metrics.login_addresses_held = self._throttle.held(now_s)

    def close(self) -> None:
        """Tell what is left to tell."""
        self.refused.tell(self._clock())
