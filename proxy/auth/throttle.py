"""How many wrong logins an address may have, and how long its next answer waits.

Failures are counted for an address, for its wider network and for each name from one
address, never for a name alone: whoever guesses at somebody's name makes nobody wait
but himself. One failure is forgiven every few seconds, so a lockout ends by itself.
Who has come in from an address before is not kept out by what others do there.
Pure; the time comes in with the call. Next: `proxy.server.door`, which asks.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from itertools import islice
from typing import Final, Literal, NamedTuple, TypeVar

K = TypeVar("K", str, bytes)
Reason = Literal["identity", "address", "network"]
"""Whose failures were too many: a metric's label."""

FORGIVEN_AFTER_S: Final = 10.0
"""One failure of an address, or of a name from it: 360 guesses an hour in the long run,
and a person who has mistyped waits a few seconds."""
NETWORK_FORGIVEN_AFTER_S: Final = 1.0
"""One failure of a wider network, where many people may be."""
MOST_TRACKED: Final = 20_000
"""Entries of each table, some 3 MB. Whoever brings more addresses than that pushes out
the one that failed longest ago; even at 2,000 failures a second that takes ten seconds,
in which a failure would have been forgiven anyway."""
MOST_KNOWN: Final = 20_000
"""Names with an address that they came in from. Only right passwords add to them."""
SWEPT: Final = 500
"""Entries looked at in one sweep: a few hundred microseconds, once a second."""
KNOWN_FOR_S: Final = 30 * 86_400.0
FREE: Final = 2
"""Failures that are answered at once: people mistype."""
FIRST_DELAY_S: Final = 0.25
ADDRESS_SHARE: Final = 3
"""So many failures of an address weigh, for the delay, as one of a name from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many failures there may be at once.

    Attributes:
        identity: of one name from one address.
        address: of one address: an IPv4 address, or an IPv6 /64.
        network: of an IPv4 /24, or an IPv6 /56.
        delay_s: the longest wait for the answer to a wrong proof.
    """

    identity: int
    address: int
    network: int
    delay_s: float


class Place(NamedTuple):
    """Where a client is, as failures are counted.

    Attributes:
        address: IPv4 address, or the /64 of an IPv6 address: one customer's least.
        network: the /24 or /56 around it.
    """

    address: str
    network: str


def place_of(address: str) -> Place:
    """The place of a numeric address; what is none stands for itself."""
    try:
        at = ip_address(address.partition("%")[0])
    except ValueError:
        return Place(address, address)
    if isinstance(at, IPv6Address):
        if at.ipv4_mapped is None:
            number = int(at)
            low, high = (number >> keep << keep for keep in (64, 72))
            return Place(f"{IPv6Address(low)}/64", f"{IPv6Address(high)}/56")
        at = at.ipv4_mapped
    text = str(at)
    return Place(text, text.rpartition(".")[0] + ".0/24")


class Refused(NamedTuple):
    """A login that may not even be tried.

    Attributes:
        reason: whose failures were too many.
        wait_s: after that many seconds one may be.
    """

    reason: Reason
    wait_s: float


class Scores:
    """Failures by key, each forgiven after a while; the oldest are forgotten."""

    __slots__ = ("_forgiven_after_s", "_most", "_scores")

    def __init__(self, forgiven_after_s: float, most: int = MOST_TRACKED) -> None:
        self._forgiven_after_s = forgiven_after_s
        self._most = most
        self._scores: OrderedDict[str | bytes, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._scores)

    def of(self, key: str | bytes, now_s: float) -> float:
        """The failures that are not forgiven yet."""
        score, at_s = self._scores.get(key, (0.0, now_s))
        return max(0.0, score - (now_s - at_s) / self._forgiven_after_s)

    def add(self, key: str | bytes, now_s: float) -> float:
        """Count a failure; returns how many there are with it."""
        score = self.of(key, now_s) + 1.0
        self._scores[key] = (score, now_s)
        self._scores.move_to_end(key)
        if len(self._scores) > self._most:
            self._scores.popitem(last=False)
        return score

    def wait_s(self, key: str | bytes, bound: int, now_s: float) -> float:
        """After how long there is room for one more failure; 0 where there is now."""
        over = self.of(key, now_s) - (bound - 1)
        return max(0.0, over * self._forgiven_after_s)

    def forget(self, key: str | bytes) -> None:
        """Forgive all at once."""
        self._scores.pop(key, None)

    def drop_forgiven(self, now_s: float) -> None:
        """Forget some of what is forgiven, beginning with the oldest."""
        for key in list(islice(self._scores, SWEPT)):
            if self.of(key, now_s):
                return
            del self._scores[key]


