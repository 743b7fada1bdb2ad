"""Channel binding `tls-server-end-point`: a login that is tied to one TLS certificate.

Both sides hash the certificate that the server has shown, so a login can't be passed on
by somebody in the middle who shows another one. Imports cryptography and hashlib only.
Next: `proxy.auth.scram`, which signs the hash.
https://www.rfc-editor.org/rfc/rfc5929#section-4
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import load_der_x509_certificate

TLS_SERVER_END_POINT: Final = "tls-server-end-point"
"""The one kind that Postgres knows, as it is spelled in SCRAM."""

_TOO_WEAK: Final = frozenset({"md5", "sha1"})
"""RFC 5929 section 4.1: SHA-256 stands in for these."""


def end_point_hash(certificate: bytes) -> bytes | None:
    """What both sides of a login sign to name the server's certificate.

    The hash function is that of the certificate's own signature. None where there is
    none: Ed25519 and Ed448 hash inside themselves, and RFC 5929 leaves such
    certificates undefined. Postgres and libpq then fail ("could not find digest for
    NID UNDEF", be-secure-openssl.c and fe-secure-openssl.c).

    Args:
        certificate: the server's own, as DER.
    """
    try:
        found = load_der_x509_certificate(certificate).signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        return None
    if found is None:
        return None
    name = "sha256" if found.name in _TOO_WEAK else found.name.replace("-", "_")
    try:
        return hashlib.new(name, certificate).digest()
    except ValueError:
        return None
