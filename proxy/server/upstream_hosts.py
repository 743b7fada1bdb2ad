"""The servers that a session may go to, in what order, and what is known of each.

A host that did not answer is tried last for a while, and looked at by the probe
meanwhile, so that a dead one costs one login its time-out and not every one. Nothing
that is known keeps a host from being tried at all. Next: `proxy.server.dial`.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Literal

import structlog

from proxy.addresses import is_address
from proxy.errors import reason_of
from proxy.session.upstream_plan import Place
from proxy.session.upstream_target import Kind, Target, passes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.settings_upstream import UpstreamSettings

_log = structlog.get_logger("upstream")

Why = Literal["connect", "not-now", "unsuitable"]
"""Why a login goes on to the next host; a metric's label."""

KNOWN_FOR_S: Final = 30.0
"""How long a host that failed, or was of the wrong kind, is tried after the others. The
probe looks at it every ten seconds, so a host that stays down stays last."""
NAME_WITHIN_S: Final = 5.0
"""A name that does not resolve must not keep the other hosts waiting."""


@dataclass(slots=True)
class _Known:
    """What was last seen of one place."""

    down: str = ""
    kind: Kind = field(default_factory=lambda: Kind(None, None))
    until_s: float = 0.0


class Hosts:
    """The upstream's hosts, and what this process knows of them."""

    def __init__(
        self, settings: UpstreamSettings, *, clock: Callable[[], float]
    ) -> None:
        """Begin with nothing known.

        Args:
            settings: the upstream's.
            clock: monotonic seconds.
        """
        self._named = settings.addresses
        self._numeric = {
            (host, port): [Place(host, port, str(ip_address(host)))]
            for host, port in self._named
            if is_address(host)
        }
        self._is_random = settings.load_balance_hosts == "random"
        self._clock = clock
        self._known: dict[Place, _Known] = {}
        self.passed_over: Callable[[Why], None] = lambda _: None

    async def places(self) -> tuple[list[Place], list[str]]:
        """Every address of every host, in the order of the settings; and problems."""
        named = list(self._named)
        if self._is_random:
            secrets.SystemRandom().shuffle(named)
        found: list[Place] = []
        problems: list[str] = []
        answers = await self._answers(named)
        for (host, port), answer in zip(named, answers, strict=True):
            if isinstance(answer, str):
                problems.append(f"upstream {Place(host, port, '')}: {answer}")
                self.failed(Place(host, port, ""), answer)
            else:
                self._known.pop(Place(host, port, ""), None)
                found += answer
        self._forget_all_but(found)
        return found, problems

    def attempts(
        self, places: Sequence[Place], target: Target
    ) -> list[tuple[Place, Target]]:
        """What to try, one after the other, with what each must be.

        Where a standby is only preferred, the first round leaves out what is known to
        be none, or to be down.
        """
        rounds = passes(target)
        order: list[tuple[Place, Target]] = []
        for wanted in rounds:
            ranked = sorted(places, key=lambda place: self._rank(place, wanted))
            is_last = wanted is rounds[-1]
            order += [
                (place, wanted)
                for place in ranked
                if is_last or self._rank(place, wanted) == _FINE
            ]
        return order

    def failed(self, place: Place, why: str) -> None:
        """This one did not answer, or takes nobody now: `why` is for anyone to read."""
        known = self._known.get(place) or _Known()
        if not known.down and self.are_several:
            _log.error("upstream_host_down", host=str(place), problem=why)
        known.down, known.until_s = why, self._clock() + KNOWN_FOR_S
        self._known[place] = known

    def reached(self, place: Place, kind: Kind) -> None:
        """A login got in here."""
        known = self._known.get(place) or _Known()
        if known.down and self.are_several:
            _log.warning("upstream_host_is_back", host=str(place))
        self._known[place] = _Known("", kind, self._clock() + KNOWN_FOR_S)

    @property
    def are_several(self) -> bool:
        """Whether there is a choice."""
        return len(self._named) > 1 or len(self._known) > 1

    def name_of(self, place: Place | None) -> str:
        """The place in words, "" where there is no choice."""
        return str(place) if place is not None and self.are_several else ""

    def down(self) -> list[Place]:
        """The addresses that did not answer when they were last tried."""
        return [
            place
            for place, known in self._known.items()
            if known.down and place.address
        ]

    @property
    def number_down(self) -> int:
        """How many that is, a name that resolves to nothing included."""
        return sum(bool(known.down) for known in self._known.values())

    def warnings(self) -> list[str]:
        """The same for people, one line each; none where there is but one host."""
        if not self.are_several:
            return []
        return sorted(
            f"database host {place} is down: {known.down}"
            for place, known in self._known.items()
            if known.down
        )

    def _rank(self, place: Place, wanted: Target) -> int:
        known = self._known.get(place)
        if known is None or self._clock() >= known.until_s:
            return _FINE
        if known.down:
            return _DOWN
        is_told = known.kind.is_standby is not None
        return _UNSUITABLE if is_told and not known.kind.suits(wanted) else _FINE

    def _forget_all_but(self, found: Sequence[Place]) -> None:
        """An address that a name no longer has is nobody's host."""
        resolved = {(place.host, place.port) for place in found}
        kept = set(found)
        for place in list(self._known):
            if (place.host, place.port) in resolved and place not in kept:
                del self._known[place]

    async def _answers(
        self, named: Sequence[tuple[str, int]]
    ) -> list[list[Place] | str]:
        """For each host its addresses, or why there are none; names all at once."""
        by_name = [each for each in named if each not in self._numeric]
        known: dict[tuple[str, int], list[Place] | str] = {**self._numeric}
        if by_name:
            resolved = await asyncio.gather(
                *(self._resolved(*each) for each in by_name)
            )
            known.update(zip(by_name, resolved, strict=True))
        return [known[each] for each in named]

    async def _resolved(self, host: str, port: int) -> list[Place] | str:
        """The addresses that a name stands for, or why there are none."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(NAME_WITHIN_S):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            return f"its name could not be resolved within {NAME_WITHIN_S:g} s"
        except OSError as error:
            return reason_of(error)
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        if self._is_random:
            secrets.SystemRandom().shuffle(addresses)
        return [Place(host, port, address) for address in addresses]


_FINE, _UNSUITABLE, _DOWN = range(3)
