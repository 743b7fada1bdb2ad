"""Who counts as local: never somebody because of who passed them on."""

from __future__ import annotations

import pytest

from proxy.errors import FrontendError
from proxy.server.arrival import Arrival, Origin
from proxy.wire.proxy_protocol import ProxyHeader


@pytest.mark.parametrize(
    ("address", "peer", "is_local"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.5", "127.0.0.2", True),
        ("198.51.100.7", "127.0.0.1", False),
        ("127.0.0.1", "198.51.100.7", False),
        ("198.51.100.7", "198.51.100.7", False),
    ],
)
def test_plain_text_is_for_clients_on_this_machine(
    address: str, peer: str, is_local: bool
) -> None:
    assert Origin(address, 50_000, peer).is_local is is_local


def test_a_balancer_elsewhere_makes_nobody_local() -> None:
    """A client on the balancer's own machine, or a balancer that lies."""
    arrival = object.__new__(Arrival)
    arrival._origin = Origin("10.0.0.9", 1, "10.0.0.9")
    for address in ("127.0.0.1", "::1"):
        with pytest.raises(FrontendError, match="loopback"):
            arrival._named(ProxyHeader(address, 1))
    named = arrival._named(ProxyHeader("198.51.100.7", 2))
    assert named == Origin("198.51.100.7", 2, "10.0.0.9")
    assert arrival._named(ProxyHeader()) == arrival._origin
