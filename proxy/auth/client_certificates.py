"""Client certificates: what they say, whom they name, and which were taken back.

That a certificate is of a trusted authority, valid and made for clients is for TLS to
see; here it is only asked whose it is. Names are compared whole and exactly: no
wildcard, no part of a name, and the common name only where one asks for it.
Imports cryptography, pydantic and `proxy.errors`. Next: `proxy.session.by_certificate`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, Self

from cryptography import x509
from cryptography.x509.oid import NameOID
from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from proxy.errors import ConfigError

if TYPE_CHECKING:
    from datetime import datetime

PLACEHOLDER: Final = "{identity}"
"""In a rule's `certificate`: the name that the client gives."""

_END_OF_CRL: Final = b"-----END X509 CRL-----"

Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a certificate that TLS has verified says of its holder.

    Attributes:
        subject: distinguished name, as RFC 4514 writes it.
        issuer: that of the authority which signed it.
        serial: its number with that authority.
        names: kind and value of each name: "email", "dns" and "uri" are subject
            alternative names, "common_name" is in the subject.
        valid_from: aware.
        valid_until: aware.
        issuer_der: the issuer's name, for comparison with a revocation list.
    """

    subject: str
    issuer: str
    serial: int
    names: tuple[tuple[str, str], ...]
    valid_from: datetime
    valid_until: datetime
    issuer_der: bytes = field(repr=False)

    def proof(self) -> tuple[tuple[str, str], ...]:
        """What the audit log names of it."""
        return (
            ("subject", self.subject),
            ("issuer", self.issuer),
            ("serial", f"{self.serial:X}"),
        )


def read_client_certificate(der: bytes) -> ClientCertificate | None:
    """Read the certificate that a client has shown; None if there is no sense in it."""
    try:
        found = x509.load_der_x509_certificate(der)
        return ClientCertificate(
            found.subject.rfc4514_string(),
            found.issuer.rfc4514_string(),
            found.serial_number,
            tuple(_names(found)),
            valid_from=found.not_valid_before_utc,
            valid_until=found.not_valid_after_utc,
            issuer_der=found.issuer.public_bytes(),
        )
    except (ValueError, TypeError, x509.DuplicateExtension):
        return None


def _names(certificate: x509.Certificate) -> list[tuple[str, str]]:
    common = [
        str(each.value)
        for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    ]
    # Of several, Postgres takes one and others another: then it is nobody's.
    names = [("common_name", common[0])] if len(common) == 1 else []
    try:
        found = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except x509.ExtensionNotFound:
        return names
    for kind, general in (
        ("email", x509.RFC822Name),
        ("dns", x509.DNSName),
        ("uri", x509.UniformResourceIdentifier),
    ):
        names += [(kind, str(value)) for value in found.get_values_for_type(general)]
    return names


class CertificateName(BaseModel):
    """Whose certificate it must be: one kind of name, and the issuer where given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    email: Text | None = None
    dns: Text | None = None
    uri: Text | None = None
    common_name: Text | None = None
    subject: Text | None = None
    issuer: Text | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        kinds = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"give exactly one of {', '.join(_KINDS)}")
        if "*" in self.name:
            raise ValueError("a certificate's name is compared whole: no wildcards")
        for each in (self.subject, self.issuer):
            if each is not None:
                _distinguished(each)
        return self

    @property
    def kind(self) -> str:
        """Which kind of name is compared."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def name(self) -> str:
        """The name itself, with or without the placeholder."""
        return str(getattr(self, self.kind))

    def check_of_one(self) -> None:
        """Insist that it stands for one certificate holder.

        Raises:
            ValueError: it holds braces.
        """
        if "{" in self.name or "}" in self.name:
            raise ValueError(f"{PLACEHOLDER} is for rules of the policy")

    def check_of_many(self) -> None:
        """Insist that it names another holder for each identity.

        Otherwise whoever has that one certificate could come in by any name.

        Raises:
            ValueError: it does not.
        """
        rest = self.name.replace(PLACEHOLDER, "", 1)
        if self.subject is not None or rest == self.name or "{" in rest or "}" in rest:
            raise ValueError(
                f"of many identities, it must hold {PLACEHOLDER} once, and not be a "
                "subject"
            )

    def fits(self, certificate: ClientCertificate, identity: str) -> bool:
        """Whether the certificate is that of this identity."""
        wanted = self.name.replace(PLACEHOLDER, identity)
        if self.issuer is not None and _distinguished(self.issuer) != (
            certificate.issuer
        ):
            return False
        if self.kind == "subject":
            return _distinguished(wanted) == certificate.subject
        return any(
            kind == self.kind and _alike(kind, value) == _alike(kind, wanted)
            for kind, value in certificate.names
        )


_KINDS: Final = ("email", "dns", "uri", "common_name", "subject")


def _alike(kind: str, name: str) -> str:
    """Names of hosts have no upper case of their own (RFC 5280, 7.2 and 7.5)."""
    if kind == "dns":
        return _lower(name)
    if kind == "email":
        local, at, host = name.rpartition("@")
        return local + at + _lower(host)
    return name


def _lower(name: str) -> str:
    # ASCII only, so that no odd letter turns into another.
    return name.encode(errors="surrogatepass").lower().decode(errors="surrogatepass")


def _distinguished(text: str) -> str:
    """A distinguished name in the one spelling that is compared.

    Raises:
        ValueError: it is none.
    """
    try:
        return x509.Name.from_rfc4514_string(text).rfc4514_string()
    except ValueError:
        raise ValueError(
            f'"{text}" is no distinguished name: write it as openssl x509 -noout '
            "-subject -nameopt RFC2253 does"
        ) from None


class Revocations:
    """The certificates that revocation lists name, and when these are outdated.

    Attributes:
        next_update: when the first of the lists must have a successor; None if never.
    """

    __slots__ = ("_revoked", "next_update")

    def __init__(self, lists: list[x509.CertificateRevocationList]) -> None:
        self._revoked = {
            (each.issuer.public_bytes(), entry.serial_number)
            for each in lists
            for entry in each
        }
        ends = [each.next_update_utc for each in lists]
        self.next_update = min((end for end in ends if end is not None), default=None)

    def __len__(self) -> int:
        return len(self._revoked)

    def name(self, certificate: ClientCertificate) -> bool:
        """Whether one of the lists names this certificate."""
        return (certificate.issuer_der, certificate.serial) in self._revoked


def read_revocations(pem: bytes) -> Revocations:
    """Read the revocation lists of a file in PEM form.

    Raises:
        ConfigError: there is none in it, or one makes no sense.
    """
    blocks = pem.split(_END_OF_CRL)[:-1]
    try:
        lists = [x509.load_pem_x509_crl(each + _END_OF_CRL + b"\n") for each in blocks]
        revocations = Revocations(lists)
    except ValueError:
        raise ConfigError("a revocation list in it makes no sense") from None
    if not lists:
        raise ConfigError("it holds no revocation list in PEM form")
    return revocations
