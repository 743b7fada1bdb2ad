"""TLS contexts: what clients are shown, and how much an upstream must prove.

Source: https://www.postgresql.org/docs/18/libpq-ssl.html for the meaning of the modes.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from proxy.errors import ConfigError

if TYPE_CHECKING:
    from proxy.settings import TlsSettings, UpstreamTls

ALPN = "postgresql"


def frontend_context(settings: TlsSettings) -> ssl.SSLContext:
    """The context for clients.

    Raises:
        ConfigError: certificate or key can't be read or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    for path in (settings.certificate, settings.key):
        if not path.is_file():
            raise ConfigError(f'TLS file "{path}" does not exist')
    try:
        context.load_cert_chain(
            settings.certificate, settings.key, password=_no_password
        )
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(
            f'TLS certificate "{settings.certificate}" and key "{settings.key}" can\'t '
            f"be used: {getattr(error, 'reason', None) or error}"
        ) from error
    return context


def _no_password() -> str:
    # Without this, OpenSSL would ask for it on the terminal.
    raise ValueError("the key is encrypted; give one without a passphrase")


def upstream_context(settings: UpstreamTls) -> ssl.SSLContext | None:
    """The context for the upstream; None where TLS is switched off.

    Raises:
        ConfigError: the CA file can't be read.
    """
    if settings.mode == "disable":
        return None
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    context.check_hostname = settings.mode == "verify-full"
    if settings.mode in {"verify-ca", "verify-full"}:
        context.verify_mode = ssl.CERT_REQUIRED
    else:
        context.verify_mode = ssl.CERT_NONE
    if settings.ca is not None:
        try:
            context.load_verify_locations(cafile=settings.ca)
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(
                f'upstream CA file "{settings.ca}" can\'t be used: '
                f"{getattr(error, 'reason', None) or error}"
            ) from error
    return context
