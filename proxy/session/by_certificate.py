"""Log in by the client certificate of the TLS handshake.

TLS has seen that it is of our authorities, valid, made for clients and not taken back;
what is left is whose it is. Next: `proxy.auth.client_certificates`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from proxy.session.exchange import Exchange, Proven, Unproven

if TYPE_CHECKING:
    from proxy.auth.client_certificates import CertificateName, ClientCertificate
    from proxy.session.exchange import Candidate, Step, Verification

NAME = "certificate"
"""The audit log's word."""


def shortcoming(rule: CertificateName | None, candidate: Candidate) -> str:
    """Why the client's certificate does not prove its name, "" if it does.

    For the operator alone: it tells known names from unknown ones.

    Args:
        rule: whose certificate the rule asks for; the identity's own word goes first.
        candidate: who wants to come in.
    """
    identity = candidate.identity
    shown = None if candidate.channel is None else candidate.channel.certificate
    if shown is None:
        return "no client certificate was shown"
    if identity is None or candidate.doom:
        return candidate.doom or "there is no such identity"
    if not shown.valid_from <= candidate.now <= shown.valid_until:
        # A TLS session that is taken up again is not verified anew.
        return "the client certificate is not valid now"
    wanted = identity.certificate or rule
    if wanted is None:
        return "neither the identity nor the rule says whose certificate it must be"
    if not wanted.fits(shown, identity.name):
        return f'the client certificate "{shown.subject}" is another one\'s'
    return ""


class CertificateLogin(Exchange):
    """Nothing is said: the proof was in the handshake."""

    __slots__ = ("_certificate", "_note")

    def __init__(self, rule: CertificateName | None, candidate: Candidate) -> None:
        self._note = shortcoming(rule, candidate)
        self._certificate = shown_by(candidate)

    @override
    def begin(self) -> Step:
        if self._note or self._certificate is None:
            return Unproven(self._note)
        shown = self._certificate
        return Proven(NAME, certificate=shown, proof=shown.proof())

    @override
    def receive(self, body: bytes) -> Step:
        return Unproven("nothing was asked for")

    @override
    def verified(self, answer: Verification) -> Step:
        return Unproven("nothing was to be verified")


def shown_by(candidate: Candidate) -> ClientCertificate | None:
    """The certificate that the client has shown, whosever it is."""
    return None if candidate.channel is None else candidate.channel.certificate
