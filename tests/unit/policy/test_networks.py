"""Client addresses and networks: one form of each address, whatever way it came."""

from __future__ import annotations

import re

import pytest

from proxy.policy.networks import Networks, address_of, networks_named


@pytest.mark.parametrize(
    ("words", "address", "here"),
    [
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "::ffff:10.0.0.1", True),
        (["10.0.0.0/8"], "::ffff:11.0.0.1", False),
        (["::ffff:10.0.0.0/104"], "10.0.0.1", True),
        (["::/0"], "10.0.0.1", False),
        (["0.0.0.0/0"], "::1", False),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["10.0.0.7"], "10.0.0.7", True),
        (["10.0.0.7"], "10.0.0.8", False),
        (["loopback"], "127.1.2.3", True),
        (["loopback"], "::1", True),
        (["loopback"], "::ffff:127.0.0.1", True),
        (["loopback"], "10.0.0.1", False),
        (["192.0.2.0/24", "loopback"], "192.0.2.1", True),
        (["0.0.0.0/0", "::/0"], "", False),  # no address: in no network
        (["0.0.0.0/0", "::/0"], "localhost", False),
    ],
)
def test_an_address_lies_in_a_network(
    words: list[str], address: str, *, here: bool
) -> None:
    assert Networks(words).have(address) is here


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("10.0.0.1/8", 'did you mean "10.0.0.0/8"?'),
        ("localhost", "is no network: write an address"),
        ("10.0.0.0/33", "is no network"),
        ("10.0.0.0-10.0.0.9", "is no network"),
    ],
)
def test_what_is_no_network_is_said(word: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        networks_named(word)


def test_what_is_no_address() -> None:
    assert address_of("client.example") is None
    assert str(address_of("::ffff:10.0.0.1")) == "10.0.0.1"
