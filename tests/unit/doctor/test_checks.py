"""The pure halves of the checks, where a server can't be made to say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from proxy.doctor import checks_code, checks_objects, checks_roles, checks_server
from proxy.doctor.findings import CRITICAL, KINDS, WARNING, Login
from proxy.doctor.mending import Patient
from proxy.doctor.reach import Membership, Reach, Role

if TYPE_CHECKING:
    from proxy.doctor.check import Check

ME, GROUP, NEWER = 16384, 16385, 16386
ALL = (
    *checks_roles.CHECKS,
    *checks_objects.CHECKS,
    *checks_code.CHECKS,
    *checks_server.CHECKS,
)


def patient(*, is_reader: bool = True) -> Patient:
    roles = {
        ME: Role(ME, "me"),
        GROUP: Role(GROUP, "group"),
        NEWER: Role(NEWER, "pg_of_the_future"),
    }
    return Patient(
        Login("reader", "me", is_reader=is_reader),
        Reach(ME, roles, [Membership(GROUP, ME, 10), Membership(NEWER, ME, 10)]),
        170000,
        own_users=frozenset({"me", "mover"}),
        serves=lambda name: name == "app",
    )


@pytest.mark.parametrize("check", ALL, ids=lambda each: each.name)
def test_only_numbers_are_put_into_a_query(check: Check) -> None:
    query = check.query(patient())
    assert "@" not in query
    assert "pg_of_the_future" not in query


@pytest.mark.parametrize("check", ALL, ids=lambda each: each.name)
def test_a_check_finds_only_what_it_says(check: Check) -> None:
    assert set(check.kinds) <= set(KINDS)


def test_a_check_that_can_not_run_is_as_bad_as_what_it_covers() -> None:
    owns = checks_objects.CHECKS[0]
    told = owns.not_run(patient(), "no", is_denied=True)
    assert told is not None
    assert told.severity is CRITICAL
    told = checks_server.CHECKS[0].not_run(patient(), "no", is_denied=True)
    assert told is not None
    assert (told.id, told.severity) == ("hba-unreadable", WARNING)
    told = checks_server.CHECKS[0].not_run(patient(), "gone", is_denied=False)
    assert told is not None
    assert (told.id, told.severity) == ("not-checked", CRITICAL)


@pytest.mark.parametrize("is_reader", [True, False])
def test_a_predefined_role_that_is_not_known_is_critical(is_reader: bool) -> None:
    found = list(checks_roles.memberships(patient(is_reader=is_reader)))
    (told,) = [each for each in found if each and each.id == "predefined-role"]
    assert told.severity is CRITICAL
    assert "not known" in told.objects[0]


def session(user: str, address: str | None, database: str = "app") -> dict[str, Any]:
    return {
        "user": user,
        "database": database,
        "address": address,
        "here": "10.0.0.1",
        "sessions": 2,
    }


def activity(*rows: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    check = checks_server.CHECKS[1]
    return {each.id: each.objects for each in check.findings(patient(), list(rows))}


def test_sessions_of_pgwarden_are_nothing_to_tell() -> None:
    assert activity(session("me", "10.0.0.1"), session("mover", None)) == {}


def test_sessions_of_our_login_from_elsewhere() -> None:
    assert activity(session("me", "10.0.0.2")) == {
        "login-elsewhere": ('"me" in "app" from 10.0.0.2: 2',)
    }
    assert "login-elsewhere" in activity(session("me", None))


def test_sessions_of_others_in_served_databases() -> None:
    assert activity(session("ana", None), session("ana", None, "other")) == {
        "direct-sessions": ('"ana" in "app": 2',)
    }


def rule(**changed: Any) -> dict[str, Any]:
    return {
        "line": 1,
        "type": "host",
        "database": ["all"],
        "users": ["all"],
        "address": "0.0.0.0",
        "netmask": "0.0.0.0",
        "method": "scram-sha-256",
        "error": None,
        "here": "10.0.0.1",
    } | changed


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, "hba-open"),
        ({"users": ["ana"]}, ""),
        ({"users": ["me"]}, "hba-open"),
        ({"users": ["+staff"]}, "hba-open"),
        ({"method": "reject"}, ""),
        ({"method": "trust"}, "hba-trust"),
        ({"method": "trust", "type": "local", "address": None}, "hba-open"),
        ({"method": "trust", "address": "127.0.0.1"}, "hba-open"),
        ({"address": "10.0.0.1", "netmask": "255.255.255.255"}, ""),
        ({"address": "10.0.0.2", "netmask": "255.255.255.255"}, "hba-open"),
        (
            {"address": "10.0.0.2", "netmask": "255.255.255.255", "users": ["app"]},
            "",
        ),
        ({"address": "10.0.0.0", "netmask": "255.255.255.0"}, "hba-open"),
        ({"address": "fd00::", "netmask": "ffff::"}, "hba-open"),
        (
            {"address": "fd00::1", "netmask": "ffff:" * 7 + "ffff", "here": "fd00::1"},
            "",
        ),
        ({"address": "fd00::1", "netmask": "ffff:" * 7 + "ffff"}, "hba-open"),
        ({"address": "all", "netmask": None}, "hba-open"),
        ({"address": "samenet", "netmask": None}, "hba-open"),
        ({"address": "app.example", "netmask": None}, ""),
        ({"address": ".example", "netmask": None}, "hba-open"),
        ({"type": "local", "address": None, "netmask": None}, ""),
        ({"error": "no such method", "method": "trust"}, ""),
    ],
)
def test_rules_of_pg_hba(changed: dict[str, Any], kind: str) -> None:
    check = checks_server.CHECKS[0]
    found = check.findings(patient(), [rule(**changed)])
    assert [each.id for each in found] == ([kind] if kind else [])


REJECTS = {"method": "reject", "address": "all", "netmask": None}


@pytest.mark.parametrize(
    ("above", "is_told"),
    [
        (REJECTS, False),
        (REJECTS | {"users": ["me"]}, False),
        ({"method": "reject"}, False),
        (REJECTS | {"users": ["ana"]}, True),
        (REJECTS | {"database": ["other"]}, True),
        (REJECTS | {"type": "hostssl"}, True),
        (REJECTS | {"type": "local", "address": None}, True),
        (REJECTS | {"error": "no such option"}, True),
        ({"method": "reject", "netmask": "255.0.0.0"}, True),
        ({"method": "reject", "address": "::", "netmask": "::"}, True),
    ],
)
def test_a_rule_below_a_reject_of_everything_counts_for_nothing(
    above: dict[str, Any], is_told: bool
) -> None:
    check = checks_server.CHECKS[0]
    found = check.findings(patient(), [rule(**above), rule()])
    assert [each.id for each in found] == (["hba-open"] if is_told else [])


@pytest.mark.parametrize(
    ("value", "is_told"),
    [("off", True), ("", True), ("on", False), ("receipt,authorization", False)],
)
def test_whether_logins_are_logged(value: str, is_told: bool) -> None:
    check = checks_server.CHECKS[2]
    found = check.findings(patient(), [{"value": value}])
    assert [each.id for each in found] == (["logins-unlogged"] if is_told else [])


@pytest.mark.parametrize(
    ("name", "value", "is_risky"),
    [
        ("search_path", '"$user", public', False),
        ("search_path", "pg_catalog, public", False),
        ("search_path", 'public, "pg_catalog"', True),
        ("row_security", "off", True),
        ("row_security", "on", False),
        ("session_preload_libraries", "", False),
        ("local_preload_libraries", "x", True),
        ("ROLE", "owner", True),
        ("work_mem", "1GB", False),
    ],
)
def test_settings_of_the_role(name: str, value: str, is_risky: bool) -> None:
    row = {"role": ME, "database": "", "name": name, "value": value}
    found = checks_roles.CHECKS[0].findings(patient(), [row])
    assert ("role-settings" in {each.id for each in found}) == is_risky


def test_a_custom_setting_is_reset_by_its_parts() -> None:
    row = {"role": 0, "database": 'd"b', "name": "row_security", "value": "off"}
    (told,) = [
        each
        for each in checks_roles.CHECKS[0].findings(patient(), [row])
        if each.id == "role-settings"
    ]
    assert told.sql == ('ALTER DATABASE "d""b" RESET "row_security";',)
