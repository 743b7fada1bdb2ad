"""The settings against attacks on the login, and who may say a client's address.

Part of `proxy.settings`. Next: `proxy.server.door`, docs/explanation/login-attacks.md.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from proxy.policy.networks import networks_named
from proxy.settings_section import Section


class LoginLimits(Section):
    """The part of `limits` that is about those who have not logged in."""

    unfinished_logins_per_address: int = Field(
        default=50,
        ge=1,
        description="The same for one address (IPv6: /64), so that none takes all. "
        "When all are taken, the oldest of whoever has most makes room for others.",
    )
    failed_logins_per_identity: int = Field(
        default=10,
        ge=1,
        description="Wrong logins of one name from one address at once; beyond, it is "
        "refused there, untried, and one more is let through every 10 s. Elsewhere the "
        "name is free. A name that has logged in from there is never refused for it.",
    )
    failed_logins_per_address: int = Field(
        default=30,
        ge=1,
        description="The same for all names from one address (IPv6: /64). More than "
        "one name's, because an office shares an address.",
    )
    failed_logins_per_network: int = Field(
        default=300,
        ge=1,
        description="The same for an IPv4 /24 or IPv6 /56, one more every second: who "
        "has one address of it often has all.",
    )
    failed_login_delay_s: float = Field(
        default=5.0,
        ge=0,
        le=60,
        description="The longest wait for the answer to a wrong login. It begins with "
        "the third, at 0.25 s, and doubles. A right one never waits.",
    )
    first_packet_timeout_s: float = Field(
        default=5.0,
        gt=0,
        description="For the first byte, and from it to the whole first packet with "
        "TLS. Programs say these, not people. Short, against who says a byte a second.",
    )


def _checked(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words:
        raise ValueError("give at least one network")
    for word in words:
        networks_named(word)
    return words


class ProxyProtocolSettings(Section):
    """Load balancers that say who the client is: PROXY protocol, version 2."""

    balancers: Annotated[tuple[str, ...], AfterValidator(_checked)] = Field(
        description="Their networks (10.0.0.0/24, an address, `loopback`). From there "
        "the header is demanded, from anywhere else it is refused. Nothing but "
        "balancers: who is listed can say any address."
    )
