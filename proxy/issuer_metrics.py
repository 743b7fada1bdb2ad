"""The metrics of issuers and their tokens.

Labels are the issuers' names in the settings and closed sets of results.
Next: `proxy.metrics`, which shows them; `proxy.server.issuers`, which counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.metric import Counted, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.metric import Labels

ISSUER_TABLE: Final = (
    Metric("pgwarden_tokens_total", "counter",
           "Tokens looked at: ok, or why they were not taken (too_long, malformed,"
           " type, algorithm, unknown_key, signature, issuer, audience, expired,"
           " not_yet, lifetime, bound, claims; no_keys where the issuer's keys could"
           " not be had).",
           ("issuer", "result")),
    Metric("pgwarden_issuer_fetches_total", "counter",
           "Fetches of an issuer's keys: ok, failed (the old ones stay for a time).",
           ("issuer", "result")),
    Metric("pgwarden_issuer_keys_age_seconds", "gauge",
           "Seconds since an issuer's keys were fetched; absent until they were.",
           ("issuer",), merge="max"),
)  # fmt: skip


class IssuerMetrics:
    """What `proxy.server.issuers` counts."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.tokens = Counted()
        self.fetches = Counted()
        self.ages: Callable[[], Mapping[str, float]] = dict

    def token(self, issuer: str, result: str) -> None:
        """A token was looked at; "ok", or one of `proxy.auth.tokens.Fault`."""
        self.tokens.add((issuer, result))

    def fetch(self, issuer: str, *, is_ok: bool) -> None:
        """An issuer was asked for its keys."""
        self.fetches.add((issuer, "ok" if is_ok else "failed"))

    def values(self) -> dict[str, dict[Labels, int]]:
        """All of them, by name and labels."""
        return {
            "pgwarden_tokens_total": self.tokens,
            "pgwarden_issuer_fetches_total": self.fetches,
            "pgwarden_issuer_keys_age_seconds": {
                (name,): int(age_s) for name, age_s in self.ages().items()
            },
        }
