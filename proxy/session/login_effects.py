"""What a login asks of the shell, what it gives it, and what it must be told.

Plain values only. Imports the other values of a login.
Next: `proxy.session.login`, the machine that makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.policy.logins import Knock, Ways, everyone_by_password
from proxy.session.exchange import NeedVerification
from proxy.session.handshake import Send, StartTls

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from proxy.auth.claims import TokenEntry
    from proxy.auth.client_certificates import ClientCertificate
    from proxy.errors import ErrorReport
    from proxy.policy.decision import Decision, ShadowRefusal
    from proxy.session.wish import Outcome, Wish
    from proxy.wire.startup import CancelRequest


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """Who came in and what for; all of it proven, judged or harmless.

    Attributes:
        identity: the proven name.
        role: the identity's role in the policy.
        database: as asked for; the user name by default.
        application_name: as asked for, cleaned of what a terminal could choke on.
        settings: judged and allowed, lower-case names, each once.
        minor: minor protocol version spoken with this client: 0, 1 or 2.
        tls: whether the connection is encrypted.
        matched_secret: index of the identity's secret that was proven.
        shadows: names of settings that a rule in shadow would have refused, with that.
        authentication: how the identity was proven, in the audit log's word.
        login_rule: id of the policy's rule that asked for it; "" without such rules.
        proof: what else the audit record names of the proof; no secret.
        certificate: the client certificate that was part of the proof.
        max_session_s: how long the session may last by its proof; 0 for ever.
        token: which tokens proved the identity, where it was proven by one.
        own_role: the identity's own role, where `role` is lent to it.
        grant: id of what lends it; "" for a role of its own.
        sessions_since: that of the identity when it was proven.
    """

    identity: str
    role: str
    database: str
    application_name: str
    settings: tuple[tuple[str, str], ...]
    minor: int
    tls: bool
    matched_secret: int = 0
    shadows: tuple[tuple[str, ShadowRefusal], ...] = ()
    authentication: str = "scram-sha-256"
    login_rule: str = ""
    proof: tuple[tuple[str, str], ...] = ()
    certificate: ClientCertificate | None = None
    max_session_s: float = 0.0
    token: TokenEntry | None = None
    own_role: str = ""
    grant: str = ""
    sessions_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class NeedIdentity:
    """Look this name up and call `identified`, found or not."""

    user: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody with this key wants a statement stopped; close, answer nothing."""

    request: CancelRequest


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The client is in; AuthenticationOk is sent, parameters and keys are not."""

    request: LoginRequest


@dataclass(frozen=True, slots=True)
class Reject:
    """Send `data` (nothing to who speaks no Postgres), then close."""

    report: ErrorReport
    data: bytes
    outcome: Outcome
    operator_note: str = ""


Effect = (
    Send
    | StartTls
    | NeedIdentity
    | NeedVerification
    | CancelRequested
    | Authenticated
    | Reject
)


def _own_role(_identity: str, own_role: str) -> tuple[str, str]:
    return own_role, ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRules:
    """What the shell knows and the login does not.

    Attributes:
        tls_available: there is a certificate, so SSLRequest is answered with S.
        plaintext_allowed: this connection may stay in plain text (it is loopback).
        may_login: (role, database) → whether this role may have an SQL session.
        lent: (identity, its own role) → the role it acts as, and the grant that lends
            it; "" for its own.
        judge_setting: (role, wish, name, value) → whether a start-up setting of the
            wish is allowed.
        ways: how a client may log in, and a stranger in its place.
    """

    tls_available: bool
    plaintext_allowed: bool
    may_login: Callable[[str, str], Decision]
    judge_setting: Callable[[str, Wish, str, str], Decision]
    ways: Callable[[Knock], Ways] = everyone_by_password
    lent: Callable[[str, str], tuple[str, str]] = _own_role
