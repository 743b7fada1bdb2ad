"""A name in a role's name and in a path: strictly, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from proxy.auth.identities import Identities, Identity
from proxy.errors import ConfigError
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.server.upstream_users import (
    Key,
    catalog_login,
    keys,
    resolved,
)
from proxy.settings_upstream import CatalogSettings, UpstreamLogin, UpstreamSettings

PERSONAL = UpstreamLogin(
    user="pgw_{identity}", password_file=Path("/s/{identity}/password")
)
POLICY = """\
version: 1
name: p
roles:
  developer: {login: permit, upstream: reader}
  analyst: {login: permit, upstream: other}
  auditor: {login: {refuse: not here}}
"""


def found(logins: dict[str, UpstreamLogin], *names: tuple[str, str]) -> tuple[Key, ...]:
    identities = Identities(Identity(name, role, ()) for name, role in names)
    settings = UpstreamSettings(host="h", logins=logins)
    return keys(settings, Policy(load(POLICY, source="p")), identities)


@pytest.mark.parametrize("name", ["ana", "a.b@example.com", "x-1_2+3", "9", "a..b"])
def test_a_plain_name_fits(name: str) -> None:
    login = resolved(PERSONAL, name)
    assert login.user == f"pgw_{name}"
    assert login.password_file == Path(f"/s/{name}/password")
    assert resolved(UpstreamLogin(user="all"), "Any thing").user == "all"


def test_a_name_in_a_certificate_and_a_command() -> None:
    login = UpstreamLogin(
        user="{identity}",
        certificate=Path("/s/{identity}.crt"),
        key=Path("/s/{identity}.key"),
        password_command=("/bin/token", "--query={.token}", "--for={identity}"),
    )
    found = resolved(login, "ana")
    assert (found.certificate, found.key) == (Path("/s/ana.crt"), Path("/s/ana.key"))
    assert found.password_command == ("/bin/token", "--query={.token}", "--for=ana")


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../x", "a/b", "/etc/passwd", "a\\b", "a\0b", "a\n", "a b"),
        *("Ana", "ANA", "\u00e4", "a\u0301", "\u212a", "-x", ".x", "a=b", "{identity}"),
        *("a'b", 'a"b', "a;b", "$HOME", "~", "%41", "a*"),
    ],
)
def test_anything_else_does_not(name: str) -> None:
    with pytest.raises(ConfigError, match="can't be put into upstream user"):
        resolved(PERSONAL, name)


def test_what_postgres_would_cut_short() -> None:
    assert len(resolved(PERSONAL, "a" * 59).user) == 63
    with pytest.raises(ConfigError, match="over 63 bytes"):
        resolved(PERSONAL, "a" * 60)


@pytest.mark.parametrize(
    ("user", "file"),
    [("pgw_{name}", None), ("pgw_{", None), ("all", "s/{identity}"), ("}", None)],
)
def test_other_braces_are_a_mistake(user: str, file: str | None) -> None:
    with pytest.raises(ValidationError, match="in braces may be only"):
        UpstreamLogin(user=user, password_file=Path(file) if file else None)


def test_who_needs_which() -> None:
    logins = {"reader": PERSONAL, "other": UpstreamLogin(user="other")}
    people = (("ana", "developer"), ("bob", "analyst"), ("Eve", "auditor"))
    assert found(logins, *people) == (Key("other"), Key("reader", "ana"))


def test_nobody_comes_in_as_somebody_else() -> None:
    """An identity called as a login's user would get that one's privileges."""
    bare = UpstreamLogin(user="{identity}")
    logins = {"reader": bare, "other": UpstreamLogin(user="pgwarden_migrator")}
    with pytest.raises(ConfigError, match='is the user of login "other" for all'):
        found(logins, ("pgwarden_migrator", "developer"))
    logins = {"reader": bare, "other": PERSONAL}
    logins["third"] = UpstreamLogin(user="third")
    with pytest.raises(ConfigError, match='of login "reader" for identity "pgw_x"'):
        found(logins, ("pgw_x", "developer"), ("x", "analyst"))


def test_the_catalog_is_asked_for_by_a_login_that_all_share() -> None:
    policy = Policy(load(POLICY, source="p"))
    shared = UpstreamLogin(user="a"), UpstreamLogin(user="b")
    for logins, expected in (
        ({"reader": shared[0], "other": shared[1]}, "reader"),
        ({"reader": PERSONAL, "other": shared[0]}, "other"),
        ({"reader": PERSONAL, "other": PERSONAL, "third": shared[0]}, "third"),
    ):
        settings = UpstreamSettings(host="h", logins=logins)
        assert catalog_login(settings, policy) == expected
    with pytest.raises(ConfigError, match="to ask the database for its catalog"):
        found({"reader": PERSONAL, "other": PERSONAL}, ("ana", "developer"))
    with pytest.raises(ValidationError, match="can't be one for each identity"):
        UpstreamSettings(
            host="h",
            logins={"reader": PERSONAL},
            catalog=CatalogSettings(login="reader"),
        )
