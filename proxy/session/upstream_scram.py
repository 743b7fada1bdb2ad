"""The SCRAM part of a login to an upstream: which mechanism, and whose keys.

Pure. Next: `proxy.auth.scram`, the exchange; `proxy.session.upstream`, which drives it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.auth.scram_client import ClientExchange
from proxy.errors import BackendError
from proxy.session.upstream_plan import ChannelBinding
from proxy.wire import codes, messages

if TYPE_CHECKING:
    from proxy.auth.scram_client import KeyRequest, SaltedPasswords
    from proxy.session.upstream_plan import UpstreamPlan


class ScramLogin:
    """One exchange with an upstream: `begin`, `challenged`, `respond`, `end`."""

    __slots__ = ("_exchange", "_mode", "_salted", "_unconfirmed")

    def __init__(
        self, plan: UpstreamPlan, nonce: bytes, *, salted: SaltedPasswords
    ) -> None:
        self._mode = plan.channel_binding
        self._salted = salted
        self._unconfirmed: list[tuple[KeyRequest, bytes]] = []
        self._exchange = ClientExchange(
            plan.password or "",
            nonce,
            password_id=plan.password_id,
            min_iterations=plan.min_iterations,
            max_iterations=plan.max_iterations,
        )

    def begin(
        self, mechanisms: tuple[str, ...], *, is_tls: bool, binding: bytes
    ) -> bytes:
        """The SASLInitialResponse for what the server offers.

        Args:
            mechanisms: the offer.
            is_tls: the connection is encrypted.
            binding: its `tls-server-end-point`, b"" where there is none.

        Raises:
            BackendError: the offer has nothing that the plan allows.
        """
        is_offered = codes.SCRAM_SHA_256_PLUS in mechanisms
        if is_offered and not is_tls:
            # As libpq: somebody took TLS off on the way, or plays the server.
            raise BackendError(
                "the database broke the protocol",
                operator_note="upstream: offers SCRAM-SHA-256-PLUS without TLS",
            )
        if self._mode is ChannelBinding.DISABLE:
            binding = b""
        is_bound = bool(binding) and is_offered
        if not is_bound and self._mode is ChannelBinding.REQUIRE:
            raise unbound("it offers no SCRAM-SHA-256-PLUS that could be used")
        mechanism = codes.SCRAM_SHA_256_PLUS if is_bound else codes.SCRAM_SHA_256
        if mechanism not in mechanisms:
            raise BackendError(
                "pgwarden could not log in to the database",
                operator_note="the upstream does not offer SCRAM-SHA-256",
            )
        first = self._exchange.first(binding, is_offered=is_bound)
        return messages.SASLInitialResponse(mechanism, first).encode()

    def challenged(self, data: bytes) -> tuple[KeyRequest, bytes | None]:
        """The key that is needed, and the key itself if it was derived before.

        Raises:
            BackendError: the challenge makes no sense.
        """
        request = self._exchange.challenge(data)
        return request, self._salted.get(request)

    def respond(self, request: KeyRequest, salted: bytes) -> bytes:
        """The SASLResponse that proves us."""
        self._unconfirmed = [(request, salted)]
        return messages.SASLResponse(self._exchange.respond(salted)).encode()

    def end(self, data: bytes) -> None:
        """The upstream proves itself; the key is worth keeping now.

        Raises:
            BackendError: it does not.
        """
        self._exchange.verify(data)
        for request, salted in self._unconfirmed:
            self._salted.put(request, salted)


def unbound(why: str) -> BackendError:
    """Channel binding is required, and can't be had."""
    return BackendError(
        "pgwarden could not reach the database safely",
        operator_note=f"the settings require channel binding, and {why}",
    )
