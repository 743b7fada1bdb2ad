"""Whether a session may go on under identities that were read anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from proxy.auth.identities import Identities, Identity
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.server.admission import why_out
from proxy.session.login_effects import LoginRequest

NOW = datetime(2026, 11, 26, 16, tzinfo=UTC)
POLICY = Policy(
    load(
        "{version: 1, name: p, roles: {developer: {login: permit, upstream: r}}}",
        source="p",
    )
)
DANA = Identity("dana", "developer", (), sessions_since=NOW)
SESSION = LoginRequest(
    *("dana", "developer", "shop", "psql", (), 0), tls=True, sessions_since=NOW
)


def out(identity: Identity) -> str:
    return why_out(SESSION, POLICY, Identities([identity]), NOW)


def test_who_is_as_before_stays() -> None:
    assert out(DANA) == ""
    assert out(replace(DANA, valid_until=NOW)) == ""


def test_who_was_disabled_in_between_does_not() -> None:
    """Enabled again before anybody looked: only the mark is another one."""
    assert "meanwhile" in out(replace(DANA, sessions_since=NOW.replace(minute=1)))
    assert "meanwhile" in out(replace(DANA, sessions_since=None))
    assert "removed or changed" in out(replace(DANA, disabled=True))
