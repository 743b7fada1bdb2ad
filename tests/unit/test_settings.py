"""Settings: what they accept, how they name a mistake, what counts as loopback."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from proxy.addresses import is_loopback
from proxy.errors import ConfigError
from proxy.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.settings import Settings

MINIMAL = """
listen: ["127.0.0.1:6432"]
policy: production.yaml
identities: identities.yaml
audit: {folder: audit}
upstream:
  host: db.example.com
  databases: [shop, "prisma_migrate_shadow_db_*"]
  logins: {reader: {user: r, password_env: PW}}
"""


def settings(tmp_path: Path, text: str = MINIMAL, **environment: str) -> Settings:
    path = tmp_path / "pgwarden.yaml"
    path.write_text(text)
    return load_settings(path, environment)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "127.evil.example",
        "::10",
        "0.0.0.0",
        "10.0.0.1",
        "",
    ],
)
def test_a_look_alike_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert found.policy == tmp_path / "production.yaml"
    assert found.audit.folder == tmp_path / "audit"


def test_databases_are_served_by_pattern(tmp_path: Path) -> None:
    upstream = settings(tmp_path).upstream
    assert upstream.serves("shop")
    assert upstream.serves("prisma_migrate_shadow_db_1")
    assert not upstream.serves("shop2")


def test_variables_lie_on_top_of_the_file(tmp_path: Path) -> None:
    found = settings(
        tmp_path, PGWARDEN_UPSTREAM__PORT="6543", PGWARDEN_LISTEN='["[::1]:7000"]'
    )
    assert found.upstream.port == 6543
    assert str(found.listen[0]) == "[::1]:7000"


def test_an_unknown_key_is_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'yaml:12: unknown key "worker".*"workers"'):
        settings(tmp_path, MINIMAL + "\n\nworker: 2\n")


def test_an_unknown_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lisen"):
        settings(tmp_path, PGWARDEN_LISEN="x")


@pytest.mark.parametrize("address", ["6432", "host", "host:", ":1", "host:70000"])
def test_an_address_has_host_and_port(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match="listen"):
        settings(tmp_path, MINIMAL.replace("127.0.0.1:6432", address))


def test_a_password_comes_from_one_place(tmp_path: Path) -> None:
    twice = MINIMAL.replace("password_env: PW", "password_env: PW, password_file: f")
    with pytest.raises(ConfigError, match="not both"):
        settings(tmp_path, twice)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("host: db.example.com", "port: 5433", 'give "host" or "hosts"'),
        ("host: db.example.com", "host: a\n  hosts: [b]", 'give "host" or "hosts"'),
        ("host: db.example.com", 'hosts: ["a:0"]', "is not of the form"),
        ("host: db.example.com", "hosts: [a, a]", "named twice"),
        ("host: db.example.com", "host: db:5433", "of the form of an address"),
        ("password_env: PW", "certificate: c.pem", 'both "certificate" and "key"'),
        ("password_env: PW", "password_command: []", "names no program"),
        ("password_env: PW", "password_command: [gcloud]", "not a full path"),
        (
            "password_env: PW",
            'password_command: [/bin/echo, "{identity}"]',
            'only if it is in "user"',
        ),
        ("password_env: PW", "target_session_attrs: master", "target_session_attrs"),
        ("  databases", "  tls: {channel_binding: require, mode: prefer}\n  databases",
         'needs TLS, and the mode is "prefer"'),
    ],
)  # fmt: skip
def test_an_upstream_that_makes_no_sense(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in MINIMAL
    with pytest.raises(ConfigError, match=re.escape(said)):
        settings(tmp_path, MINIMAL.replace(old, new))


def test_several_hosts(tmp_path: Path) -> None:
    text = 'hosts: [a, "b:5433", "[::1]:5434", "::1", 10.0.0.1]'
    found = settings(tmp_path, MINIMAL.replace("host: db.example.com", text)).upstream
    assert found.addresses == (
        ("a", 5432), ("b", 5433), ("::1", 5434), ("::1", 5432), ("10.0.0.1", 5432),
    )  # fmt: skip
    one = MINIMAL.replace("db.example.com", '"::1"')
    assert settings(tmp_path, one).upstream.addresses == (("::1", 5432),)


@pytest.mark.parametrize(
    "name",
    [
        "PGWARDEN_COMPILE",
        "PGWARDEN_DEEP",
        "PGWARDEN_AUDIT_FOLDER",
        "PGWARDEN_SECRET_READER",
        "PGHOST",
    ],
)
def test_variables_of_others_are_no_settings(tmp_path: Path, name: str) -> None:
    assert settings(tmp_path, **{name: "x"}) == settings(tmp_path)
