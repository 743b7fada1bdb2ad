"""TLS contexts: what clients are shown, and how much an upstream must prove.

Source: https://www.postgresql.org/docs/18/libpq-ssl.html for the meaning of the modes.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates

from proxy.auth.channel_binding import end_point_hash
from proxy.errors import ConfigError, reason_of
from proxy.server.client_tls import ask_for_certificates, said_of, shown_in
from proxy.session.exchange import Channel

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.auth.client_certificates import Revocations
    from proxy.policy.logins import Logins
    from proxy.settings import TlsSettings
    from proxy.settings_upstream import UpstreamTls

ALPN = "postgresql"
CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:!PSK"
"""For TLS 1.2: forward secrecy and authenticated encryption, the list of Mozilla's
"intermediate" without finite-field DHE. Every libpq, JDBC and Node of the last ten
years has one of them. TLS 1.3 has no others."""


@dataclass(frozen=True, slots=True)
class FrontendTls:
    """What clients are shown; a reload makes another one, for those who come then.

    Attributes:
        context: for the handshake.
        end_point: `end_point_hash` of the certificate in it.
        revocations: of client certificates; None without a list.
    """

    context: ssl.SSLContext
    end_point: bytes | None
    revocations: Revocations | None = None

    def channel(self, made: ssl.SSLObject | None, now: datetime) -> Channel:
        """What a login through a connection that was made by this can build on."""
        if made is None:
            return Channel(self.end_point)
        return Channel(self.end_point, shown_in(made, self.revocations, now))


def frontend_tls(settings: TlsSettings, logins: Logins) -> FrontendTls:
    """The TLS for clients, from the files as they are now.

    Args:
        settings: where the files are.
        logins: who asks for a client certificate or for channel binding.

    Raises:
        ConfigError: a file can't be read, certificate and key do not belong together,
            or a rule asks for what can't be had.
    """
    context = _frontend_context(settings)
    certificate = load_pem_x509_certificates(settings.certificate.read_bytes())[0]
    end_point = end_point_hash(certificate.public_bytes(Encoding.DER))
    if end_point is None and logins.bound:
        raise ConfigError(
            f'login rule "{logins.bound}" demands channel binding, and the signature '
            f'of TLS certificate "{settings.certificate}" has no hash for it',
            hint="take one with an RSA or ECDSA signature",
        )
    revocations = None
    if logins.by_certificate and settings.client_ca is not None:
        revocations = ask_for_certificates(context, settings)
    return FrontendTls(context, end_point, revocations)


def _frontend_context(settings: TlsSettings) -> ssl.SSLContext:
    """The context for clients.

    Raises:
        ConfigError: certificate or key can't be read or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    for path in (settings.certificate, settings.key):
        try:
            path.open("rb").close()  # OpenSSL would not say which of the two it is
        except OSError as error:
            raise ConfigError(
                f'TLS file "{path}" can\'t be read: {reason_of(error)}'
            ) from error
    try:
        context.load_cert_chain(
            settings.certificate, settings.key, password=no_password
        )
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(
            f'TLS certificate "{settings.certificate}" and key "{settings.key}" can\'t '
            f"be used: {said_of(error)}"
        ) from error
    return context


def refuse_outdated(settings: TlsSettings, now: datetime) -> None:
    """Stop a start with a certificate that no client will accept.

    Only at the start: later on, an expired certificate must not keep a new policy out.

    Raises:
        ConfigError: it has expired, or is not valid yet.
    """
    try:
        certificate = load_pem_x509_certificates(settings.certificate.read_bytes())[0]
    except OSError as error:
        raise ConfigError(
            f'TLS certificate "{settings.certificate}" can\'t be read: '
            f"{reason_of(error)}"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f'TLS certificate "{settings.certificate}" holds no certificate in PEM form'
        ) from error
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        raise ConfigError(
            f'TLS certificate "{settings.certificate}" expired on {end:%Y-%m-%d %H:%M} '
            "UTC"
        )
    if now < begin:
        raise ConfigError(
            f'TLS certificate "{settings.certificate}" is not valid before '
            f"{begin:%Y-%m-%d %H:%M} UTC",
            hint="is the clock of this machine right?",
        )


def no_password() -> str:
    """Refuse an encrypted key."""
    # Without this, OpenSSL would ask for it on the terminal.
    raise ValueError("the key is encrypted; give one without a passphrase")


def upstream_context(settings: UpstreamTls) -> ssl.SSLContext | None:
    """The context for the upstream; None where TLS is switched off.

    Raises:
        ConfigError: the CA file can't be read.
    """
    if settings.mode == "disable":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    context.check_hostname = settings.mode == "verify-full"
    # As in libpq, "require" with a CA at hand means "verify-ca".
    is_verified = settings.mode in {"verify-ca", "verify-full"} or (
        settings.mode == "require" and settings.ca is not None
    )
    context.verify_mode = ssl.CERT_REQUIRED if is_verified else ssl.CERT_NONE
    if settings.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        # Only this one: with the system's beside it, any public authority could
        # vouch for a database.
        try:
            context.load_verify_locations(cafile=settings.ca)
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(
                f'upstream CA file "{settings.ca}" can\'t be used: {said_of(error)}'
            ) from error
    return context
