"""The identities document: strict, all problems at once, no secret repeated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

import pytest

from proxy.auth.identities import Identities, Identity, load_identities
from proxy.auth.secrets import make_secret
from proxy.errors import ConfigError

NOW = datetime(2026, 1, 2, tzinfo=UTC)
OLD = make_secret("old", salt=b"0123456789abcdef", iterations=1).encode()
NEW = make_secret("new", salt=b"0123456789abcdef", iterations=1).encode()
OTHER_SALT = make_secret("new", salt=b"fedcba9876543210", iterations=1).encode()


def load(*entries: object, **top: object) -> Identities:
    document = {"version": 1, "identities": list(entries)} | top
    return load_identities(document, source="identities.yaml")


def entry(**change: object) -> dict[str, object]:
    return {"name": "alice", "role": "developer", "secret": OLD} | change


def test_an_identity_is_found_by_its_exact_name() -> None:
    identities = load(entry(), entry(name="bob", role="migrator"))
    found = identities.find("alice")
    assert found is not None
    assert (found.role, len(found.secrets)) == ("developer", 1)
    assert identities.find("Alice") is None
    assert identities.names() == ["alice", "bob"]
    assert len(identities) == 2


def test_two_secrets_stand_side_by_side_while_one_is_rotated() -> None:
    found = load({"name": "a", "role": "r", "secrets": [OLD, NEW]}).find("a")
    assert found is not None
    assert len(found.secrets) == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"secret": None}, 'give "secret", "secrets", "certificate" or "token"'),
        ({"certificate": {}}, "identities.0.certificate: give exactly one of"),
        (
            {"certificate": {"email": "{identity}@b"}},
            "identities.0: {identity} is for rules of the policy",
        ),
        (
            {"certificate": {"mail": "a@b"}},
            "identities.0.certificate.mail: unknown key",
        ),
        ({"secrets": [NEW]}, 'give either "secret" or "secrets"'),
        ({"secret": "hunter2"}, "must begin with SCRAM-SHA-256$"),
        ({"secret": None, "secrets": [OLD, OTHER_SALT]}, "must share salt"),
        ({"secret": None, "secrets": [OLD, NEW, OLD]}, "at most 2"),
        ({"name": ""}, "must be printable"),
        ({"name": " alice"}, "must be printable"),
        ({"name": "al\nice"}, "must be printable"),
        ({"name": "é" * 32}, "at most 63 bytes"),
        ({"role": 7}, "must be text"),
        ({"valid_until": "2026-01-01T00:00:00"}, "timezone"),
        ({"networks": ["10.0.0.1/8"]}, "network"),
        ({"networks": ["nowhere"]}, "network"),
        ({"rolle": "x"}, 'identities.0.rolle: unknown key; did you mean "role"?'),
        ({"zzz": "x"}, "identities.0.zzz: unknown key"),
    ],
)
def test_a_mistake_is_told_with_its_place(change: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(entry(**change))
    assert told in caught.value.message
    assert caught.value.message.startswith("identities.yaml: identities.0")
    assert "hunter2" not in caught.value.message


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load(entry(name=""), entry(role=1), versoin=2)
    lines = caught.value.message.splitlines()
    assert len(lines) == 3
    assert 'did you mean "version"?' in caught.value.message


@pytest.mark.parametrize("mapping", [{}, {"version": 2, "identities": []}])
def test_the_version_is_needed(mapping: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="version"):
        load_identities(mapping, source="x")


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match='more than once: "alice"'):
        load(entry(), entry(role="migrator"))


def identity(**change: object) -> Identity:
    made: Identity = Identity("a", "r", (), **change)  # type: ignore[arg-type]
    return made


def test_an_identity_may_expire_or_be_disabled() -> None:
    later = NOW + timedelta(seconds=1)
    assert identity().unusable_reason(NOW) == ""
    assert identity(valid_until=NOW).unusable_reason(NOW) == ""
    assert "valid until 2026" in identity(valid_until=NOW).unusable_reason(later)
    assert "disabled" in identity(disabled=True).unusable_reason(NOW)


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.0.0.1", False),
        ("fe80::1%eth0", True),
        ("fe81::1", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_networks_bound_where_an_identity_comes_from(address: str, may: bool) -> None:
    networks = (IPv4Network("10.0.0.0/8"), IPv6Network("fe80::/16"))
    assert identity(networks=networks).may_come_from(address) is may
    assert identity().may_come_from(address)


def test_an_unknown_name_looks_like_most_known_ones() -> None:
    rare = make_secret("x", salt=b"short", iterations=7).encode()
    identities = load(entry(), entry(name="b"), entry(name="c", secret=rare))
    mock = identities.mock("ghost", b"key")
    assert (mock.iterations, len(mock.salt)) == (1, 16)
    assert mock == identities.mock("ghost", b"key")
    assert Identities().mock("ghost", b"key").iterations == 4096


def test_secrets_are_not_printed() -> None:
    found = load(entry()).find("alice")
    assert "0123456789abcdef" not in repr(found)


def test_a_certificate_may_stand_beside_or_instead_of_a_secret() -> None:
    for secrets in ({}, {"secret": None}):
        changed: dict[str, object] = {"certificate": {"email": "a@b"}, **secrets}
        found = load(entry(**changed)).find("alice")
        assert found is not None
        assert found.certificate is not None
        assert found.certificate.name == "a@b"
        assert len(found.secrets) == (0 if secrets else 1)
