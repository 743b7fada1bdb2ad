"""The TLS of each upstream login: what the upstream must prove, and what we show it.

Next: `proxy.server.tls`, the context itself; `proxy.server.dial`, which uses it.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from proxy.auth.channel_binding import end_point_hash
from proxy.errors import ConfigError, reason_of
from proxy.server.client_tls import said_of
from proxy.server.private_files import check_key_file
from proxy.server.tls import no_password, upstream_context
from proxy.server.upstream_users import Key, resolved

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable
    from pathlib import Path

    from proxy.settings_upstream import UpstreamSettings

    Files = tuple[Path, Path] | None


class Contexts:
    """A TLS context for each certificate of ours; all demand the same of the server."""

    def __init__(self, settings: UpstreamSettings, keys: Iterable[Key]) -> None:
        """Read every file, so that a mistake shows at once.

        Args:
            settings: the upstream's.
            keys: the logins in use.

        Raises:
            ConfigError: a CA, certificate or key can't be used.
        """
        self._settings = settings
        self._files = {key: self._files_of(key) for key in keys}
        self._common = _pair(settings.tls.certificate, settings.tls.key)
        self._made: dict[Files, ssl.SSLContext | None] = {}
        self.common = self._make(self._common)
        for key, files in self._files.items():
            if files is None:
                continue
            for path in files:
                _check_readable(path)
            check_key_file(files[1])
            if not key.identity:
                self._make(files)

    def of(self, key: Key) -> ssl.SSLContext | None:
        """That of one login; None where TLS is switched off.

        Raises:
            ConfigError: its certificate can't be used. (Those of single identities are
                read when they first log in: there may be many.)
        """
        files = self._files.get(key) or self._common
        return self._made[files] if files in self._made else self._make(files)

    def _files_of(self, key: Key) -> Files:
        login = resolved(self._settings.logins[key.login], key.identity)
        return _pair(login.certificate, login.key)

    def _make(self, files: Files) -> ssl.SSLContext | None:
        context = upstream_context(self._settings.tls)
        if context is not None and files is not None:
            _show(context, *files)
        self._made[files] = context
        return context


def _pair(certificate: Path | None, key: Path | None) -> Files:
    # The settings have both or neither.
    return None if certificate is None or key is None else (certificate, key)


def binding_of(transport: asyncio.BaseTransport) -> bytes:
    """The `tls-server-end-point` of a connection; b"" where it has none."""
    tls = transport.get_extra_info("ssl_object")
    certificate = None if tls is None else tls.getpeercert(binary_form=True)
    return b"" if certificate is None else end_point_hash(certificate) or b""


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    _check_readable(certificate)
    check_key_file(key)
    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(
            f'upstream certificate "{certificate}" and key "{key}" can\'t be used: '
            f"{said_of(error)}"
        ) from error


def _check_readable(path: Path) -> None:
    try:
        path.open("rb").close()  # OpenSSL would not say which of the two it is
    except OSError as error:
        raise ConfigError(
            f'upstream TLS file "{path}" can\'t be read: {reason_of(error)}'
        ) from error
