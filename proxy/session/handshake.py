"""Effects that both handshakes ask of the shell, as plain values.

Imports nothing. Next: `proxy.session.login` and `proxy.session.upstream`.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes to the peer of this handshake."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StartTls:
    """Once all is written, begin TLS, then call `tls_started`.

    Nothing received before that moment may be taken as TLS or as protocol: bytes the
    shell's transport still holds are a violation (CVE-2021-23214, CVE-2021-3935).
    """
