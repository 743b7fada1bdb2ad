"""What one way to log in says to the login that runs it: steps, and one interface.

An exchange never sees a socket, and never decides more than whether the client has
proven to be whom it says. Imports nothing but values.
Next: `proxy.session.ways`, which opens one, and `proxy.session.login`, which runs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.auth.claims import TokenEntry
    from proxy.auth.client_certificates import ClientCertificate
    from proxy.auth.identities import Identity
    from proxy.auth.secrets import ScramSecret


@dataclass(frozen=True, slots=True)
class Channel:
    """The TLS that a client came through.

    Attributes:
        end_point: `end_point_hash` of the certificate that this client was shown; None
            where it has none.
        certificate: the client's own, which TLS has verified; None if it has shown
            none.
    """

    end_point: bytes | None = None
    certificate: ClientCertificate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Who wants to come in; nothing of it is proven.

    Attributes:
        user: the name it gives.
        identity: the identity of that name; None if there is none.
        mock: a secret that no password fits, made for every name.
        doom: why it can't come in whatever it proves, for the operator; "" if it can.
        channel: its TLS; None in plain text.
        nonce: fresh randomness, encoded.
        now: the time; aware.
    """

    user: str
    identity: Identity | None
    mock: ScramSecret
    doom: str
    channel: Channel | None
    nonce: bytes
    now: datetime


@dataclass(frozen=True, slots=True)
class Ask:
    """Send `data`; the client answers by one message, of at most `most` bytes."""

    data: bytes = field(repr=False)
    most: int


@dataclass(frozen=True, slots=True)
class NeedVerification:
    """Have what the client sent verified, and call `verified`; read nothing meanwhile.

    Attributes:
        user: the name that the client gives.
        issuer: whose word it should be, by the name that the policy uses.
        credential: what it sent; a secret.
    """

    user: str
    issuer: str
    credential: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer to `NeedVerification`.

    Attributes:
        identity: whom the credential proves; None if it proves nothing.
        note: why it proves nothing, for the operator alone.
        proof: what the audit record should name of it; no secret.
        hint: what the client may do about it.
        discovery_url: where the issuer says what it can do.
        scope: what a client should ask the issuer for.
        max_session_s: how long the session may last; 0 for as long as it likes.
    """

    identity: Identity | None
    note: str = ""
    proof: tuple[tuple[str, str], ...] = ()
    hint: str = ""
    discovery_url: str = ""
    scope: str = ""
    max_session_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Proven:
    """The client is whom it says.

    Attributes:
        authentication: how, in the audit log's word.
        data: the exchange's last message.
        identity: who, where it was not the identity that was found by name.
        matched_secret: index of the secret that was proven.
        certificate: the client certificate that was part of the proof.
        proof: what else the audit record should name; no secret.
        max_session_s: how long the session may last; 0 for as long as it likes.
        token: which tokens prove that identity, where it was proven by one.
    """

    authentication: str
    data: bytes = field(default=b"", repr=False)
    identity: Identity | None = None
    matched_secret: int = 0
    certificate: ClientCertificate | None = None
    proof: tuple[tuple[str, str], ...] = ()
    max_session_s: float = 0.0
    token: TokenEntry | None = None


@dataclass(frozen=True, slots=True)
class Unproven:
    """The client is not whom it says.

    Attributes:
        note: why, for the operator.
        hint: what the client may do about it.
        what: what has failed, in the words that Postgres has for it.
        is_question: it was no attempt: the client only asked how to make one.
    """

    note: str
    hint: str = ""
    what: str = "password"
    is_question: bool = False


Step = Ask | NeedVerification | Proven | Unproven


class Exchange(Protocol):
    """One way to log in; each call gives the next step.

    Raises FrontendError where the client breaks the protocol, RefusedLoginError where
    it is who it says, and that is not enough.
    """

    def begin(self) -> Step:
        """The first step."""

    def receive(self, body: bytes) -> Step:
        """Take the body of the client's answer to `Ask`."""

    def verified(self, answer: Verification) -> Step:
        """Take the shell's answer to `NeedVerification`."""
