"""A certificate authority for tests: certificates for clients, and revocation lists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, in memory and on disk."""

    certificate: x509.Certificate
    path: Path
    key: Path

    @property
    def chain(self) -> tuple[Path, Path]:
        return self.path, self.key

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


class Authority:
    """One authority, with its files in a folder."""

    def __init__(self, folder: Path, name: str = "People CA") -> None:
        self._folder = folder
        self._serials = count(1)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder(
                self.name,
                self.name,
                self._key.public_key(),
                serial_number=x509.random_serial_number(),
                not_valid_before=now - 400 * DAY,
                not_valid_after=now + 30 * DAY,
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=True,
                    crl_sign=True,
                    encipher_only=False,
                    decipher_only=False,
                ),
                True,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False
            )
            .sign(self._key, hashes.SHA256())
        )
        self.path = folder / f"{name.replace(' ', '-')}.pem"
        self.path.write_bytes(made.public_bytes(Encoding.PEM))

    @property
    def dn(self) -> str:
        """Its name, as a policy writes it."""
        return self.name.rfc4514_string()

    def issue(
        self,
        *common_names: str,
        names: Sequence[x509.GeneralName] = (),
        until: timedelta = 10 * DAY,
        for_clients: bool = True,
    ) -> Issued:
        """A certificate for a client; or for a server only, if told so."""
        now = datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        serial = next(self._serials)
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
                *(x509.NameAttribute(NameOID.COMMON_NAME, n) for n in common_names),
            ]
        )
        use = (
            ExtendedKeyUsageOID.CLIENT_AUTH
            if for_clients
            else ExtendedKeyUsageOID.SERVER_AUTH
        )
        builder = x509.CertificateBuilder(
            self.name,
            subject,
            key.public_key(),
            serial_number=serial,
            not_valid_before=now - 300 * DAY,
            not_valid_after=now + until,
        ).add_extension(x509.ExtendedKeyUsage([use]), False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        certificate = builder.sign(self._key, hashes.SHA256())
        stem = self._folder / f"{self.path.stem}-{serial}"
        issued = Issued(certificate, stem.with_suffix(".crt"), stem.with_suffix(".key"))
        issued.path.write_bytes(certificate.public_bytes(Encoding.PEM))
        issued.key.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        issued.key.chmod(0o600)
        return issued

    def revocation_list(
        self, *revoked: Issued, next_update: timedelta = 5 * DAY
    ) -> bytes:
        """A list in PEM form."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder(
            self.name, now - 20 * DAY, now + next_update
        )
        for each in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder(
                    each.certificate.serial_number, now - DAY
                ).build()
            )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
