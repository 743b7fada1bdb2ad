"""`proxy.doctor.mending`: whose REVOKE, from whom, in how many statements."""

from __future__ import annotations

from proxy.doctor.findings import Login
from proxy.doctor.mending import MOST_NAMES, Grant, Patient, cut, mend_grants
from proxy.doctor.reach import PUBLIC, Membership, Reach, Role

LOGIN, GROUP, OWNER, OTHER = 16384, 16385, 16386, 16387
ROLES = {
    oid: Role(oid, name)
    for oid, name in {
        10: "postgres", LOGIN: 'a"b', GROUP: "group", OWNER: "owner", OTHER: "other"
    }.items()
}  # fmt: skip


def patient(*memberships: Membership, version: int = 170000) -> Patient:
    return Patient(
        Login("reader", 'a"b', is_reader=True),
        Reach(LOGIN, ROLES, memberships),
        version,
    )


def grant(
    name: str = "t",
    privilege: str = "INSERT",
    *,
    grantee: int = LOGIN,
    grantor: int = OWNER,
    is_grantable: bool = False,
) -> Grant:
    return Grant(
        "TABLE",
        name,
        name,
        privilege,
        grantee=grantee,
        grantor=grantor,
        owner=OWNER,
        is_grantable=is_grantable,
    )


def test_privileges_of_an_object_are_one_statement() -> None:
    found = mend_grants(patient(), [grant(), grant(privilege="DELETE")])
    assert found == ['REVOKE INSERT, DELETE ON TABLE t FROM "a""b";']


def test_objects_with_the_same_privileges_share_one() -> None:
    found = mend_grants(
        patient(), [grant(f"t{n}", grantee=PUBLIC) for n in range(MOST_NAMES + 1)]
    )
    assert len(found) == 2
    assert found[1] == f"REVOKE INSERT ON TABLE t{MOST_NAMES} FROM PUBLIC;"


def test_a_third_partys_grant_is_taken_back_in_its_name() -> None:
    assert mend_grants(patient(), [grant(grantor=OTHER)]) == [
        'SET ROLE "other";',
        'REVOKE INSERT ON TABLE t FROM "a""b";',
        "RESET ROLE;",
    ]


def test_what_could_be_handed_on_is_taken_with_what_was() -> None:
    assert mend_grants(patient(), [grant(is_grantable=True)]) == [
        'REVOKE INSERT ON TABLE t FROM "a""b" CASCADE;'
    ]


def test_a_groups_privilege_stays_and_the_membership_goes() -> None:
    member = Membership(GROUP, LOGIN, 10, has_admin=True)
    grants = [grant(grantee=GROUP), grant("u", grantee=GROUP)]
    assert mend_grants(patient(member), grants) == [
        'REVOKE "group" FROM "a""b" GRANTED BY "postgres" CASCADE;'
    ]


def test_15_knows_one_grant_of_a_membership() -> None:
    member = Membership(GROUP, LOGIN, 10)
    assert cut(patient(member, version=150020), [member, member]) == [
        'REVOKE "group" FROM "a""b";'
    ]


def test_the_databases_owner_holds_what_pg_database_owner_does() -> None:
    here = Patient(
        Login("reader", 'a"b', is_reader=True),
        Reach(LOGIN, ROLES, []),
        170000,
        database_owner=LOGIN,
        owner_role=6171,
    )
    assert here.oids == {LOGIN, 6171}
    assert patient().oids == {LOGIN}
