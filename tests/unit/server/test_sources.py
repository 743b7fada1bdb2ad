"""Policy, identities and settings have to go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.auth.identities import IdentityEntry
from proxy.auth.secrets import make_secret
from proxy.errors import ConfigError
from proxy.server.sources import read_policy, source_paths, with_roll
from proxy.server.upstream_users import Key
from proxy.settings import load_settings
from proxy.store.identities import Roll

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.settings import Settings

SETTINGS = """\
listen: [127.0.0.1:0]
policy: policy.yaml
identities: identities.yaml
audit: {folder: audit}
upstream:
  host: localhost
  logins: {reader: {user: r}, migrator: {user: m}}
limits: {sessions: 5}
"""
POLICY = """\
version: 1
name: p
roles:
  developer: {login: permit, upstream: reader, limits: {reserved_slots: %d}}
  migrator: {login: permit, upstream: migrator, limits: {reserved_slots: %d}}
"""


def settings(folder: Path) -> Settings:
    path = folder / "pgwarden.yaml"
    path.write_text(SETTINGS)
    return load_settings(path, {})


@pytest.mark.parametrize("reserved", [(0, 0), (0, 4), (2, 2)])
def test_somebody_else_gets_in(tmp_path: Path, reserved: tuple[int, int]) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY % reserved)
    assert read_policy(path, settings(tmp_path)).name == "p"


@pytest.mark.parametrize("reserved", [(0, 5), (3, 2), (9, 0)])
def test_nobody_else_gets_in(tmp_path: Path, reserved: tuple[int, int]) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY % reserved)
    with pytest.raises(ConfigError, match="leave no place for anybody else"):
        read_policy(path, settings(tmp_path))


TLS = "tls: {certificate: c, key: k}\n"
CA = "tls: {certificate: c, key: k, client_ca: ca}\n"


@pytest.mark.parametrize(
    ("method", "tls", "told"),
    [
        ("scram", "", ""),
        ("scram-plus", "", 'the settings have no "tls"'),
        ("scram-plus", TLS, ""),
        ("certificate", "", 'the settings have no "tls.client_ca"'),
        ("certificate", TLS, 'the settings have no "tls.client_ca"'),
        ("certificate+scram", TLS, 'the settings have no "tls.client_ca"'),
        ("certificate", CA, ""),
    ],
)
def test_what_login_rules_ask_for_must_be_to_be_had(
    tmp_path: Path, method: str, tls: str, told: str
) -> None:
    path = tmp_path / "policy.yaml"
    rules = f"authentication: [{{id: login.way, method: {method}}}]\n"
    path.write_text(POLICY % (0, 0) + rules)
    (tmp_path / "pgwarden.yaml").write_text(SETTINGS + tls)
    loaded = load_settings(tmp_path / "pgwarden.yaml", {})
    if not told:
        assert read_policy(path, loaded).name == "p"
        return
    with pytest.raises(ConfigError, match=r"login\.way") as caught:
        read_policy(path, loaded)
    assert told in caught.value.message


def test_every_file_of_tls_is_followed(tmp_path: Path) -> None:
    (tmp_path / "pgwarden.yaml").write_text(
        SETTINGS + "tls: {certificate: c, key: k, client_ca: ca, client_crl: crl}\n"
    )
    loaded = load_settings(tmp_path / "pgwarden.yaml", {})
    followed = {path.name for path in source_paths(loaded)}
    assert {"c", "k", "ca", "crl"} <= followed


def test_a_revocation_list_needs_an_authority(tmp_path: Path) -> None:
    (tmp_path / "pgwarden.yaml").write_text(
        SETTINGS + "tls: {certificate: c, key: k, client_crl: crl}\n"
    )
    with pytest.raises(ConfigError, match='"client_crl" needs "client_ca"'):
        load_settings(tmp_path / "pgwarden.yaml", {})


PERSONAL = SETTINGS.replace(
    "{reader: {user: r}, migrator: {user: m}}",
    "{reader: {user: 'pgw_{identity}'}, migrator: {user: pgw_taken}}",
)


def roll_of(*people: tuple[str, str]) -> Roll:
    secret = make_secret("x", salt=bytes(16)).encode()
    return Roll(
        tuple(
            IdentityEntry(name=name, role=role, secret=secret) for name, role in people
        ),
        ('store: identity "broken": role: must be text',),
        ("broken",),
    )


def test_who_does_not_fit_is_left_out_of_a_store_and_nobody_else(
    tmp_path: Path,
) -> None:
    """In a file any of these would refuse all; a disabled one must not wait for it."""
    (tmp_path / "policy.yaml").write_text(POLICY % (0, 0))
    (tmp_path / "pgwarden.yaml").write_text(PERSONAL)
    place = load_settings(tmp_path / "pgwarden.yaml", {})
    policy = read_policy(tmp_path / "policy.yaml", place)
    roll = roll_of(
        ("ana", "developer"),
        ("Bea", "developer"),  # can't be part of a role's name
        ("carl", "develper"),
        ("taken", "developer"),  # would come in as the migrator's user
        ("deploy", "migrator"),
    )
    found = with_roll(place, policy, roll)
    assert found.identities.names() == ["ana", "deploy"]
    assert Key("reader", "ana") in found.keys
    assert len(found.problems) == 4
    told = "\n".join(found.problems)
    for name in ("broken", "Bea", "carl", "taken"):
        assert f'identity "{name}"' in told
    assert 'did you mean "developer"?' in told


def test_identities_are_somewhere(tmp_path: Path) -> None:
    path = tmp_path / "pgwarden.yaml"
    path.write_text(SETTINGS.replace("identities: identities.yaml\n", ""))
    with pytest.raises(ConfigError, match='give "identities", a file, or "store"'):
        load_settings(path, {})
