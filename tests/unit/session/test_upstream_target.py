"""Which kind of server fits, by what it reports of itself."""

from __future__ import annotations

import pytest

from proxy.session.upstream_target import Kind, Target, passes

PRIMARY = {"in_hot_standby": "off", "default_transaction_read_only": "off"}
CLOSED = {"in_hot_standby": "off", "default_transaction_read_only": "on"}
STANDBY = {"in_hot_standby": "on", "default_transaction_read_only": "off"}


@pytest.mark.parametrize(
    ("reported", "fits"),
    [
        (PRIMARY, {"any", "read-write", "primary", "prefer-standby"}),
        (CLOSED, {"any", "read-only", "primary", "prefer-standby"}),
        (STANDBY, {"any", "read-only", "standby", "prefer-standby"}),
        # Older than 14, or a pooler that keeps it to itself: nothing is taken on trust.
        ({}, {"any", "prefer-standby"}),
        ({"in_hot_standby": "perhaps"}, {"any", "prefer-standby"}),
    ],
)
def test_what_fits(reported: dict[str, str], fits: set[str]) -> None:
    kind = Kind.of(reported, is_ours=False)
    assert {target.value for target in Target if kind.suits(target)} == fits


def test_our_own_read_only_says_nothing_of_the_server() -> None:
    """A reader's startup packet switches it on, so every server reports it."""
    primary, standby = (
        Kind.of(each | {"default_transaction_read_only": "on"}, is_ours=True)
        for each in (PRIMARY, STANDBY)
    )
    assert primary.suits(Target.READ_WRITE)
    assert not primary.suits(Target.READ_ONLY)
    assert standby.suits(Target.READ_ONLY)
    assert not standby.suits(Target.READ_WRITE)


def test_a_preference_is_two_rounds() -> None:
    assert passes(Target.PREFER_STANDBY) == (Target.STANDBY, Target.ANY)
    assert passes(Target.PRIMARY) == (Target.PRIMARY,)
