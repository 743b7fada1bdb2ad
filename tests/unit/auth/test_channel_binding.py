"""Which hash names a certificate: that of its signature, with the exceptions."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from proxy.auth.channel_binding import end_point_hash

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import (
        CertificateIssuerPrivateKeyTypes,
    )
    from cryptography.x509.base import _AllowedHashTypes

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


def signed(
    key: CertificateIssuerPrivateKeyTypes,
    algorithm: _AllowedHashTypes | None,
    pss: padding.PSS | None = None,
) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder(
        name,
        name,
        key.public_key(),
        serial_number=1,
        not_valid_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_valid_after=datetime(2036, 1, 1, tzinfo=UTC),
    )
    made = builder.sign(key, algorithm, rsa_padding=pss)
    return made.public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("key", "algorithm", "name"),
    [
        (RSA, hashes.SHA224(), "sha224"),
        (RSA, hashes.SHA256(), "sha256"),
        (RSA, hashes.SHA384(), "sha384"),
        (RSA, hashes.SHA512(), "sha512"),
        (EC, hashes.SHA256(), "sha256"),
        (EC, hashes.SHA512(), "sha512"),
        (EC, hashes.SHA3_256(), "sha3_256"),
    ],
)
def test_the_hash_is_that_of_the_signature(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    algorithm: _AllowedHashTypes,
    name: str,
) -> None:
    certificate = signed(key, algorithm)
    assert end_point_hash(certificate) == hashlib.new(name, certificate).digest()


def test_rsa_pss_hides_its_hash_in_parameters() -> None:
    pss = padding.PSS(padding.MGF1(hashes.SHA384()), padding.PSS.DIGEST_LENGTH)
    certificate = signed(RSA, hashes.SHA384(), pss)
    assert end_point_hash(certificate) == hashlib.sha384(certificate).digest()


@pytest.mark.parametrize(
    ("oid", "name"), [("2a864886f70d010105", "sha1"), ("2a864886f70d010104", "md5")]
)
def test_sha256_stands_in_for_what_is_too_weak(oid: str, name: str) -> None:
    # Nobody signs so any more, this library included: only the name of it is changed.
    sha256 = bytes.fromhex("2a864886f70d01010b")
    certificate = signed(RSA, hashes.SHA256()).replace(sha256, bytes.fromhex(oid))
    found = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    assert found is not None
    assert found.name == name
    assert end_point_hash(certificate) == hashlib.sha256(certificate).digest()


def test_a_signature_without_a_hash_binds_nothing() -> None:
    assert end_point_hash(signed(ed25519.Ed25519PrivateKey.generate(), None)) is None


@pytest.mark.parametrize("certificate", [b"", b"none", b"\x30\x03\x02\x01\x01"])
def test_what_is_no_certificate_binds_nothing(certificate: bytes) -> None:
    assert end_point_hash(certificate) is None
