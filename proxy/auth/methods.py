"""The ways to log in that a policy can name: a closed set.

Imports nothing of pgwarden. Next: `proxy.policy.logins` chooses one for a client,
`proxy.session.ways` opens its exchange.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Method(StrEnum):
    """How a client proves who it is; the words of a policy's `method`."""

    SCRAM = "scram"
    """By password; bound to the TLS channel where client and certificate can do it."""
    SCRAM_PLUS = "scram-plus"
    """By password, and bound to the TLS channel."""
    CERTIFICATE = "certificate"
    """By the client certificate of the TLS handshake."""
    CERTIFICATE_AND_SCRAM = "certificate+scram"
    """By both."""
    TOKEN = "token"  # noqa: S105 - a word of the policy
    """By the token of an issuer, given as password, over TLS."""
    OAUTH = "oauth"
    """By the token of an issuer, given by OAUTHBEARER, over TLS."""
    REJECT = "reject"
    """Not at all."""


BY_CERTIFICATE: Final = frozenset({Method.CERTIFICATE, Method.CERTIFICATE_AND_SCRAM})
BY_TOKEN: Final = frozenset({Method.TOKEN, Method.OAUTH})
NEED_TLS: Final = BY_CERTIFICATE | BY_TOKEN | {Method.SCRAM_PLUS}
"""What can't be done in plain text."""
