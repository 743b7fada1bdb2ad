"""Ask clients for certificates in the TLS handshake, and look at revocation lists.

A certificate is wished for, never demanded: who has none may log in by another way, if
the policy has one for it. One that is shown and is not good ends the handshake.
Next: `proxy.server.tls`.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import structlog

from proxy.auth.client_certificates import (
    read_client_certificate,
    read_revocations,
)
from proxy.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from proxy.auth.client_certificates import ClientCertificate, Revocations
    from proxy.server.server import Server
    from proxy.session.login_effects import LoginRequest
    from proxy.settings import TlsSettings

_log = structlog.get_logger("tls")


def ask_for_certificates(
    context: ssl.SSLContext, settings: TlsSettings
) -> Revocations | None:
    """Have the context ask clients for a certificate, and verify it.

    Returns:
        What the revocation lists name; None without a list.

    Raises:
        ConfigError: a file can't be used.
    """
    if settings.client_ca is None:
        raise ConfigError('the settings have no "tls.client_ca"')
    _load(context, settings.client_ca, "client CA")
    if not context.cert_store_stats()["x509_ca"]:
        raise ConfigError(
            f'client CA file "{settings.client_ca}" holds no certificate of an '
            "authority"
        )
    context.verify_mode = ssl.CERT_OPTIONAL
    # A session that is taken up again brings a certificate that OpenSSL does not look
    # at anew. Without tickets that happens in TLS 1.2 alone, and within this context:
    # a reload ends it, and time is looked at below and in `by_certificate`.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    if settings.client_crl is None:
        return None
    _load(context, settings.client_crl, "client revocation list")
    # Of every authority in the chain, as Postgres has it (be-secure-openssl.c): an
    # authority without a list, or with one that is outdated, vouches for nobody.
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    try:
        return read_revocations(settings.client_crl.read_bytes())
    except ConfigError as error:
        raise ConfigError(
            f'client revocation list "{settings.client_crl}" can\'t be used: '
            f"{error.message}"
        ) from error


def _load(context: ssl.SSLContext, path: Path, what: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f'{what} file "{path}" can\'t be used: {said_of(error)}'
        ) from error


def shown_in(
    made: ssl.SSLObject, revocations: Revocations | None, now: datetime
) -> ClientCertificate | None:
    """The certificate that a client has shown in its handshake, if it counts."""
    der = made.getpeercert(binary_form=True)
    if not der or _is_outdated(revocations, now):
        return None
    return read_client_certificate(der)


def _is_outdated(revocations: Revocations | None, now: datetime) -> bool:
    end = None if revocations is None else revocations.next_update
    return end is not None and now > end


def warn_if_outdated(revocations: Revocations | None, now: datetime) -> None:
    """Tell the operator why no client certificate counts any more."""
    if revocations is not None and _is_outdated(revocations, now):
        _log.error(
            "revocation_list_outdated",
            good_until=f"{revocations.next_update:%Y-%m-%d %H:%M} UTC",
            so="no client certificate counts until there is a newer one",
        )


def revoked(server: Server, request: LoginRequest) -> str:
    """Why the certificate of a client counts no longer, "" if it does, or has none."""
    revocations = None if server.tls is None else server.tls.revocations
    certificate = request.certificate
    if revocations is None or certificate is None or not revocations.name(certificate):
        return ""
    return f'the client certificate "{certificate.subject}" was revoked'


def end_revoked(server: Server) -> None:
    """End the sessions of certificates that were taken back."""
    for link in list(server.links):
        if reason := revoked(server, link.request):
            link.expel(reason)


def said_of(error: Exception) -> str:
    """What went wrong, in the words of OpenSSL or the system and without the rest."""
    if isinstance(error, ssl.SSLError):
        # Without a reason it is "[SSL] PEM lib (_ssl.c:3926)".
        reason: str | None = error.reason
        return reason.lower().replace("_", " ") if reason else "not in PEM form"
    return reason_of(error) if isinstance(error, OSError) else str(error)