class Throttle:
    """The failures of one worker, and who has come in from where."""

    def __init__(self, bounds: Bounds, *, tracked: int = MOST_TRACKED) -> None:
        """Begin with a clean slate; `tracked` is the ceiling of each table."""
        self._bounds = bounds
        self._pairs = Scores(FORGIVEN_AFTER_S, tracked)
        self._addresses = Scores(FORGIVEN_AFTER_S, tracked)
        self._networks = Scores(NETWORK_FORGIVEN_AFTER_S, tracked)
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._known_addresses: OrderedDict[str, float] = OrderedDict()
        self._held: set[str] = set()

    def __len__(self) -> int:
        """Entries held, of all tables."""
        return (
            len(self._pairs)
            + len(self._addresses)
            + len(self._networks)
            + len(self._known)
            + len(self._known_addresses)
        )

    def refusal(self, place: Place, identity: str, now_s: float) -> Refused | None:
        """Why this name may not be tried from there now, or None."""
        pair = _pair(place, identity)
        if self._is_known(pair, now_s):
            return None
        bounds = self._bounds
        waits: tuple[Refused, ...] = (
            Refused("identity", self._pairs.wait_s(pair, bounds.identity, now_s)),
            Refused(
                "address", self._addresses.wait_s(place.address, bounds.address, now_s)
            ),
            Refused(
                "network", self._networks.wait_s(place.network, bounds.network, now_s)
            ),
        )
        longest = max(waits, key=lambda each: each.wait_s)
        return longest if longest.wait_s else None

    def failed(self, place: Place, identity: str, now_s: float) -> float:
        """Count a wrong proof; returns how long its answer waits.

        What one name fails beyond its own bound (a job with an outdated password, for
        ever) is not counted to its address, which others may share.
        """
        pair = self._pairs.add(_pair(place, identity), now_s)
        if pair <= self._bounds.identity:
            address = self._addresses.add(place.address, now_s)
            self._networks.add(place.network, now_s)
        else:
            address = self._addresses.of(place.address, now_s)
        if address > self._bounds.address - 1 and len(self._held) < MOST_TRACKED:
            self._held.add(place.address)
        beyond = max(pair, address / ADDRESS_SHARE) - FREE
        if beyond <= 0:
            return 0.0
        # Two to the 16th is beyond any longest wait that makes sense.
        delay_s: float = FIRST_DELAY_S * 2.0 ** min(beyond - 1, 16.0)
        return min(self._bounds.delay_s, delay_s)

    def succeeded(self, place: Place, identity: str, now_s: float) -> None:
        """A right proof: this name is known here, and its own failures forgiven.

        Those of its address stay, or whoever has a password of his own could wipe them
        out between guesses.
        """
        pair = _pair(place, identity)
        self._pairs.forget(pair)
        _remember(self._known, pair, now_s)
        _remember(self._known_addresses, place.address, now_s)

    def is_held(self, place: Place, now_s: float) -> bool:
        """Whether no name at all may be tried from there now."""
        at_s = self._known_addresses.get(place.address)
        if at_s is not None and now_s - at_s < KNOWN_FOR_S:
            return False
        bounds = self._bounds
        return bool(
            self._addresses.wait_s(place.address, bounds.address, now_s)
            or self._networks.wait_s(place.network, bounds.network, now_s)
        )

    def held(self, now_s: float) -> int:
        """How many addresses are refused now; forgets some of what is forgiven."""
        for scores in (self._pairs, self._addresses, self._networks):
            scores.drop_forgiven(now_s)
        bound = self._bounds.address
        self._held = {
            address
            for address in self._held
            if self._addresses.wait_s(address, bound, now_s)
        }
        return len(self._held)

    def _is_known(self, pair: bytes, now_s: float) -> bool:
        at_s = self._known.get(pair)
        return at_s is not None and now_s - at_s < KNOWN_FOR_S


def _remember(known: OrderedDict[K, float], key: K, now_s: float) -> None:
    known[key] = now_s
    known.move_to_end(key)
    if len(known) > MOST_KNOWN:
        known.popitem(last=False)


def _pair(place: Place, identity: str) -> bytes:
    # A name may be as long as a startup packet; a digest is short for any.
    text = f"{place.address}\0{identity}".encode(errors="surrogatepass")
    return hashlib.blake2b(text, digest_size=16).digest()
