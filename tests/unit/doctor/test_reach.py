"""`proxy.doctor.reach`: who may become whom, and by which step."""

from __future__ import annotations

from proxy.doctor.reach import Membership, Reach, Role

ROLES = {oid: Role(oid, name) for oid, name in enumerate("abcde", start=1)}
A, B, C, D, E = ROLES


def reach(*edges: tuple[int, int]) -> Reach:
    return Reach(A, ROLES, [Membership(role, member, 10) for role, member in edges])


def test_follows_chains_and_only_upwards() -> None:
    found = reach((B, A), (C, B), (A, E))
    assert found.oids == {A, B, C}
    assert [role.name for role in found.others] == ["b", "c"]


def test_ends_on_a_circle() -> None:
    """Postgres refuses one, but a catalog may be broken."""
    assert reach((B, A), (A, B)).oids == {A, B}


def test_first_steps_are_those_that_lead_there() -> None:
    found = reach((B, A), (C, A), (D, B), (D, C), (E, C))
    assert {step.role for step in found.first_steps(D)} == {B, C}
    assert {step.role for step in found.first_steps(E)} == {C}
    assert {step.member for step in found.last_steps(D)} == {B, C}


def test_each_grantor_is_a_step_of_its_own() -> None:
    twice = [Membership(B, A, 10), Membership(B, A, 11)]
    assert Reach(A, ROLES, twice).first_steps(B) == twice


def test_a_role_that_is_gone_has_no_name() -> None:
    assert reach().name(99) == "unknown role 99"
    assert reach((99, A)).others == []
