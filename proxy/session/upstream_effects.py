"""What a login to an upstream asks of the shell, and what comes of it. Plain values.

Next: `proxy.session.upstream`, the machine that makes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.session.handshake import Send, StartTls

if TYPE_CHECKING:
    from proxy.auth.scram_client import KeyRequest
    from proxy.errors import ErrorReport
    from proxy.session.upstream_plan import Place


@dataclass(frozen=True, slots=True)
class DeriveKey:
    """Run `request.derive()` (milliseconds, no GIL) and call `key_derived`."""

    request: KeyRequest


@dataclass(frozen=True, slots=True)
class UpstreamReady:
    """The upstream waits for the first command.

    Attributes:
        parameters: what it reported.
        relay: its ParameterStatus messages as they came, for the client.
        notices: its NoticeResponse messages as they came, for the client.
        pid: its process id; 0 if it gave no key.
        key: its real cancel key; never for a client.
        minor: minor protocol version spoken with it.
        leftover: what it sent behind ReadyForQuery.
        place: where it is.
    """

    parameters: dict[str, str]
    relay: bytes
    notices: bytes
    pid: int
    key: bytes = field(repr=False)
    minor: int
    leftover: bytes
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class UpstreamRefused:
    """No session: `report` is safe for the client, `operator_note` is for the log.

    `sqlstate` is the server's own, cleaned; "" where it gave none.
    """

    report: ErrorReport
    operator_note: str
    sqlstate: str = ""


Effect = Send | StartTls | DeriveKey | UpstreamReady | UpstreamRefused
