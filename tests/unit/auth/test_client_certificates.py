"""Whose certificate it is: exact names, one kind, the right issuer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from pydantic import ValidationError

from proxy.auth.client_certificates import (
    CertificateName,
    ClientCertificate,
    read_client_certificate,
    read_revocations,
)
from proxy.errors import ConfigError
from tests.authority import DAY, Authority

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


NAMES = [
    x509.RFC822Name("Ana@Example.com"),
    x509.DNSName("Build.example.com"),
    x509.DNSName("*.example.com"),
    x509.UniformResourceIdentifier("spiffe://example.com/Ana"),
]


@pytest.fixture(scope="module")
def shown(authority: Authority) -> ClientCertificate:
    found = read_client_certificate(authority.issue("Ana", names=NAMES).der)
    assert found is not None
    return found


def test_what_a_certificate_says(authority: Authority) -> None:
    issued = authority.issue("Ana", names=NAMES)
    found = read_client_certificate(issued.der)
    assert found is not None
    assert found.names == (
        ("common_name", "Ana"),
        ("email", "Ana@Example.com"),
        ("dns", "Build.example.com"),
        ("dns", "*.example.com"),
        ("uri", "spiffe://example.com/Ana"),
    )
    assert dict(found.proof()) == {
        "subject": "CN=Ana,O=Example",
        "issuer": "CN=People CA,O=Example",
        "serial": f"{issued.certificate.serial_number:X}",
    }
    assert found.valid_from < datetime.now(UTC) < found.valid_until


@pytest.mark.parametrize("der", [b"", b"none", b"\x30\x03\x02\x01\x01"])
def test_what_is_no_certificate_names_nobody(der: bytes) -> None:
    assert read_client_certificate(der) is None


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({"email": "Ana@example.COM"}, True),
        ({"email": "ana@example.com"}, False),
        ({"email": "Ana@example.com.evil"}, False),
        ({"email": "Example.com"}, False),
        ({"dns": "build.EXAMPLE.com"}, True),
        ({"dns": "example.com"}, False),
        ({"dns": "other.example.com"}, False),
        ({"uri": "spiffe://example.com/Ana"}, True),
        ({"uri": "spiffe://example.com/ana"}, False),
        ({"uri": "spiffe://example.com/"}, False),
        ({"common_name": "Ana"}, True),
        ({"common_name": "ana"}, False),
        ({"common_name": "Build.example.com"}, False),
        ({"email": "Ana"}, False),
        ({"dns": "Ana"}, False),
        ({"subject": "CN=Ana,O=Example"}, True),
        ({"subject": "O=Example,CN=Ana"}, False),
        ({"subject": "CN=Ana"}, False),
        ({"common_name": "Ana", "issuer": "CN=People CA,O=Example"}, True),
        ({"common_name": "Ana", "issuer": "CN=Machine CA,O=Example"}, False),
        ({"common_name": "{identity}"}, True),
        ({"email": "{identity}@example.com"}, True),
        ({"uri": "spiffe://example.com/{identity}"}, True),
        ({"uri": "spiffe://example.org/{identity}"}, False),
    ],
)
def test_names_are_compared_whole(
    shown: ClientCertificate, wanted: dict[str, str], fits: bool
) -> None:
    assert CertificateName(**wanted).fits(shown, "Ana") is fits


def test_an_identity_is_no_pattern(shown: ClientCertificate) -> None:
    wanted = CertificateName(email="{identity}@example.com")
    for identity in ("*", "", "Ana@example.com", "{identity}", "Ana\0"):
        assert not wanted.fits(shown, identity)


@pytest.mark.parametrize("common_names", [(), ("Ana", "Bob"), ("Ana\0.evil",)])
def test_a_common_name_that_is_not_one_is_nobodys(
    authority: Authority, common_names: tuple[str, ...]
) -> None:
    found = read_client_certificate(authority.issue(*common_names).der)
    assert found is not None
    for name in ("Ana", "Bob", ""):
        assert not CertificateName(common_name="{identity}").fits(found, name)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({}, "exactly one of email, dns, uri, common_name, subject"),
        ({"email": "a@b", "dns": "b"}, "exactly one of"),
        ({"issuer": "CN=x"}, "exactly one of"),
        ({"dns": "*.example.com"}, "no wildcards"),
        ({"email": ""}, "at least 1 character"),
        ({"subject": "Ana"}, "is no distinguished name"),
        ({"email": "a@b", "issuer": "CN=x, O=y"}, "is no distinguished name"),
        ({"mail": "a@b"}, "mail"),
    ],
)
def test_what_names_no_certificate_is_refused(
    wanted: dict[str, str], told: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        CertificateName(**wanted)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "wanted",
    [
        {"common_name": "gateway"},
        {"subject": "CN={identity}"},
        {"uri": "x/{identity}/{identity}"},
        {"uri": "x/{identity}/{role}"},
    ],
)
def test_a_rule_that_names_one_certificate_would_let_it_be_anybody(
    wanted: dict[str, str],
) -> None:
    with pytest.raises(ValueError, match="of many identities"):
        CertificateName(**wanted).check_of_many()


def test_an_identity_names_one_certificate() -> None:
    with pytest.raises(ValueError, match="is for rules"):
        CertificateName(common_name="{identity}").check_of_one()


def test_revocation_lists_name_certificates_of_their_issuer(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "Machine CA")
    ours, theirs = authority.issue("a"), other.issue("a")
    pem = authority.revocation_list(ours, next_update=2 * DAY)
    found = read_revocations(pem + b"a note\n" + other.revocation_list())
    read = [read_client_certificate(each.der) for each in (ours, theirs)]
    assert all(read)
    assert [found.name(each) for each in read if each] == [True, False]
    assert found.next_update is not None
    assert found.next_update - datetime.now(UTC) < 3 * DAY


@pytest.mark.parametrize(
    ("pem", "told"),
    [
        (b"", "no revocation list"),
        (b"-----BEGIN CERTIFICATE-----\n", "no revocation list"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "no sense"),
    ],
)
def test_what_is_no_revocation_list_is_told(pem: bytes, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_revocations(pem)
