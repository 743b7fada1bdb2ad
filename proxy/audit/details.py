"""What the records of a session's beginning and end say, as plain values.

Pure. Next: `proxy.audit.records`, which puts them into fragments.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from proxy.audit.ascii import is_unicode, json_ascii, spelled_out
from proxy.policy.decision import ShadowRefusal  # noqa: TC001  (encoded)


class SessionStart(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a session.start record says beside who it is; unset fields are left out.

    Attributes:
        authentication: how the client proved itself, such as "scram-sha-256".
        login_rule: id of the policy's rule that asked for it.
        proof: what else is known of it; never a secret.
        client_port: its TCP port.
        tls: TLS version; "" for plain text.
        protocol: protocol version agreed on, "3.0".
        upstream: which of several hosts the session is on; "" where there is one.
        upstream_user: the role pgwarden logged in as upstream.
        backend_pid: process id of the upstream backend.
        policy: version of the policy in force.
        settings: start-up parameters passed on (never a password).
        shadow: of these, the ones that a rule in shadow would have refused.
    """

    authentication: str
    login_rule: str = ""
    proof: dict[str, str] = {}
    client_port: int = 0
    tls: str = ""
    protocol: str = ""
    upstream: str = ""
    upstream_user: str = ""
    backend_pid: int = 0
    policy: str = ""
    settings: dict[str, str] = {}
    shadow: dict[str, ShadowRefusal] = {}


class SessionEnd(Struct, frozen=True, kw_only=True):
    """What a session.end record says.

    A refused login has no session.start: its one record is a session.end with status
    "refused", the identity *claimed* and the role "".

    Attributes:
        reason: a few words for people, such as "client closed the connection".
        duration_s: seconds since the connection was accepted.
        status: "ended", or "refused" where the login was.
        sqlstate: of the FATAL error sent to the client, "" if there was none.
        statements: statement records of this session.
        denied: how many of those were refusals.
        bytes_in: bytes received from the client.
        bytes_out: bytes sent to the client.
    """

    reason: str
    duration_s: float
    status: Literal["ended", "refused"] = "ended"
    sqlstate: str = ""
    statements: int = 0
    denied: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class Internal(Struct, frozen=True, omit_defaults=True):
    """What an internal record says: something pgwarden itself did."""

    purpose: str
    text: str = ""
    detail: dict[str, str] = {}


def inside(details: Struct) -> bytes:
    """The details as a fragment; strings that JSON can't hold are spelled out."""
    try:
        return json_ascii(details)[1:-1]
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(details)
        return json_ascii(_spelled(plain))[1:-1]


def _spelled(value: object) -> object:
    if isinstance(value, str):
        return value if is_unicode(value) else spelled_out(value)
    if isinstance(value, dict):
        return {str(_spelled(k)): _spelled(v) for k, v in value.items()}
    return value
