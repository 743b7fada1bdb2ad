"""Client addresses and the networks that a rule names. Pure.

An IPv4 address is the same whether it came as itself or mapped into IPv6
(`::ffff:10.0.0.1`, as a socket that listens on both shows it).
Next: `proxy.policy.situation`.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    Network = IPv4Network | IPv6Network

LOOPBACK: Final = "loopback"
"""Stands for 127.0.0.0/8 and ::1."""

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_WORDS: Final[dict[str, tuple[str, ...]]] = {LOOPBACK: ("127.0.0.0/8", "::1/128")}


def networks_named(word: str) -> tuple[Network, ...]:
    """The networks that a word of a policy stands for.

    Raises:
        ValueError: none; the text says what is wrong with the word.
    """
    return tuple(_network(each) for each in _WORDS.get(word, (word,)))


def _network(word: str) -> Network:
    try:
        network = ip_network(word)
    except ValueError:
        try:
            wider = ip_network(word, strict=False)
        except ValueError:
            raise ValueError(
                f'"{word}" is no network: write an address, 10.0.0.0/8, '
                f"2001:db8::/32 or {LOOPBACK}"
            ) from None
        raise ValueError(
            f'"{word}" has bits set behind its prefix; did you mean "{wider}"?'
        ) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        address = IPv4Address(int(network.network_address) & 0xFFFF_FFFF)
        return IPv4Network((address, network.prefixlen - _MAPPED.prefixlen))
    return network


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """The client's address, in the one form that networks are compared with.

    None where it is no IP address.
    """
    try:
        # A zone ("fe80::1%eth0") is no part of a network.
        at = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(at, IPv6Address) and at.ipv4_mapped is not None:
        return at.ipv4_mapped
    return at


class Networks:
    """A union of networks."""

    __slots__ = ("_networks",)

    def __init__(self, words: Iterable[str]) -> None:
        self._networks = [each for word in words for each in networks_named(word)]

    def have(self, address: str) -> bool:
        """Whether the address lies in one of them; what is no address, in none."""
        at = address_of(address)
        return at is not None and any(at in network for network in self._networks)
