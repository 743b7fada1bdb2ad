"""The places for connections that have not logged in yet, and who gives way for whom.

They come from anyone. No address has more than its share, and when all are taken, a
newcomer from an address with few gets the oldest of the address with most: so that to
take every place takes as many addresses as there are places. Next: `proxy.server.door`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

NOWHERE = ""
"""The address of a connection that a balancer has not named yet."""

Full = Literal["address-places", "places"]
"""Why there is no place: a metric's label."""


class Seat:
    """One place; released once, or taken away."""

    __slots__ = ("_leave", "_unfinished", "address", "is_kept")

    def __init__(
        self, unfinished: Unfinished, address: str, leave: Callable[[], None]
    ) -> None:
        self._unfinished = unfinished
        self._leave = leave
        self.address = address
        self.is_kept = False

    def passed_to(self, leave: Callable[[], None]) -> None:
        """Somebody else answers for the connection from now on."""
        self._leave = leave

    def keep(self) -> None:
        """The client is proven: it gives way to nobody."""
        self.is_kept = True

    def move(self, address: str) -> Full | None:
        """The client's address has been learned; says why there is no place there."""
        return self._unfinished.move(self, address)

    def release(self) -> None:
        """Give the place back."""
        self._unfinished.drop(self)

    def give_way(self) -> None:
        """Send the client away, because another has more right to the place."""
        self.release()
        self._leave()


class Unfinished:
    """The places of one worker.

    Attributes:
        given_way: how many had to leave for others.
    """

    def __init__(self, most: int, most_per_address: int) -> None:
        """All are free."""
        self._most = most
        self._most_per_address = most_per_address
        self._by_address: dict[str, dict[Seat, None]] = {}
        self._taken = 0
        self.given_way = 0

    def __len__(self) -> int:
        """Places taken."""
        return self._taken

    def admit(self, address: str, leave: Callable[[], None]) -> Seat | Full:
        """A place for a connection, or why there is none.

        Args:
            address: whose share it takes; `NOWHERE` takes nobody's.
            leave: sends the client away when it has to give way.
        """
        if full := self._full(address):
            return full
        if self._taken >= self._most and not self._make_room(address):
            return "places"
        seat = Seat(self, address, leave)
        self._by_address.setdefault(address, {})[seat] = None
        self._taken += 1
        return seat

    def move(self, seat: Seat, address: str) -> Full | None:
        """See `Seat.move`."""
        if full := self._full(address):
            return full
        self.drop(seat)
        seat.address = address
        self._by_address.setdefault(address, {})[seat] = None
        self._taken += 1
        return None

    def drop(self, seat: Seat) -> None:
        """See `Seat.release`."""
        seats = self._by_address.get(seat.address, {})
        if seat not in seats:
            return
        del seats[seat]
        self._taken -= 1
        if not seats:
            del self._by_address[seat.address]

    def _full(self, address: str) -> Full | None:
        seats = self._by_address.get(address, ())
        if address != NOWHERE and len(seats) >= self._most_per_address:
            return "address-places"
        return None

    def _make_room(self, address: str) -> bool:
        """Take a place from whoever has most, if that is more than the newcomer has."""
        biggest = max(self._by_address.values(), key=len, default={})
        if len(biggest) <= len(self._by_address.get(address, ())) + 1:
            return False
        for seat in biggest:
            if not seat.is_kept:
                self.given_way += 1
                seat.give_way()
                return True
        return False
